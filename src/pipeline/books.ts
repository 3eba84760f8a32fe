import type { Call, Owner } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Secret } from '#lib/secret.ts'
import type { Usage } from '#openai/usage.ts'
import type { Cost } from '#prices/cost.ts'

import { isText } from './descriptions.ts'
import type { FailureClass } from './failure.ts'
import type { Later } from './later.ts'
import { Pace } from './pace.ts'

/** A try that came to nothing, for the trail of a call that was tried more than once. */
export interface FailedTry {
  readonly provider: string
  /** As the provider was asked for it. */
  readonly model?: string | undefined
  readonly key: string | undefined
  /** From the call's arrival until the provider was turned to, where that is known, and how long it took. */
  readonly afterMs?: number | undefined
  readonly ms?: number | undefined
  readonly failureClass: FailureClass
  readonly status: number
  /** The provider was never asked: there was no place, or the wait for one was over. */
  readonly isUnsent?: boolean | undefined
}

/** What the caller was answered with: JSON text, or the bytes of a stream as they were written. */
export type Answer = string | Uint8Array<ArrayBuffer>

/** Of a stream, what is written beyond this many bytes is not kept for the books. */
const maxAnswerBytes = 4 * 1024 * 1024

/**
 * What is noted about a call while it is under way, each by whoever learns it first. Plain fields, so that noting
 * costs nothing worth naming; read once, when the call is settled. All clocks are `performance.now()`.
 */
export class Books {
  provider: string
  /** The model's name as the provider was asked for it. */
  model: string | undefined
  keyId: string | undefined = undefined
  keyName: string | undefined = undefined
  fallbackIndex = 0
  /** Tries in all, with every key and every candidate. */
  attempts = 0
  /** Tries repeated with the same key, of the candidate that was asked last. */
  retries = 0
  /** Tries that failed before the last one; undefined while there are none. */
  failed: FailedTry[] | undefined = undefined
  /** Milliseconds spent waiting for a free place. */
  queuedMs = 0
  /** Milliseconds spent waiting for providers, all tries together. */
  upstreamMs = 0
  /** When the first event of a stream came. */
  firstTokenAt: number | undefined = undefined
  /** How its events followed each other; undefined while nothing was streamed. */
  pace: Pace | undefined = undefined
  /** The status the caller gets; undefined until there is an answer. */
  status: number | undefined = undefined
  /** Work that goes on without the call, or that it looked at. */
  later: Later | undefined = undefined
  /** What it cost, where the whole of its usage does not tell: `null` is not known; undefined is still to be found out. */
  cost: Cost | null | undefined = undefined
  /** Parameters that were left out. */
  dropped: readonly string[] = none
  /** The routing rule that decided where it goes; with a chain of rules the last. */
  rule: MatchedRule | undefined = undefined
  /** What was sent as a key, to be kept out of what is written down. */
  credential: Secret | undefined = undefined
  /** Whether somebody wants to know what was said, and not only how it went. */
  readonly wantsContent: boolean
  /** A tap stands between the relay and the caller, and notes what it lets through. */
  isTapped = false
  /** The whole answer, when it was one and is wanted. */
  answer: string | undefined = undefined
  /** How long the answer is: UTF-16 units of a whole one, bytes of a stream as far as it was sent. */
  answerLength = 0
  /** When the first provider was turned to. */
  askedAt: number | undefined = undefined
  /** When the provider that was asked last was turned to. */
  lastAskedAt: number | undefined = undefined
  /** Milliseconds between turning to a provider and sending it something, all tries together. */
  requestMs = 0
  /** When a provider was last heard of. */
  heardAt: number | undefined = undefined
  /** The type of an answer that is relayed as bytes. */
  answerType: string | undefined = undefined
  #isCountedOnly = false
  #sentAt: number | undefined = undefined
  #pieces: (Uint8Array | string)[] | undefined = undefined
  #piecesLength = 0

  constructor(call: Call, wantsContent: boolean) {
    this.provider = call.provider
    this.model = call.model
    this.wantsContent = wantsContent
  }

