import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import { epochMs } from '#lib/clock.ts'
import type { Usage } from '#openai/usage.ts'
import type { Cost } from '#prices/cost.ts'

import { Books } from './books.ts'
import type { CallRecord, CallSink } from './books.ts'
import { failureClass } from './failure.ts'
import { secretsIn } from './journal.ts'
import type { Cleaner } from './journal.ts'
import { Unfinished } from './later.ts'
import { redact } from './redact.ts'

/** Ends a call's books. The first word counts; whatever is said after it changes nothing. */
export interface Settle {
  /** The first event of a stream came, or what else shows that an answer has begun. */
  first?(): void
  success(usage: Usage | undefined): void
  failure(error: GatewayError, usage?: Usage): void
  /** Whether the books are closed. */
  readonly isSettled: boolean
  readonly books: Books
}

/** Calls ended since the start, by how they ended. */
export interface Totals {
  succeeded: number
  failed: number
  abandoned: number
}

/** A call under way, and what is noted of it so far. */
export interface OpenCall {
  readonly call: Call
  readonly books: Books
}

export interface Recorder {
  readonly totals: Readonly<Totals>
  /** How many calls have not ended, by `requestType`; 0 for those that there were. Counted when asked. */
  readonly underway: ReadonlyMap<string, number>
  /** The calls that have not ended, in no order; as it is now, and not to be kept. */
  readonly calls: readonly OpenCall[]
  /** `release` runs once, when the call is settled. */
  open(call: Call, release: () => void): Settle
}

/**
 * Writes one log line for each call that failed, at the level of its error, and one at debug for the others, and gives
 * each sink that listens one record of every call, however it ended. `onOpen` runs as each call begins.
 */
export function createRecorder(
  log: Logger,
  sinks: readonly CallSink[] = [],
  price: Price = () => undefined,
  onOpen: () => void = () => undefined,
  cleaner: Cleaner = () => (text) => text,
): Recorder {
  const totals: Totals = { succeeded: 0, failed: 0, abandoned: 0 }
  const open: Settlement[] = []
  const seen = new Set<string>()
  const last = { endpoint: undefined, stream: false }
  const unfinished = new Unfinished()
  const desk: Desk = { log, sinks, price, onOpen, cleaner, totals, open, seen, last, unfinished }
  return {
    totals,
    get underway() {
      const counts = new Map(Array.from(seen, (type) => [type, 0]))
      for (const { call } of open) {
        const type = requestType(call.endpoint, call.stream)
        counts.set(type, counts.get(type)! + 1)
      }
      return counts
    },
    calls: open,
    open: (call, release) => new Settlement(call, release, desk),
  }
}

/** What a call cost; undefined when that is not known. */
export type Price = (call: Call, books: Books, usage: Usage | undefined) => Cost | undefined

/** What all settlements of a process share. */
interface Desk {
  readonly log: Logger
  readonly sinks: readonly CallSink[]
  readonly price: Price
  readonly onOpen: () => void
  readonly cleaner: Cleaner
  readonly unfinished: Unfinished
  readonly totals: Totals
  /** Those that are not closed. An array that closes its gaps, for the reason that `inflight.ts` gives. */
  readonly open: Settlement[]
  /** Types of calls that there were. */
  readonly seen: Set<string>
  /** Of the last call: mostly the next one is of the same type. */
  readonly last: { endpoint: Call['endpoint'] | undefined; stream: boolean }
}

class Settlement implements Settle, OpenCall {
  isSettled = false
  readonly call: Call
  /** Where it stands among those that are open. */
  #slot: number
  readonly #release: () => void
  readonly #desk: Desk
  readonly books: Books

  constructor(call: Call, release: () => void, desk: Desk) {
    this.call = call
    this.#release = release
    this.#desk = desk
    this.books = new Books(call, wantsContent(call, desk.sinks))
    const { open, last, seen } = desk
    desk.onOpen()
    this.#slot = open.length
    open.push(this)
    if (call.endpoint !== last.endpoint || call.stream !== last.stream) {
      last.endpoint = call.endpoint
      last.stream = call.stream
      seen.add(requestType(call.endpoint, call.stream))
    }
  }

