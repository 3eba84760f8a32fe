import { GatewayError } from '#core/errors.ts'

// A multipart body is read only as far as the gateway must: which fields there are, and where the few that it
// uses stand. The bytes themselves are forwarded.

export interface FormPart {
  readonly name: string
  readonly isFile: boolean
  /** Of the whole part, from its boundary to the next one's. */
  readonly start: number
  readonly end: number
  /** Of its content. */
  readonly contentStart: number
  readonly contentEnd: number
}

const maxParts = 1000
const maxHeaderBytes = 16 * 1024

/** The parts in order. Throws 400 when the body is not what its boundary promises. */
export function readForm(bytes: Uint8Array, contentType: string): readonly FormPart[] {
  const boundary = boundaryOf(contentType)
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const delimiter = Buffer.from(`--${boundary}`)
  const parts: FormPart[] = []
  let start = buffer.indexOf(delimiter)
  if (start === -1) throw malformed('its boundary does not occur')
  for (;;) {
    const afterDelimiter = start + delimiter.length
    if (buffer[afterDelimiter] === 0x2d && buffer[afterDelimiter + 1] === 0x2d) return parts
    if (parts.length === maxParts) throw malformed(`it has more than ${maxParts} parts`)
    const next = buffer.indexOf(`\r\n--${boundary}`, afterDelimiter, 'latin1')
    if (next === -1) throw malformed('its last boundary is missing')
    const headerStart = afterDelimiter + 2
    const headerEnd = buffer.indexOf('\r\n\r\n', afterDelimiter)
    if (headerEnd === -1 || headerEnd > next || headerEnd - headerStart > maxHeaderBytes) {
      throw malformed('a part has no headers')
    }
    const disposition = dispositionOf(buffer.toString('utf8', headerStart, headerEnd))
    parts.push({
      ...disposition,
      start,
      end: next + 2,
      contentStart: headerEnd + 4,
      contentEnd: next,
    })
    start = next + 2
  }
}

/** The text of a part, at most 64 KB of it. */
export function partText(bytes: Uint8Array, part: FormPart): string {
  const end = Math.min(part.contentEnd, part.contentStart + 65_536)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
    'utf8',
    part.contentStart,
    end,
  )
}

function boundaryOf(contentType: string): string {
  const match = /boundary=(?:"([^"]{1,200})"|([^;\s"]{1,200}))/i.exec(contentType)
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined) throw malformed('its Content-Type names no boundary')
  return boundary
}

function dispositionOf(headers: string): { name: string; isFile: boolean } {
  const line = /^content-disposition:(.*)$/im.exec(headers)?.[1]
  const name =
    line === undefined ? undefined : /\bname="((?:[^"\\]|\\.)*)"|\bname=([^;\s]+)/.exec(line)
  if (!name) throw malformed('a part has no name')
  return {
    name: (name[1] ?? name[2] ?? '').replace(/\[\]$/, ''),
    isFile: /\bfilename\*?=/.test(line!),
  }
}

function malformed(why: string): GatewayError {
  return new GatewayError('invalid_request', `The multipart body is malformed: ${why}.`)
}
