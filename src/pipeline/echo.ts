import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
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

/** The request of a call that continues a stored response: its losses and its stream speak as the caller does. */
export function asContinued(call: Call, outbound: Outbound): Outbound {
  const { continues: id, leftOut = [] } = call
  if (id === undefined) return outbound
  const places = outbound.dropped.map((place) => ownPlace(call, place))
  return {
    ...outbound,
    dropped: [...new Set([...places, ...leftOut])],
    mending: mendingOf(call, id, outbound),
  }
}

/** An error about an item of the input, by the number that the caller gave it. */
export function inOwnInput(call: Call, thrown: unknown): unknown {
  if (call.continues === undefined || !(thrown instanceof GatewayError)) return thrown
  const { kind, param, message, code, upstream } = thrown
  if (param === undefined || upstream) return thrown
  const own = ownPlace(call, param)
  if (own === param) return thrown
  return new GatewayError(kind, message.replaceAll(`'${param}'`, `'${own}'`), {
    param: own,
    code: code ?? undefined,
    cause: thrown,
  })
}

/** What is wrong with an item that the caller did not send is wrong with the id that stands for it. */
function ownPlace({ itemsBefore = 0 }: Call, place: string): string {
  const match = /^input\[(\d+)\]/.exec(place)
  if (!match) return place
  const own = Number(match[1]) - itemsBefore
  return own < 0 ? 'previous_response_id' : `input[${own}]${place.slice(match[0].length)}`
}

function mendingOf(call: Call, id: string, outbound: Outbound): Outbound['mending'] {
  const first = outbound.mending
  if (call.endpoint !== 'responses' || outbound.reading) return first
  return {
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
  }
}

function echoedEvent(data: string, id: string): string {
  return /"response"\s*:\s*\{/.test(data) ? echoed(data, id, ['response']) : data
}
