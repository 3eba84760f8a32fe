import type { Body } from '#core/call.ts'

import type { Outbound } from '../provider.ts'

const encoder = new TextEncoder()

/** A form with its model replaced where it stands and the gateway's own fields cut out. */
export function rewriteForm(
  body: Body & { kind: 'bytes' },
  model: string | undefined,
): Outbound['body'] {
  const spans: { start: number; end: number; bytes: Uint8Array }[] = []
  if (body.model && model !== undefined) {
    spans.push({ ...body.model, bytes: encoder.encode(model) })
  }
  for (const { start, end } of body.cuts ?? []) {
    spans.push({ start, end, bytes: new Uint8Array() })
  }
  if (spans.length === 0) return body.bytes
  spans.sort((a, b) => a.start - b.start)
  const pieces: Uint8Array[] = []
  let at = 0
  for (const span of spans) {
    pieces.push(body.bytes.subarray(at, span.start), span.bytes)
    at = span.end
  }
  pieces.push(body.bytes.subarray(at))
  return new Uint8Array(Buffer.concat(pieces))
}
