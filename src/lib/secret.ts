const redacted = '[redacted]'

/**
 * A string that must not be printed. Logging, `JSON.stringify`, template literals and `util.inspect`
 * all show `[redacted]`; only `reveal()` gives the value, and only `authorize` code should call it.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself. */
  reveal(): string {
    return this.#value
  }

  get isEmpty(): boolean {
    return this.#value === ''
  }

  /** First and last characters with a masked middle, for `check` and error messages; short secrets show nothing. */
  hint(): string {
    const value = this.#value
    return value.length < 12 ? redacted : `${value.slice(0, 3)}…${value.slice(-2)}`
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return redacted
  }
}