  success(usage: Usage | undefined): void {
    if (!this.#close()) return
    const { log, totals } = this.#desk
    totals.succeeded++
    // Only then are the facts worth collecting.
    if (log.level === 'debug') log.debug('request served', this.#facts(usage, this.#cleaner()))
    this.#tell(undefined, usage)
  }

  failure(error: GatewayError, usage?: Usage): void {
    if (!this.#close()) return
    const { log, totals } = this.#desk
    if (error.kind === 'client_closed') totals.abandoned++
    else totals.failed++
    // A caller may have said its virtual key to the provider, which likes to repeat what it refuses.
    const clean = this.#cleaner()
    const why = clean(redact(error.message, this.call.caller.virtualKey))
    log[error.level](`request failed: ${why}`, {
      ...this.#facts(usage, clean),
      kind: error.kind,
      failure_class: failureClass(error),
      status: error.status,
      fault: error.fault,
      ...(error.cause !== undefined && { cause: error.cause }),
    })
    this.#tell(error, usage)
  }

  /** What a line of the log says of the call, without keys: a caller may have put one where a model belongs. */
  #facts(usage: Usage | undefined, clean: (text: string) => string): Record<string, unknown> {
    const { call } = this
    return {
      id: call.id,
      request_type: requestType(call.endpoint, call.stream),
      provider: call.provider,
      model: call.modelRequested && clean(call.modelRequested),
      ms: Math.round(performance.now() - call.startedAt),
      ...(usage && { usage }),
      trace: call.trace
        .list()
        .map(({ atMs, step, what }) => clean(`${atMs.toFixed(1)} ${step}: ${what}`)),
    }
  }

  #cleaner(): (text: string) => string {
    const { headers, caller } = this.call
    const { directKey, virtualKey } = caller
    return this.#desk.cleaner(secretsIn(headers, directKey, this.books.credential, virtualKey))
  }

  #tell(error: GatewayError | undefined, usage: Usage | undefined): void {
    const { log, sinks } = this.#desk
    let record: CallRecord | undefined
    for (const sink of sinks) {
      if (!sink.isListening) continue
      record ??= recordOf(this.call, this.books, error, usage, this.#desk)
      try {
        sink.settled(record)
      } catch (thrown) {
        // Nobody's answer depends on who takes notes.
        log.error('a settled call could not be noted', { id: this.call.id, cause: thrown })
      }
    }
  }

  #close(): boolean {
    if (this.isSettled) return false
    this.isSettled = true
    const { open } = this.#desk
    const last = open.pop()
    if (last && last !== this) {
      open[this.#slot] = last
      last.#slot = this.#slot
    }
    this.#release()
    return true
  }
}

function wantsContent(call: Call, sinks: readonly CallSink[]): boolean {
  for (const sink of sinks) if (sink.wantsContent?.(call)) return true
  return false
}

const noTries: CallRecord['failed'] = []

function recordOf(
  call: Call,
  books: Books,
  error: GatewayError | undefined,
  usage: Usage | undefined,
  { price, unfinished }: Desk,
): CallRecord {
  const now = performance.now()
  books.received(now)
  const { later } = books
  if (later && !later.isDone && !isLookedUp(call)) unfinished.begun(books.provider, later)
  const totalMs = now - call.startedAt
  const { firstTokenAt } = books
  const used = usage && isCounted(call, books, unfinished) ? usage : undefined
  return {
    call,
    requestType: requestType(call.endpoint, call.stream),
    arrivedAtMs: epochMs(call.startedAt),
    queuedMs: books.queuedMs,
    upstreamMs: books.upstreamMs,
    firstTokenMs: firstTokenAt === undefined ? undefined : firstTokenAt - call.startedAt,
    pace: books.pace,
    totalMs,
    overhead: overheadOf(call, books, now),
    owner: call.caller.owner,
    rule: books.rule,
    provider: books.provider,
    keyId: books.keyId,
    keyName: books.keyName,
    modelUsed: books.model,
    fallbackIndex: books.fallbackIndex,
    retries: books.retries,
    attempts: books.attempts,
    failed: books.failed ?? noTries,
    dropped: books.dropped,
    outcome: !error ? 'success' : error.kind === 'client_closed' ? 'cancelled' : 'error',
    status: error?.status ?? books.status ?? 200,
    error,
    errorClass: error && failureClass(error),
    usage: used,
    // A failure that used nothing cost nothing, and what is looked up has been paid for.
    cost: used || (!error && !usage) ? price(call, books, used) : undefined,
    answerLength: books.answerLength,
    answerType: books.answerType,
    answer: books.takeAnswer(),
    credential: books.credential,
  }
}

/** What is looked up tells its usage each time; it is counted once. */
function isCounted(call: Call, books: Books, unfinished: Unfinished): boolean {
  if (!isLookedUp(call)) return true
  const { later, provider } = books
  if (!later || !unfinished.ended(provider, later)) return false
  books.model ??= later.model
  return true
}

/** Whether the call asks about work that is, or will be, another call's. */
function isLookedUp({ method, endpoint }: Call): boolean {
  // Opened by a GET, and what is done on it is nobody else's.
  if (endpoint === 'realtime' || endpoint === 'websocket_responses') return false
  if (method !== 'POST') return true
  return (
    endpoint === 'chat_update' || endpoint === 'batch_cancel' || endpoint === 'responses_cancel'
  )
}

function overheadOf(
  { startedAt }: Call,
  { askedAt, lastAskedAt = askedAt, requestMs, heardAt }: Books,
  now: number,
): CallRecord['overhead'] {
  if (askedAt === undefined || lastAskedAt === undefined) return undefined
  const responseMs = heardAt === undefined ? 0 : now - heardAt
  const [askedMs, lastAskedMs] = [askedAt - startedAt, lastAskedAt - startedAt]
  return { askedMs, lastAskedMs, requestMs, responseMs }
}
