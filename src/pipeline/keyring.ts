import type { Key } from '#config/snapshot.ts'

import { drawKey, keyById } from './keys.ts'
import { foremost } from './ranks.ts'
import type { Rank } from './ranks.ts'

/** What is known of the keys while a call is under way. */
export interface KeyFacts {
  /** It should not be asked now, if any other can be. */
  readonly isOut: (key: Key) => boolean
  /** It has as many calls in flight as it may have; undefined where no key has a limit. */
  readonly isFull?: ((key: Key) => boolean) | undefined
  /** Smaller is better; undefined draws by weight alone. */
  readonly load?: ((key: Key) => number) | undefined
  /** Keys of a lower rank are asked before others; undefined where all are alike. */
  readonly rank?: Rank | undefined
  /** Id of the key that the caller's session was served with before. */
  readonly preferred?: string | undefined
  /** In [0, 1); `Math.random` when absent. */
  readonly random?: (() => number) | undefined
}

/** Draws by weight that may miss before all keys are looked at. */
const maxMisses = 8

/**
 * The keys of one candidate during one call: which is in use, and which are left. A key that is out is drawn only when
 * all the others are too: some target always stays. What it costs does not depend on how many keys there are, as long
 * as most of them can be used.
 */
export class Keyring {
  readonly #facts: KeyFacts
  readonly #keys: readonly Key[]
  readonly #random: () => number
  #used: Key[] = []
  #current: Key | undefined
  #awaited: readonly Key[] | undefined

  constructor(keys: readonly Key[], facts: KeyFacts) {
    this.#keys = keys
    this.#facts = facts
    this.#random = facts.random ?? Math.random
    if (keys.length > 0) this.#draw()
  }

  /** Undefined where no key is needed, and while `awaited` is set. */
  get current(): Key | undefined {
    return this.#current
  }

  /** All that would do are full: one of these has to be waited for, and given to `use`. */
  get awaited(): readonly Key[] | undefined {
    return this.#awaited
  }

  /** Keys that this call has not used. */
  get left(): number {
    return this.#keys.length - this.#used.length
  }

  /** The key that the call goes on with. */
  use(key: Key): void {
    if (this.#current !== key) this.#used.push(key)
    this.#current = key
    this.#awaited = undefined
  }

  /** Takes another key; false when every one has been used. */
  rotate(): boolean {
    if (this.left === 0) return false
    this.#draw()
    return true
  }

  #draw(): void {
    const { preferred, isFull } = this.#facts
    const keys = this.#keys
    const known = preferred === undefined ? undefined : keyById(keys, preferred)
    const key = known && this.#isUp(known) ? known : this.#choose()
    if (key) {
      this.use(key)
      return
    }
    const fresh = this.#used.length === 0 ? keys : keys.filter((one) => !this.#used.includes(one))
    const up = fresh.filter((one) => !this.#facts.isOut(one))
    const free = isFull ? fresh.filter((one) => !isFull(one)) : fresh
    if (up.length === 0 && free.length > 0) {
      this.use(drawKey(foremost(free, this.#facts.rank), this.#random()))
      return
    }
    this.#current = undefined
    this.#awaited = up.length === fresh.length || up.length === 0 ? fresh : up
  }

  /** One that can be used now, by weight; undefined when there is none. */
  #choose(): Key | undefined {
    const { rank } = this.#facts
    if (rank) {
      const up = this.#keys.filter((key) => this.#isUp(key))
      return up.length === 0 ? undefined : drawKey(foremost(up, rank), this.#random())
    }
    const one = this.#pick(undefined)
    const { load } = this.#facts
    if (!one || !load || this.left < 2) return one
    // The better of two draws: nearly as good as the best of all, and no herd runs to it.
    const other = this.#pick(one)
    return other && load(other) < load(one) ? other : one
  }

  #pick(besides: Key | undefined): Key | undefined {
    const keys = this.#keys
    if (keys.length === 1)
      return besides === undefined && this.#isUp(keys[0]!) ? keys[0] : undefined
    // Drawn among all and dropped when it cannot be used: that is the same as drawing among those that can.
    for (let misses = 0; misses < maxMisses; misses++) {
      const key = drawKey(keys, this.#random())
      if (key !== besides && this.#isUp(key)) return key
    }
    const up = keys.filter((key) => key !== besides && this.#isUp(key))
    return up.length === 0 ? undefined : drawKey(up, this.#random())
  }

  #isUp(key: Key): boolean {
    const { isOut, isFull } = this.#facts
    return !this.#used.includes(key) && !(isFull?.(key) ?? false) && !isOut(key)
  }
}
