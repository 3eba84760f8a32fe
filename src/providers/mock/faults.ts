// What can be made to go wrong with an answer, and how it is spelled. One grammar for the three places
// it may stand: the `x-mock-fault` header, the model name after a `!`, and the flags of `asbru mock`.
//
//   faults = fault *( ";" fault )        fault = name [ "=" number ]        spaces around both are ignored
//
// e.g. `status=429;retry-after=3` or `first-token-delay=50;chunk-delay=20;cut=1234`.

/** Misbehaviour of one answer; everything absent is a healthy answer. */
export interface Faults {
  /** Answer with this status (300–599) and an error in OpenAI's shape. */
  readonly status?: number
  /** `error.code` of that answer, e.g. `insufficient_quota`. */
  readonly code?: string
  /** `retry-after` header, in seconds. */
  readonly retryAfter?: number
  /** Silence before the status line, in milliseconds. */
  readonly latency?: number
  /** Silence between the headers and the first piece of the body, in milliseconds. */
  readonly firstTokenDelay?: number
  /** Silence before each further piece of a stream, in milliseconds. */
  readonly chunkDelay?: number
  /** The body ends after this many bytes; with `reset` it breaks off there, with `neverEnd` it stalls there. */
  readonly cut?: number
  /** A body, or the second event of a stream, that is not JSON. */
  readonly malformed?: true
  /** A stream stays open instead of ending; another body stalls half way. */
  readonly neverEnd?: true
  /** The connection breaks instead of the body ending; without `cut`, before the first byte. */
  readonly reset?: true
  /** An HTML page instead of JSON or events, with status 200 unless `status` says otherwise. */
  readonly html?: true
  /** Headers and an empty body. */
  readonly empty?: true
  /** Status 200 with `{"error":…}` as the body. */
  readonly errorBody?: true
  /** Event number N (from 0) of a stream is an error and the last one. */
  readonly errorEvent?: number
  /** A stream without its end marker (`[DONE]`, or the terminal event). */
  readonly noDone?: true
  /** A chat stream without finish reasons. */
  readonly noFinish?: true
  /** The body is gzip-encoded, and sent whole. */
  readonly gzip?: true
  /** Number of pieces that the text has: its words, over and over; with `size`, equal parts. */
  readonly chunks?: number
  /** Length of the answer's text, in bytes. */
  readonly size?: number
}

interface FaultRule {
  readonly key: keyof Faults
  /** What may follow the `=`; `flag` takes nothing. */
  readonly takes: 'flag' | 'word' | readonly [min: number, max: number]
  /** One line for `asbru mock --help`. */
  readonly about: string
}

const tenMinutes = 600_000

// prettier-ignore
/** Every fault by the name it is written with. */
export const FAULTS: ReadonlyMap<string, FaultRule> = new Map<string, FaultRule>([
  ['status', { key: 'status', takes: [300, 599], about: 'answer with this HTTP status and an error body' }],
  ['code', { key: 'code', takes: 'word', about: 'error.code of that body' }],
  ['retry-after', { key: 'retryAfter', takes: [0, 86_400], about: 'retry-after header, seconds' }],
  ['latency', { key: 'latency', takes: [0, tenMinutes], about: 'wait before the headers, ms' }],
  ['first-token-delay', { key: 'firstTokenDelay', takes: [0, tenMinutes], about: 'wait before the first piece of the body, ms' }],
  ['chunk-delay', { key: 'chunkDelay', takes: [0, tenMinutes], about: 'wait before every further piece of a stream, ms' }],
  ['cut', { key: 'cut', takes: [0, 2 ** 26], about: 'end the body after this many bytes' }],
  ['malformed', { key: 'malformed', takes: 'flag', about: 'send broken JSON' }],
  ['never-end', { key: 'neverEnd', takes: 'flag', about: 'never finish the body' }],
  ['reset', { key: 'reset', takes: 'flag', about: 'break the connection instead of ending the body' }],
  ['html', { key: 'html', takes: 'flag', about: 'answer with an HTML page' }],
  ['empty', { key: 'empty', takes: 'flag', about: 'answer with an empty body' }],
  ['error-body', { key: 'errorBody', takes: 'flag', about: 'answer 200 with an error object' }],
  ['error-event', { key: 'errorEvent', takes: [0, 1_000_000], about: 'make event N of a stream an error' }],
  ['no-done', { key: 'noDone', takes: 'flag', about: 'leave out the end marker of a stream' }],
  ['no-finish', { key: 'noFinish', takes: 'flag', about: 'leave out the finish reasons of a chat stream' }],
  ['gzip', { key: 'gzip', takes: 'flag', about: 'gzip the body' }],
  ['chunks', { key: 'chunks', takes: [1, 100_000], about: 'answer with N pieces: words of the text, again and again, or what --size makes' }],
  ['size', { key: 'size', takes: [0, 2 ** 24], about: 'length of the answer text, bytes' }],
])

/** A fault string that cannot be read; the message says which part and why. */
export class FaultSyntaxError extends Error {}

const none: Faults = Object.freeze({})

/** The faults written in `text`; an empty text means none. Throws `FaultSyntaxError` on anything else it cannot read. */
export function parseFaults(text: string): Faults {
  if (text.trim() === '') return none
  const found: Record<string, number | string | true> = {}
  for (const part of text.split(';')) {
    const equals = part.indexOf('=')
    const name = (equals === -1 ? part : part.slice(0, equals)).trim()
    const value = equals === -1 ? undefined : part.slice(equals + 1).trim()
    const rule = FAULTS.get(name)
    if (!rule) throw new FaultSyntaxError(`unknown fault '${name}'`)
    if (rule.key in found) throw new FaultSyntaxError(`fault '${name}' stands twice`)
    found[rule.key] = readFault(name, rule, value)
  }
  return found
}

function readFault(
  name: string,
  rule: FaultRule,
  value: string | undefined,
): number | string | true {
  if (rule.takes === 'flag') {
    if (value !== undefined) throw new FaultSyntaxError(`fault '${name}' takes no value`)
    return true
  }
  if (value === undefined || value === '')
    throw new FaultSyntaxError(`fault '${name}' needs a value`)
  if (rule.takes === 'word') {
    if (!/^\w{1,64}$/.test(value)) throw new FaultSyntaxError(`fault '${name}' needs a word`)
    return value
  }
  const [min, max] = rule.takes
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  if (!(number >= min && number <= max)) {
    throw new FaultSyntaxError(`fault '${name}' needs a whole number from ${min} to ${max}`)
  }
  return number
}
