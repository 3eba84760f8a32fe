import type { Body, FormPart } from '#core/call.ts'

// What the log keeps of bodies that are no JSON. Of a form: its fields, files only by name, type and size. Of an answer
// in bytes: its type and size. Sounds, images and files themselves are never kept, however small: nobody reads them in
// a log, and a day of them is more than the log may hold. Texts are kept as far as they go.

const maxFields = 100
const maxNameChars = 300

/** JSON text for a body in bytes; undefined when there is nothing to say. Only as many characters as are wanted. */
export function describeBody(body: Body, maxChars: number): string | undefined {
  if (body.kind !== 'bytes') return undefined
  const { bytes, contentType, parts } = body
  if (parts) return JSON.stringify(fieldsOf(bytes, parts, maxChars))
  return describeBytes(contentType, bytes.length, isText(contentType) ? bytes : undefined, maxChars)
}

/** As `describeBody`, for an answer; `kept` is as much of it as was kept. */
export function describeBytes(
  contentType: string,
  length: number,
  kept: Uint8Array | undefined,
  maxChars: number,
): string {
  const about = { content_type: contentType.slice(0, maxNameChars), bytes: length }
  if (!kept) return JSON.stringify(about)
  const isAll = kept.length === length && length <= maxChars
  const text = new TextDecoder().decode(isAll ? kept : kept.subarray(0, maxChars))
  // JSON stands for itself; of what was cut, this much is a text.
  return isJson(contentType) && isAll ? text : JSON.stringify({ ...about, text })
}

/** Whether somebody could read it. */
export function isText(contentType: string): boolean {
  return /^(?:text\/|application\/(?:[\w.-]*\+)?(?:json|xml)\b|application\/(?:x-ndjson|jsonl)\b)/i.test(
    contentType,
  )
}

function isJson(contentType: string): boolean {
  return /^application\/(?:[\w.-]*\+)?json\b/i.test(contentType)
}

/** By name; a name that occurs more than once has a list. */
function fieldsOf(
  bytes: Uint8Array,
  parts: readonly FormPart[],
  maxChars: number,
): Record<string, unknown> {
  const fields = new Map<string, unknown[]>()
  for (const part of parts.slice(0, maxFields)) {
    const name = part.name.slice(0, maxNameChars)
    const values = fields.get(name) ?? []
    const { contentStart, contentEnd } = part
    const end = Math.min(contentEnd, contentStart + maxChars)
    values.push(part.isFile ? fileOf(bytes, part) : textAt(bytes, contentStart, end))
    fields.set(name, values)
  }
  return Object.fromEntries(
    [...fields].map(([name, values]) => [name, values.length === 1 ? values[0] : values]),
  )
}

function fileOf(bytes: Uint8Array, part: FormPart): Record<string, unknown> {
  const headers = textAt(bytes, part.start, part.contentStart)
  const name = /\bfilename="((?:[^"\\\r\n]|\\.)*)"|\bfilename=([^;\s]+)/i.exec(headers)
  const type = /^content-type:[ \t]*(.*?)[ \t]*$/im.exec(headers)?.[1]
  return {
    filename: (name?.[1] ?? name?.[2])?.slice(0, maxNameChars) ?? null,
    content_type: type?.slice(0, maxNameChars) ?? null,
    bytes: part.contentEnd - part.contentStart,
  }
}

function textAt(
  { buffer, byteOffset, byteLength }: Uint8Array,
  start: number,
  end: number,
): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8', start, end)
}
