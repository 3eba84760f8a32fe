import type { Key } from '#config/snapshot.ts'

import { drawKey } from './keys.ts'

/** The keys of one candidate during one call: which is in use, and which are left. */
export class Keyring {
  #fresh: readonly Key[]
  /** Undefined where no key is needed. */
  current: Key | undefined

  constructor(keys: readonly Key[]) {
    this.#fresh = keys
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
    if (keys.length === 0) return
    const key = drawKey(keys, keys.length === 1 ? 0 : Math.random())
    this.current = key
    // Most calls need one key and never look at the rest.
    this.#fresh = keys.length === 1 ? none : keys.filter((other) => other !== key)
  }
}

const none: readonly Key[] = []
