import type { TracingSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

// Where a call stands in somebody's trace, as W3C Trace Context writes it.

/** The ids of one call. */
export interface SpanContext {
  readonly traceId: string
  /** The caller's span; undefined when the trace begins here. */
  readonly parentId: string | undefined
  /** Of the call as a whole. */
  readonly spanId: string
  /** Of the work of providers. */
  readonly clientId: string
  readonly isSampled: boolean
  /** What the systems of the caller's trace keep in it. */
  readonly state: string | undefined
}

const pattern = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** Reads a `traceparent`; undefined for one that the specification tells to ignore. */
export function readParent(
  header: string | undefined,
):
  { readonly traceId: string; readonly parentId: string; readonly isSampled: boolean } | undefined {
  const [, version, traceId = '', parentId = '', flags = '', more] =
    pattern.exec(header ?? '') ?? []
  if (version === undefined || version === 'ff') return undefined
  if (version === '00' && more !== undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** Calls are copied on their way; their list of decisions stays the same object, and is nobody else's. */
const kept = new WeakMap<Call['trace'], SpanContext>()

const maxStateLength = 512

/** The call's place; found once, the same for all of its tries. */
export function contextOf(
  { headers, trace }: Call,
  { sampleRate, groupsBySession }: TracingSettings,
): SpanContext {
  let context = kept.get(trace)
  if (!context) {
    const parent = readParent(headers['traceparent'])
    const session = groupsBySession ? headers['x-bf-session-id'] : undefined
    const state = parent && headers['tracestate']
    context = {
      traceId: parent?.traceId ?? (session ? idOf(session) : newId(16)),
      parentId: parent?.parentId,
      spanId: newId(8),
      clientId: newId(8),
      isSampled: parent ? parent.isSampled : Math.random() < sampleRate,
      // Without a trace that it belongs to it means nothing.
      state: state !== undefined && state.length <= maxStateLength ? state : undefined,
    }
    kept.set(trace, context)
  }
  return context
}

/** The header for whoever works for the call. */
export function parentHeader({ traceId, clientId, isSampled }: SpanContext): string {
  return `00-${traceId}-${clientId}-${isSampled ? '01' : '00'}`
}

/** The same for the same session; what a session is called stays here. */
function idOf(session: string): string {
  return new Bun.CryptoHasher('sha256').update(session).digest('hex').slice(0, 32)
}

export function newId(bytes: number): string {
  for (;;) {
    const id = crypto.getRandomValues(Buffer.alloc(bytes)).toString('hex')
    if (!/^0+$/.test(id)) return id
  }
}
