import { numbersOfRow } from './logs-parcel.ts'
import type { Parcel } from './logs-parcel.ts'
import type { LogRow } from './logs-schema.ts'

// Rows on their way out of the thread that serves, which pays for it: numbers and texts go into memory that the thread
// that writes sees as well, and names once for all rows, as soon as a call has ended. Rows that waited would be looked at
// by every collection, and what crosses over in a message is copied there and back into memory that is new each time.

/** Of the memory for texts. More is there for one batch. */
const usualTextBytes = 3 * 1024 * 1024
const bytesOfUnit = 3
/** Of a text whose beginning is one long word. */
const marginChars = 2048

/** What is said in a row, in UTF-16 units, or bytes. */
export function charsOf({ request, answer }: LogRow): number {
  return (request?.length ?? 0) + (answer?.length ?? 0)
}

/** Room for up to so many rows, for one batch after the other. */
export class Batch {
  count = 0
  /** What is said in the rows. */
  chars = 0
  /** So much is taken of what the user said last; it is there to be found by, and for lists. */
  maxAsked = Number.POSITIVE_INFINITY
  readonly #memory: SharedArrayBuffer
  readonly #numbers: Float64Array
  #texts: Buffer<SharedArrayBuffer> = textsOf(usualTextBytes)
  readonly #names: string[] = []
  readonly #known = new Map<string, number>()
  readonly #secrets: (readonly string[])[] = []
  readonly #lists = new Map<string, number>()
  readonly #streams: [number, Uint8Array][] = []
  #at = 0
  #used = 0

  constructor(rows: number) {
    this.#memory = new SharedArrayBuffer(rows * numbersOfRow * Float64Array.BYTES_PER_ELEMENT)
    this.#numbers = new Float64Array(this.#memory)
  }

  /** Takes a row, which is not used any more afterwards. Throws RangeError when there is no room. */
  add(row: LogRow): void {
    if ((this.count + 1) * numbersOfRow > this.#numbers.length) {
      throw new RangeError('too many rows for one batch')
    }
    // What an error left half done is written over.
    this.#at = this.count * numbersOfRow
    const used = this.#used
    try {
      this.#pack(row)
    } catch (thrown) {
      this.#used = used
      throw thrown
    }
    if (row.answer instanceof Uint8Array) this.#streams.push([this.count, row.answer])
    this.chars += charsOf(row)
    this.count++
  }

  /** The rows as they cross over. Only until `clear`. */
  parcel(): Parcel {
    return {
      count: this.count,
      numbers: this.#memory,
      names: JSON.stringify(this.#names),
      secrets: JSON.stringify(this.#secrets),
      texts: this.#texts.buffer,
      textBytes: this.#used,
      chars: this.chars,
      ...(this.#streams.length > 0 && { streams: this.#streams }),
    }
  }

  /** The rows have arrived, or are lost. */
  clear(): void {
    this.count = 0
    this.chars = 0
    this.#used = 0
    this.#names.length = 0
    this.#known.clear()
    this.#secrets.length = 0
    this.#lists.clear()
    this.#streams.length = 0
    if (this.#texts.length > usualTextBytes) this.#texts = textsOf(usualTextBytes)
  }

  /** One by one, in the order that `ParcelReader` knows: a loop over names would take as long as all the rest. */
  #pack(row: LogRow): void {
    this.#number(row.atMs)
    this.#number(row.stream ? 1 : 0)
    this.#number(row.statusCode)
    this.#number(row.latencyMs)
    this.#number(row.queuedMs)
    this.#number(row.upstreamMs)
    this.#number(row.firstTokenMs)
    this.#number(row.promptTokens)
    this.#number(row.completionTokens)
    this.#number(row.totalTokens)
    this.#number(row.cachedTokens)
    this.#number(row.cost)
    this.#number(row.fallbackIndex)
    this.#number(row.retries)
    this.#number(row.attempts)
    this.#name(row.status)
    this.#name(row.dropped)
    this.#name(row.object)
    this.#name(row.provider)
    this.#name(row.model)
    this.#name(row.modelUsed)
    this.#name(row.keyId)
    this.#name(row.keyName)
    this.#name(row.virtualKeyId)
    this.#name(row.virtualKeyName)
    this.#name(row.teamId)
    this.#name(row.teamName)
    this.#name(row.customerId)
    this.#name(row.customerName)
    this.#name(row.userId)
    this.#name(row.userName)
    this.#name(row.ruleId)
    this.#name(row.ruleName)
    this.#name(row.engines)
    this.#name(row.cacheHitType)
    this.#name(row.userAgent)
    this.#text(row.id)
    this.#text(row.sessionId)
    this.#text(row.usage)
    this.#text(row.error)
    this.#text(row.trail)
    this.#text(row.metadata)
    this.#text(row.trace)
    const { asked } = row
    this.#text(asked && asked.length > this.maxAsked ? wholeWords(asked, this.maxAsked) : asked)
    this.#text(row.request)
    const { answer } = row
    this.#text(answer instanceof Uint8Array ? undefined : answer)
    const own = row.secrets.length === 0 ? '' : row.secrets.join('\n')
    let place = this.#lists.get(own)
    if (place === undefined) {
      place = this.#secrets.push(row.secrets) - 1
      this.#lists.set(own, place)
    }
    this.#number(place)
  }

  #number(value: number | undefined): void {
    this.#numbers[this.#at++] = value ?? Number.NaN
  }

  /** Callers, models and keys are the same again and again. */
  #name(value: string | undefined): void {
    if (value === undefined) {
      this.#numbers[this.#at++] = -1
      return
    }
    let place = this.#known.get(value)
    if (place === undefined) {
      place = this.#names.push(value) - 1
      this.#known.set(value, place)
    }
    this.#numbers[this.#at++] = place
  }

  #text(value: string | undefined): void {
    const length = value === undefined ? -1 : value.length
    if (value !== undefined) {
      const most = length * bytesOfUnit
      if (most > this.#texts.length - this.#used) this.#makeRoom(most)
      this.#used += this.#texts.write(value, this.#used, 'utf8')
    }
    this.#numbers[this.#at++] = length
    this.#numbers[this.#at++] = this.#used
  }

  #makeRoom(bytes: number): void {
    const larger = textsOf(Math.max(this.#used + bytes, this.#texts.length * 2))
    larger.set(this.#texts.subarray(0, this.#used))
    this.#texts = larger
  }
}

function textsOf(bytes: number): Buffer<SharedArrayBuffer> {
  return Buffer.from(new SharedArrayBuffer(bytes))
}

/**
 * The beginning of a text, without the word that a cut there would go through: it may be half of a key, which nobody
 * would recognise. Keys are words of ASCII; a text that begins with one longer than the limit is cut later, with keys out
 * of it.
 */
function wholeWords(text: string, maxChars: number): string {
  let end = maxChars
  if (isOfKey(text.charCodeAt(end))) while (end > 0 && isOfKey(text.charCodeAt(end - 1))) end--
  return text.slice(0, end > 0 ? end : maxChars + marginChars)
}

/** Whether a unit may stand in a key: what is seen of ASCII. */
function isOfKey(unit: number): boolean {
  return unit > 0x20 && unit < 0x7f
}
