import { NAMED, NUMBERS } from './logs-tables.ts'
import { stringOf } from './logs-text.ts'
import type { PackedText } from './logs-text.ts'

// Rows as they cross over from the thread that serves (`logs-batch.ts`) to the one that writes, which reads them where
// they are: to make objects of them would take as long as to write some of them.

/** A batch of rows. What is not in memory that both see crosses over as strings, which nobody has to look at. */
export interface Parcel {
  readonly count: number
  /** Numbers of the rows, `numbersOfRow` of each. */
  readonly numbers: SharedArrayBuffer
  /** JSON text: what many rows have in common, such as models. */
  readonly names: string
  /** JSON text: lists of what is to be taken out of rows. */
  readonly secrets: string
  /** What else is text of all rows, one after the other, in UTF-8. */
  readonly texts: SharedArrayBuffer
  /** How much of that is used. */
  readonly textBytes: number
  /** What is said in the rows, in UTF-16 units, or bytes. */
  readonly chars: number
  /** Answers that are bytes, by the place of their row; not there when there are none. */
  readonly streams?: readonly (readonly [number, Uint8Array])[]
}

/** Names that are found out where a row is written. */
const foundLater: ReadonlySet<string> = new Set(['stop_reason', 'app'])

/** What of a row are names, in this order; the first two and the last are no columns of `calls`. */
export const PARCEL_NAMES = ['status', 'dropped', ...NAMED.filter((name) => !foundLater.has(name))]
export const PARCEL_TEXTS = [
  ...['id', 'session_id', 'usage', 'error', 'trail', 'metadata', 'trace'],
  ...['asked', 'request', 'answer'],
] as const
export type ParcelText = (typeof PARCEL_TEXTS)[number]

/** A time, `NUMBERS`, `PARCEL_NAMES`, two of each of `PARCEL_TEXTS`, and which secrets are to be looked for. */
const namesFrom = 1 + NUMBERS.length
const textsFrom = namesFrom + PARCEL_NAMES.length
const secretsFrom = textsFrom + 2 * PARCEL_TEXTS.length
export const numbersOfRow = secretsFrom + 1

/** Where the names of `NAMED` are among those of a row; -1 for those that are not there. */
const placesOfNamed = NAMED.map((name) => PARCEL_NAMES.indexOf(name))
const placeOfText = Object.fromEntries(
  PARCEL_TEXTS.map((name, i) => [name, textsFrom + 2 * i]),
) as Readonly<Record<ParcelText, number>>

/** Reads a parcel row by row. */
export class ParcelReader {
  readonly count: number
  readonly chars: number
  /** By the numbers that rows have for them. */
  readonly names: readonly string[]
  readonly secretLists: readonly (readonly string[])[]
  readonly #numbers: Float64Array
  readonly #texts: Buffer
  readonly #streams: ReadonlyMap<number, Uint8Array>
  #from = 0
  #row = 0

  constructor(parcel: Parcel) {
    this.count = parcel.count
    this.chars = parcel.chars
    this.names = JSON.parse(parcel.names) as string[]
    this.secretLists = JSON.parse(parcel.secrets) as string[][]
    this.#numbers = new Float64Array(parcel.numbers)
    this.#texts = Buffer.from(parcel.texts)
    this.#streams = new Map(parcel.streams)
  }

  /** From now on everything is said of this row. */
  goTo(row: number): void {
    this.#row = row
    this.#from = row * numbersOfRow
  }

  get atMs(): number {
    return this.#numbers[this.#from]!
  }

  /** A value of `NUMBERS`; null for none. */
  number(place: number): number | null {
    const value = this.#numbers[this.#from + 1 + place]!
    return value === value ? value : null
  }

  /** Which of `names` a place of `NAMED` has; -1 for none, and for what is found out later. */
  nameOf(place: number): number {
    const among = placesOfNamed[place]!
    return among < 0 ? -1 : this.#numbers[this.#from + namesFrom + among]!
  }

  get status(): string {
    return this.names[this.#numbers[this.#from + namesFrom]!]!
  }

  get dropped(): string | undefined {
    return this.names[this.#numbers[this.#from + namesFrom + 1]!]
  }

  text(name: ParcelText): string | undefined {
    const found = this.packed(name)
    return found && stringOf(found)
  }

  /** A text where it lies. */
  packed(name: ParcelText): PackedText | undefined {
    const at = this.#from + placeOfText[name]
    const chars = this.#numbers[at]!
    if (chars < 0) return undefined
    // It begins where the one before it ends: behind the secrets of the row before, or nowhere.
    const before = name === 'id' ? at - textsFrom - 2 : at - 1
    const from = before < 0 ? 0 : this.#numbers[before]!
    // As whole numbers: for the engine they are fractions otherwise, with which it finds bytes far more slowly.
    const until = this.#numbers[at + 1]! | 0
    return { memory: this.#texts, from: from | 0, until, chars: chars | 0 }
  }

  /** The answer, if it is the bytes of a stream. */
  get stream(): Uint8Array | undefined {
    return this.#streams.get(this.#row)
  }

  /** What is to be taken out of every text of the row, beside the configured secrets. */
  get secrets(): readonly string[] {
    return this.secretLists[this.#numbers[this.#from + secretsFrom]!] ?? []
  }
}
