import type { Call } from '#core/call.ts'
import { applyEdits, locate, scanJson } from '#lib/json.ts'
import type { Outbound } from '#providers/provider.ts'

// A provider that was given a stored conversation as plain input does not know that it continues a response. The
// caller does, and expects to be told the same.

/** A response object with the id of the one it continues in its `previous_response_id`. */
export function echoed(text: string, id: string, path: readonly string[] = []): string {
  const known = locate(text, [...path, 'previous_response_id'])
  if (known) return applyEdits(text, [{ ...known, text: JSON.stringify(id) }])
  const object = locate(text, path)
  if (!object || text[object.start] !== '{') return text
  const start = object.start + 1
  const comma = scanJson(text.slice(object.start, object.end)).members.length > 0 ? ',' : ''
  return applyEdits(text, [
    { start, end: start, text: `"previous_response_id":${JSON.stringify(id)}${comma}` },
  ])
}

/** The same for the events of a stream that comes in the caller's own dialect. */
export function echoing(call: Call, outbound: Outbound): Outbound {
  const { continues: id, endpoint } = call
  if (id === undefined || endpoint !== 'responses' || outbound.reading) return outbound
  const first = outbound.mending
  return {
    ...outbound,
    mending: {
      ...first,
      pattern: first ? /(?:)/ : /"response"\s*:/,
      open() {
        const before = first?.open()
        return {
          get isWaiting() {
            return before?.isWaiting ?? false
          },
          mend(data) {
            const mended = before ? before.mend(data) : data
            if (mended === undefined) return undefined
            return typeof mended === 'string'
              ? echoedEvent(mended, id)
              : mended.map((each) => echoedEvent(each, id))
          },
        }
      },
    },
  }
}

function echoedEvent(data: string, id: string): string {
  return /"response"\s*:\s*\{/.test(data) ? echoed(data, id, ['response']) : data
}
