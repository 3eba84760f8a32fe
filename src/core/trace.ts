/** Facts of a decision beyond its sentence; names in snake case, as callers see them. Never a secret. */
export type Facts = Readonly<Record<string, unknown>>

/** One decision taken for a call, with its reason, in the order they were taken. */
export interface Decision {
  /** Milliseconds since the call arrived. */
  readonly atMs: number
  readonly step:
    'parse' | 'route' | 'candidate' | 'key' | 'queue' | 'params' | 'attempt' | 'stream' | 'settle'
  readonly what: string
  readonly facts: Facts | undefined
}

/** A decision as JSON. */
export type WireDecision = Readonly<Record<string, unknown>> & {
  readonly at_ms: number
  readonly step: Decision['step']
  readonly what: string
}

const maxDecisions = 200
const maxWhatChars = 500
/** Of all that is shown of one call, in characters of JSON. */
const maxShownChars = 64 * 1024
const maxHeaderChars = 4096

/**
 * The trace of a call's own decisions; bounded, cheap to append, rendered only when somebody asks. What costs more
 * than a sentence to say is only worth saying when `isDetailed`.
 */
export class Trace {
  /** Somebody will look: the caller asked for an explanation. */
  readonly isDetailed: boolean
  readonly #startedAt: number
  readonly #decisions: Decision[] = []
  #omitted = 0

  constructor(startedAt: number, isDetailed = false) {
    this.#startedAt = startedAt
    this.isDetailed = isDetailed
  }

  add(step: Decision['step'], what: string, facts?: Facts): void {
    if (this.#decisions.length < maxDecisions) {
      this.#decisions.push({ atMs: performance.now() - this.#startedAt, step, what, facts })
    } else this.#omitted++
  }

  list(): readonly Decision[] {
    return this.#decisions
  }

  /** What the caller is shown: at most 64 KB of JSON, the last entry saying how much is missing. */
  shown(): readonly WireDecision[] {
    const shown: WireDecision[] = []
    let chars = 0
    for (const decision of this.#decisions) {
      const wire = toWire(decision)
      chars += JSON.stringify(wire).length
      if (chars > maxShownChars) break
      shown.push(wire)
    }
    const missing = this.#decisions.length - shown.length + this.#omitted
    if (missing > 0) shown.push({ at_ms: this.#now(), step: 'settle', what: more(missing) })
    return shown
  }

  /** The decisions in one line of printable ASCII, at most 4 KB: `0.1 route: …; 0.3 key: …`. */
  header(): string {
    let line = ''
    let left = this.#decisions.length
    for (const { atMs, step, what } of this.#decisions) {
      const entry = `${atMs.toFixed(1)} ${step}: ${ascii(short(what))}`
      // What says that something is missing needs its place as well.
      if (line.length + entry.length + 50 > maxHeaderChars) break
      line += line === '' ? entry : `; ${entry}`
      left--
    }
    const missing = left + this.#omitted
    return missing > 0 ? `${line}; ${more(missing)}` : line
  }

  #now(): number {
    return round(performance.now() - this.#startedAt)
  }
}

function toWire({ atMs, step, what, facts }: Decision): WireDecision {
  return { at_ms: round(atMs), step, what: short(what), ...facts }
}

function more(missing: number): string {
  return `${missing} more decisions are not shown`
}

function short(what: string): string {
  return what.length > maxWhatChars ? `${what.slice(0, maxWhatChars).toWellFormed()}…` : what
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}

function ascii(text: string): string {
  return /^[\x20-\x7e]*$/.test(text)
    ? text
    : text.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (character) => encodeURIComponent(character))
}
