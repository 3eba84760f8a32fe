import type { Snapshot } from '#config/snapshot.ts'
import { jsonBody } from '#core/body.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { release } from '#lib/deadline.ts'
import { applyEdits, parseShort, replaceValue } from '#lib/json.ts'
import type { Edit } from '#lib/json.ts'
import { isEventStream } from '#lib/sse.ts'
import { countTokens } from '#openai/tokens.ts'
import type { Usage } from '#openai/usage.ts'
import { conversationOf } from '#providers/exchange.ts'

import type { Books } from './books.ts'
import { wantsExtraFields } from './extra.ts'
import { failureClass, timerOf } from './failure.ts'
import type { FailureClass } from './failure.ts'
import { startKeepAlive } from './keep-alive.ts'
import type { Outcome, Sink } from './outcome.ts'
import { modelsOf } from './ranks.ts'
import type { Settle } from './record.ts'
import type { Leg, Plan } from './routing.ts'
import type { Services } from './services.ts'
import { inOrder } from './standing.ts'
import { Tap } from './tap.ts'
import type { Spent } from './tap.ts'
import { hasLeft } from './total.ts'

// Mid-stream rescue: when a chat stream breaks after its beginning has reached the caller, the next candidate is asked
// to go on where it stopped, and the caller gets one stream.

/** A stream is continued this often; whatever breaks it then would break it again. */
const maxRescues = 2
/** Longer texts cost more to continue than they are worth. */
const maxTextChars = 200_000

const instruction =
  'Your previous message was cut off by a technical fault. Go on exactly where it stops, in the middle of a word if need be. Do not repeat any of it, do not comment on this, and keep its language and format.'

/** Rescues since the start, for metrics. */
export interface RescueTotals {
  /** Streams that broke and might have been continued. */
  tried: number
  /** Of those, how many went on. */
  continued: number
}

/** What a rescue needs of the call. */
export interface Rescuing {
  readonly call: Call
  readonly plan: Plan
  readonly snapshot: Snapshot
  readonly settle: Settle
  readonly holding: { release: (() => void) | undefined }
  /** Asks the candidates of a plan. */
  readonly services: Pick<Services, 'health' | 'sessions' | 'rescues' | 'tripped'>
  readonly attempt: (call: Call, plan: Plan, settle: Settle) => Promise<Outcome>
}

/** Whether a call's stream is to be continued when it breaks: wanted by header or configuration, and plain text. */
export function wantsRescue(call: Call, { client }: Snapshot): boolean {
  const asked = call.headers['x-bf-rescue']
  if (asked === undefined ? !client.rescueStreams : asked !== 'true') return false
  if (call.endpoint !== 'chat_completion' || !call.stream || call.body.kind !== 'json') return false
  const { n, audio, response_format: format } = call.body.value
  const type = (format as { type?: unknown } | null | undefined)?.type ?? 'text'
  return (n ?? 1) === 1 && (audio ?? null) === null && type === 'text'
}

/** The outcome of the call, whose stream goes on when it breaks. Throws what `attempt` throws. */
export async function withRescue(rescuing: Rescuing): Promise<Outcome> {
  const { call, plan, settle } = rescuing
  const part = new Part(settle)
  const outcome = await rescuing.attempt(call, plan, part)
  if (outcome.kind !== 'stream' || !isEventStream(outcome.contentType)) {
    return outcome
  }
  return { ...outcome, pump: (sink) => pump(rescuing, outcome, part, sink) }
}

type Stream = Outcome & { readonly kind: 'stream' }

/** How a part of the stream ended. */
interface End {
  readonly error: GatewayError | undefined
  readonly usage: Usage | undefined
}

/** The books of a part: once the caller's side reads, how it ends is for the rescue to settle. */
class Part implements Settle {
  readonly #settle: Settle
  isPumped = false
  end: End | undefined

  constructor(settle: Settle) {
    this.#settle = settle
  }

  get books(): Books {
    return this.#settle.books
  }

  get isSettled(): boolean {
    return this.#settle.isSettled
  }

