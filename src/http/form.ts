import type { FormPart } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

// A multipart body is read only as far as the gateway must: which fields there are, and where the few that it
// uses stand. The bytes themselves are forwarded.

const maxParts = 1000
const maxHeaderBytes = 16 * 1024

/** The parts in order. Throws 400 when the body is not what its boundary promises. */
export function readForm(bytes: Uint8Array, contentType: string): readonly FormPart[] {
  const boundary = boundaryOf(contentType)
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // A header's characters stand for bytes.
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  const parts: FormPart[] = []
  let start = buffer.indexOf(delimiter.subarray(2))
  if (start === -1) throw malformed('its boundary does not occur')
  for (;;) {
    const afterDelimiter = start + delimiter.length - 2
    const [first, second] = buffer.subarray(afterDelimiter, afterDelimiter + 2)
    if (first === 0x2d && second === 0x2d) return parts
    // Another reader might take such a line for content, and then see other fields than this one does.
    if (first !== 0x0d || second !== 0x0a) throw malformed('something follows its boundary')
    if (parts.length === maxParts) throw malformed(`it has more than ${maxParts} parts`)
    const next = buffer.indexOf(delimiter, afterDelimiter)
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

/** The form with one more field of text, in front of the others. `value` must not hold line breaks. */
export function addField(
  bytes: Uint8Array,
  contentType: string,
  name: string,
  value: string,
): Uint8Array<ArrayBuffer> {
  const delimiter = Buffer.from(`--${boundaryOf(contentType)}`, 'latin1')
  const field = Buffer.from(
    `\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const rest = buffer.subarray(buffer.indexOf(delimiter))
  return new Uint8Array(Buffer.concat([delimiter, field, rest]))
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
