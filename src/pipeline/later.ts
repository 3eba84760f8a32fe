import { isRecord } from '#config/record.ts'
import type { Call } from '#core/call.ts'

// Batches and responses in the background: one call begins them, and others, as many as the caller likes, look how they
// are. What they used is told to each of those, and is counted once: when the process that began them first sees that
// they are done. One that another process began is not counted, since nobody knows whether it has been.

/** What an answer says of work that goes on without a call. */
export interface Later {
  readonly id: string
  readonly model: string | undefined
  readonly isDone: boolean
}

/** Undefined for calls that neither begin such work nor look at it. */
export function laterIn({ endpoint, body }: Call, text: string): Later | undefined {
  const isBegun =
    endpoint === 'responses' && body.kind === 'json' && body.value['background'] === true
  if (!isBegun && !tells.has(endpoint)) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (!isRecord(value)) return undefined
    const { id, model, status } = value
    if (typeof id !== 'string') return undefined
    return { id, model: typeof model === 'string' ? model : undefined, isDone: done.has(status) }
  } catch {
    // Of long answers only the structure has been proved.
    return undefined
  }
}

const tells: ReadonlySet<string> = new Set(['batch_create', 'batch_retrieve', 'responses_retrieve'])
const done: ReadonlySet<unknown> = new Set([
  ...['completed', 'incomplete', 'failed', 'cancelled', 'expired'],
])

/** Work that has been begun and is not known to be done; the oldest is forgotten first. */
export class Unfinished {
  readonly #ids = new Set<string>()
  readonly #limit: number

  constructor(limit = 10_000) {
    this.#limit = limit
  }

  begun(provider: string, { id }: Later): void {
    if (this.#ids.size >= this.#limit) {
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest)
        break
      }
    }
    this.#ids.add(`${provider}\n${id}`)
  }

  /** Whether what it used is to be counted now. */
  ended(provider: string, { id, isDone }: Later): boolean {
    return isDone && this.#ids.delete(`${provider}\n${id}`)
  }
}