  success(usage: Usage | undefined): void {
    if (this.isPumped) this.end ??= { error: undefined, usage }
    else this.#settle.success(usage)
  }

  failure(error: GatewayError, usage?: Usage): void {
    if (this.isPumped) this.end ??= { error, usage }
    else this.#settle.failure(error, usage)
  }
}

async function pump(rescuing: Rescuing, first: Stream, part: Part, sink: Sink): Promise<void> {
  const { call, settle } = rescuing
  settle.books.isTapped = true
  const tap = new Tap(sink, settle.books)
  let spent: Spent = { prompt: 0, completion: 0 }
  let served = first
  for (let rescues = 0; ; rescues++) {
    part.isPumped = true
    await served.pump(tap)
    const { error, usage } = part.end ?? { error: undefined, usage: undefined }
    if (!error) {
      settle.success(added(usage, spent))
      return
    }
    const mayGoOn = rescues < maxRescues && isRescuable(error, tap) && !call.signal.aborted
    const total = mayGoOn ? await spentBy(call, tap.text, usage, spent) : spent
    const next = mayGoOn ? await goOn(rescuing, served, error, tap, total) : undefined
    if (!next) {
      if (!hasLeft(call.signal)) {
        tap.giveUp()
        await tap.flush()
      }
      settle.failure(error, added(usage, spent))
      return
    }
    spent = total
    served = next.outcome
    part = next.part
  }
}

const rescuable: ReadonlySet<FailureClass> = new Set([
  'network',
  'server',
  'overloaded',
  'timeout',
  'malformed',
  'rate_limit',
])

/** What another candidate may do better. A total that is used up stays used up. */
function isRescuable(error: GatewayError, { isIntricate, text }: Tap): boolean {
  if (isIntricate || text.length > maxTextChars || error.kind === 'total_timeout') return false
  return rescuable.has(failureClass(error))
}

/** The next candidate's stream, once it has begun; undefined when there is none. */
async function goOn(
  rescuing: Rescuing,
  broken: Stream,
  error: GatewayError,
  tap: Tap,
  spent: Spent,
): Promise<{ outcome: Stream; part: Part } | undefined> {
  const { call, plan, snapshot, settle, holding, services } = rescuing
  const { books } = settle
  const { rescues } = services
  if (rescues) rescues.tried++
  const from = broken.target.settings.name
  books.failedTry({
    provider: from,
    key: books.keyName,
    failureClass: failureClass(error),
    status: error.status,
  })
  call.trace.add(
    'stream',
    `${from} broke off (${error.kind}) after ${tap.text.length} characters`,
    {
      timer: timerOf(error),
    },
  )
  holding.release?.()
  const keepAlive = startKeepAlive(tap, snapshot.client.keepAliveMs, () => true)
  const part = new Part(settle)
  // Whoever is asked may fail; that is not yet how the call ends.
  part.isPumped = true
  try {
    const outcome = await askInOrder(rescuing, after(plan, books), tap.text, part)
    if (outcome?.kind !== 'stream') return undefined
    const to = outcome.target.settings.name
    if (rescues) rescues.continued++
    call.trace.add('stream', `${to} goes on`)
    const mark = { from, to, error: error.code, after_chars: tap.text.length }
    tap.continues(
      `: rescued: ${to} goes on for ${from}\n\n`,
      wantsExtraFields(call, snapshot) ? JSON.stringify(mark) : undefined,
      spent,
    )
    return { outcome, part }
  } catch (thrown) {
    call.trace.add('stream', `nobody goes on: ${toGatewayError(thrown).message}`)
    return undefined
  } finally {
    release(keepAlive)
  }
}

/** The first of the candidates that goes on. Each is asked in the way it takes. Throws what the last one threw. */
async function askInOrder(
  { call, snapshot, services, attempt }: Rescuing,
  plan: Plan,
  text: string,
  part: Part,
): Promise<Outcome | undefined> {
  let failure: unknown
  for (const leg of inOrder(plan, call, snapshot, services)) {
    if (call.signal.aborted) break
    try {
      return await attempt(continued(call, leg, text), { legs: [leg] }, part)
    } catch (thrown) {
      failure = thrown
    }
  }
  throw failure ?? new GatewayError('client_closed', 'The client closed the connection.')
}

