import type { FormPart } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { readParameters } from '#lib/parameters.ts'

// A multipart body is read only as far as the gateway must: which fields there are, and where the few that it
// uses stand. The bytes themselves are forwarded, so whatever another reader could take for other fields than are
// seen here is refused: a form must not ask for one model here and for another one there.

const maxParts = 1000
const maxHeaderBytes = 16 * 1024

/** Whether a content type is that of a form. */
export function isForm(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^multipart\/form-data\b/i.test(contentType)
}

/** The parts in order. Throws 400 when the body is not what its boundary promises. */
export function readForm(bytes: Uint8Array, contentType: string): readonly FormPart[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // A header's characters stand for bytes. Some readers do with a line feed before it, so all of these are looked at.
  const delimiter = Buffer.from(`\n--${boundaryOf(contentType)}`, 'latin1')
  const parts: FormPart[] = []
  let start = buffer.indexOf(delimiter.subarray(1))
  if (start === -1) throw malformed('its boundary does not occur')
  if (start > 0 && !endsLine(buffer, start)) throw malformed('its first boundary begins no line')
  for (;;) {
    const afterDelimiter = start + delimiter.length - 1
    const [first, second] = buffer.subarray(afterDelimiter, afterDelimiter + 2)
    if (first === 0x2d && second === 0x2d) {
      if (buffer.includes(delimiter, afterDelimiter)) throw malformed('it goes on after its end')
      return parts
    }
    // Another reader might take such a line for content, and then see other fields than this one does.
    if (first !== 0x0d || second !== 0x0a) throw malformed('something follows its boundary')
    if (parts.length === maxParts) throw malformed(`it has more than ${maxParts} parts`)
    const next = buffer.indexOf(delimiter, afterDelimiter) + 1
    if (next === 0) throw malformed('its last boundary is missing')
    if (!endsLine(buffer, next)) throw malformed('a line feed alone is before a boundary')
    const headerStart = afterDelimiter + 2
    const headerEnd = buffer.indexOf('\r\n\r\n', afterDelimiter)
    const contentEnd = next - 2
    if (
      headerEnd === -1 ||
      headerEnd + 4 > contentEnd ||
      headerEnd - headerStart > maxHeaderBytes
    ) {
      throw malformed('a part has no headers')
    }
    const disposition = dispositionOf(buffer.toString('utf8', headerStart, headerEnd))
    parts.push({ ...disposition, start, end: next, contentStart: headerEnd + 4, contentEnd })
    start = next
  }
}

function endsLine(buffer: Buffer, at: number): boolean {
  return buffer[at - 2] === 0x0d && buffer[at - 1] === 0x0a
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
  const boundary = readParameters(contentType.slice('multipart/form-data'.length))?.get('boundary')
  if (boundary === undefined || !/^[^\\]{1,200}$/.test(boundary)) {
    throw malformed('its Content-Type names no boundary')
  }
  return boundary
}

const header = /^([!#$%&'*+.^`|~\w-]+):([^\r\n]*)$/

function dispositionOf(headers: string): { name: string; isFile: boolean } {
  let found: string | undefined
  for (const line of headers.split('\r\n')) {
    const [, name, value] = header.exec(line) ?? []
    if (name === undefined) throw malformed('a line among the headers of a part is none')
    if (name.toLowerCase() !== 'content-disposition') continue
    if (found !== undefined) throw malformed('a part has two Content-Dispositions')
    found = value
  }
  const parameters = readParameters(/^[ \t]*form-data(.*)$/is.exec(found ?? '')?.[1] ?? '')
  const name = parameters?.get('name')
  // What is escaped in a name, or put beside it in another notation, is another name to some.
  if (!parameters || name === undefined || name.includes('\\') || hasOtherName(parameters)) {
    throw malformed('a part has no plain name')
  }
  return {
    name: name.replace(/\[\]$/, ''),
    isFile: parameters.has('filename') || parameters.has('filename*'),
  }
}

function hasOtherName(parameters: ReadonlyMap<string, string>): boolean {
  return [...parameters.keys()].some((key) => key.startsWith('name*'))
}

function malformed(why: string): GatewayError {
  return new GatewayError('invalid_request', `The multipart body is malformed: ${why}.`)
}
