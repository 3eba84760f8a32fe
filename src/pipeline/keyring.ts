import type { Key } from '#config/snapshot.ts'

import { drawKey } from './keys.ts'

/** What is known of the keys while a call is under way. */
export interface KeyFacts {
  /** It should not be asked now, if any other can be. */
  isOut(key: Key): boolean
  /** Smaller is better; undefined draws by weight alone. */
  readonly load?: ((key: Key) => number) | undefined
  /** Id of the key that the caller's session was served with before. */
  readonly preferred?: string | undefined
}

/**
 * The keys of one candidate during one call: which is in use, and which are left. A key that is out is drawn only when
 * all the others are too: some target always stays.
 */
export class Keyring {
  readonly #facts: KeyFacts
  #fresh: readonly Key[]
  /** Undefined where no key is needed. */
  current: Key | undefined

  constructor(keys: readonly Key[], facts: KeyFacts) {
    this.#fresh = keys
    this.#facts = facts
    this.#draw()
  }

  /** Keys that this call has not used. */
  get left(): number {
    return this.#fresh.length
  }

  /** Takes another key; false when every one has been used. */
  rotate(): boolean {
    if (this.#fresh.length === 0) return false
    this.#draw()
    return true
  }

  #draw(): void {
    const keys = this.#fresh
    if (keys.length <= 1) {
      this.current = keys[0]
      this.#fresh = none
      return
    }
    const up = keys.filter((key) => !this.#facts.isOut(key))
    const { preferred } = this.#facts
    const known = preferred === undefined ? undefined : up.find(({ id }) => id === preferred)
    const key = known ?? this.#choose(up.length > 0 ? up : keys)
    this.current = key
    this.#fresh = keys.filter((other) => other !== key)
  }

  #choose(keys: readonly Key[]): Key {
    const { load } = this.#facts
    const one = drawKey(keys, Math.random())
    if (!load || keys.length === 1) return one
    // The better of two draws: nearly as good as the best of all, and no herd runs to it.
    const other = drawKey(
      keys.filter((key) => key !== one),
      Math.random(),
    )
    return load(other) < load(one) ? other : one
  }
}

const none: readonly Key[] = []