/** The candidates after the one that broke off, those before it, and then itself: with another key, where it has one. */
function after({ legs }: Plan, { provider, fallbackIndex, keyId }: Books): Plan {
  const at = legs.findIndex(
    ({ settings, index }) => settings.name === provider && index === fallbackIndex,
  )
  const own = legs[at]
  if (!own) return { legs }
  const others = own.keys.filter(({ id }) => id !== keyId)
  const again: Leg = others.length > 0 ? { ...own, keys: others } : own
  const [next, ...rest] = [...legs.slice(at + 1), ...legs.slice(0, at)]
  return { legs: next ? [next, ...rest, again] : [again] }
}

/**
 * The call with what was said so far, as the beginning of the answer where the candidate takes that, and otherwise with
 * the request to go on. Where nothing was said yet, the call itself.
 */
function continued(call: Call, leg: Leg, text: string): Call {
  const { body } = call
  const messages =
    body.kind === 'json' ? body.scan.members.find(({ key }) => key === 'messages') : undefined
  if (body.kind !== 'json' || !messages || text === '') return call
  const said = JSON.stringify({ role: 'assistant', content: text })
  const wish = takesPrefill(call, leg)
    ? ''
    : `,${JSON.stringify({ role: 'user', content: instruction })}`
  // Before the bracket that closes the list, which is never empty.
  const at = messages.end - 1
  const next = applyEdits(body.text, [
    { start: at, end: at, text: `,${said}${wish}` },
    ...limitsLeft(body, text),
  ])
  const value = parseShort(next) as Record<string, unknown>
  return { ...call, body: jsonBody(next, value) }
}

/** What was said so far counts towards the limits that the caller set. */
function limitsLeft({ scan, value }: Call['body'] & { kind: 'json' }, text: string): Edit[] {
  return scan.members
    .filter(({ key }) => key === 'max_tokens' || key === 'max_completion_tokens')
    .flatMap((member) => {
      const limit = value[member.key]
      if (typeof limit !== 'number') return []
      return [replaceValue(member, String(Math.max(1, limit - tokensIn(text))))]
    })
}

function tokensIn(text: string): number {
  return Math.ceil(text.length / 4)
}

/** Models that think first take no beginning of an answer while they do. */
function takesPrefill({ body }: Call, leg: Leg): boolean {
  const { provider, model } = leg
  if (!provider.prefills || model === undefined || body.kind !== 'json') return false
  const { reasoning_effort: effort, reasoning, thinking } = body.value
  if ((effort ?? reasoning ?? thinking ?? null) !== null) return false
  // With another key it may be another model.
  return modelsOf(leg).every((each) => provider.prefills!(each ?? model))
}

/** What the broken part has used: as its provider said, or else as far as it can be counted here. */
async function spentBy(
  call: Call,
  text: string,
  usage: Usage | undefined,
  before: Spent,
): Promise<Spent> {
  const known = usage && { prompt: usage.inputTokens, completion: usage.outputTokens }
  const part = known ?? {
    prompt: await counted(call),
    completion: tokensIn(text) - before.completion,
  }
  return {
    prompt: before.prompt + part.prompt,
    completion: before.completion + Math.max(0, part.completion),
  }
}

async function counted(call: Call): Promise<number> {
  try {
    return await countTokens(conversationOf(call), call.signal)
  } catch (thrown) {
    call.trace.add('stream', `its tokens cannot be counted: ${toGatewayError(thrown).message}`)
    return 0
  }
}

function added(usage: Usage | undefined, { prompt, completion }: Spent): Usage | undefined {
  if (!usage || prompt + completion === 0) return usage
  return {
    ...usage,
    inputTokens: usage.inputTokens + prompt,
    outputTokens: usage.outputTokens + completion,
    totalTokens: usage.totalTokens + prompt + completion,
  }
}