  /** A provider is being waited for from now on. */
  sent(at: number): void {
    if (this.#sentAt === undefined) this.lastAskedAt = at
    else this.requestMs += at - this.#sentAt
    this.askedAt ??= at
    this.#sentAt = at
  }

  /** It is not waited for any more: its answer is here, or will not come. */
  received(at: number): void {
    if (this.#sentAt === undefined) return
    this.upstreamMs += at - this.#sentAt
    this.heardAt = at
    this.#sentAt = undefined
  }

  /** Takes over what another attempt of the same call has noted of itself: it is the one that counts. */
  adopt(other: Books): void {
    this.provider = other.provider
    this.model = other.model
    this.keyId = other.keyId
    this.keyName = other.keyName
    this.fallbackIndex = other.fallbackIndex
    this.firstTokenAt = other.firstTokenAt
    this.pace = other.pace
    this.status = other.status
    this.dropped = other.dropped
    this.credential = other.credential
    this.answer = other.answer
    this.answerLength = other.answerLength
    this.answerType = other.answerType
    this.upstreamMs += other.upstreamMs
    this.askedAt ??= other.askedAt
    this.lastAskedAt = other.lastAskedAt
    this.requestMs += other.requestMs
    this.heardAt = other.heardAt
    this.#sentAt = other.#sentAt
  }

  /** So many events of a stream are handed over by now. */
  passedOn(at: number, events: number): void {
    if (this.firstTokenAt === undefined) return
    this.pace ??= new Pace(this.firstTokenAt)
    this.pace.noted(at, events)
  }

  failedTry(failure: FailedTry): void {
    this.failed ??= []
    this.failed.push(failure)
  }

  /** The whole answer is known. */
  answered(text: string): void {
    this.answerLength = text.length
    if (this.wantsContent) this.answer = text
  }

  /** The answer is relayed as bytes of this type; unless they are text, they are counted and not kept. */
  relays(contentType: string, mayBeKept: boolean): void {
    this.answerType = contentType
    this.#isCountedOnly = !mayBeKept || !isText(contentType)
  }

  /** Something of a streamed answer was handed over, by a relay or, where there is one, by the tap behind it. */
  wrote(piece: Uint8Array | string, isTap = false): void {
    if (this.isTapped && !isTap) return
    this.answerLength += piece.length
    if (!this.wantsContent || this.#isCountedOnly || this.#piecesLength >= maxAnswerBytes) return
    this.#pieces ??= []
    this.#pieces.push(piece)
    this.#piecesLength += piece.length
  }

  /** The answer as far as it is known, once; the pieces of a stream are let go. */
  takeAnswer(): Answer | undefined {
    const pieces = this.#pieces
    this.#pieces = undefined
    if (!pieces) return this.answer
    const bytes = pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))
    return new Uint8Array(Buffer.concat(bytes))
  }
}

const none: readonly string[] = []

/** A routing rule that matched a call. */
export interface MatchedRule {
  readonly id: string
  readonly name: string
}

/** Where the time of a call went that no provider took. */
export interface Overhead {
  /** From arrival until the first provider was turned to, waiting for a place included. */
  readonly askedMs: number
  /** From arrival until the provider that was asked last was turned to. */
  readonly lastAskedMs: number
  /** Making requests for providers and proving who we are, all tries together. */
  readonly requestMs: number
  /** From the last that was heard of a provider to the end. */
  readonly responseMs: number
}

/** One settled call, as the sinks get it. Clocks are milliseconds. */
export interface CallRecord {
  /** The request: id, endpoint, model asked for, stream, headers, body, trace. */
  readonly call: Call
  /** As `extra_fields.request_type`, `_stream` included. */
  readonly requestType: string
  /** Wall clock of the arrival, epoch milliseconds. */
  readonly arrivedAtMs: number
  readonly queuedMs: number
  /** All tries together; `totalMs - upstreamMs` is what the gateway itself took, queueing included. */
  readonly upstreamMs: number
  /** From arrival to the first event; undefined when nothing was streamed. */
  readonly firstTokenMs: number | undefined
  readonly pace?: Pace | undefined
  readonly totalMs: number
  /** Parts of the gateway's own time; undefined when no provider was turned to. */
  readonly overhead: Overhead | undefined
  /** Whose call it is; undefined without a virtual key. */
  readonly owner: Owner | undefined
  /** Undefined when no routing rule had a say. */
  readonly rule: MatchedRule | undefined
  readonly provider: string
  readonly keyId: string | undefined
  readonly keyName: string | undefined
  /** As the provider was asked for it: prefix removed, alias resolved. */
  readonly modelUsed: string | undefined
  readonly fallbackIndex: number
  readonly retries: number
  readonly attempts: number
  readonly failed: readonly FailedTry[]
  readonly dropped: readonly string[]
  readonly outcome: 'success' | 'error' | 'cancelled'
  /** HTTP status; of a stream that broke off, that of its error. */
  readonly status: number
  readonly error: GatewayError | undefined
  readonly errorClass: FailureClass | undefined
  readonly usage: Usage | undefined
  /** Undefined when nobody knows it, which is not the same as nothing. */
  readonly cost: Cost | undefined
  readonly answerLength: number
  /** Of an answer that was relayed as bytes. */
  readonly answerType?: string | undefined
  /** What was answered, when a sink asked for content. */
  readonly answer: Answer | undefined
  /** What was sent as a key by the last try. */
  readonly credential: Secret | undefined
}

/** Where settled calls go. Runs on the request path: it neither waits nor throws. */
export interface CallSink {
  /** Whether it will keep what is said in this call; asked once, when the call begins. */
  wantsContent?(call: Call): boolean
  /** Whether it listens at all now; a record is made only when somebody does. */
  readonly isListening: boolean
  settled(record: CallRecord): void
}
