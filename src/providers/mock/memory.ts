// What the mock remembers between requests: bounded, oldest forgotten first, gone with the process.

import { invalid, MockFailure } from './answer.ts'
import type { ResponseObject } from './response-object.ts'

const mebibyte = 2 ** 20

/** Anything with an id and a size. */
export interface Kept {
  readonly id: string
}

interface Entry<T> {
  readonly item: T
  readonly bytes: number
  /** How many things were kept before it; replacing keeps the place. */
  readonly rank: number
}

/** A bounded map that forgets what was used least recently. */
export class Shelf<T extends Kept> {
  readonly #items = new Map<string, Entry<T>>()
  readonly #maxItems: number
  readonly #maxBytes: number
  #bytes = 0
  #kept = 0

  constructor(limits: { maxItems?: number; maxBytes?: number } = {}) {
    this.#maxItems = limits.maxItems ?? 1000
    this.#maxBytes = limits.maxBytes ?? 64 * mebibyte
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Keeps or replaces `item`; `bytes` is what it weighs. One that can never fit is refused with a 413. */
  put(item: T, bytes: number): T {
    if (bytes > this.#maxBytes) {
      throw new MockFailure({
        status: 413,
        message: `The mock keeps at most ${this.#maxBytes} bytes.`,
        code: 'request_too_large',
      })
    }
    const rank = this.#items.get(item.id)?.rank ?? this.#kept++
    this.take(item.id)
    this.#items.set(item.id, { item, bytes, rank })
    this.#bytes += bytes
    for (const oldest of this.#items.keys()) {
      if (this.#items.size <= this.#maxItems && this.#bytes <= this.#maxBytes) break
      this.take(oldest)
    }
    return item
  }

  get(id: string): T | undefined {
    const entry = this.#items.get(id)
    if (!entry) return undefined
    this.#items.delete(id)
    this.#items.set(id, entry)
    return entry.item
  }

  /** Removes and returns. */
  take(id: string): T | undefined {
    const entry = this.#items.get(id)
    if (!entry) return undefined
    this.#items.delete(id)
    this.#bytes -= entry.bytes
    return entry.item
  }

  /** Everything kept, oldest first. */
  all(): T[] {
    return [...this.#items.values()].toSorted((a, b) => a.rank - b.rank).map(({ item }) => item)
  }
}

/** One page of a list, as OpenAI's cursor pages are: newest first unless `order=asc`. */
export function page(
  items: readonly Kept[],
  query: URLSearchParams,
  usual: 'asc' | 'desc' = 'desc',
): Page {
  const limit = pageLimit(query.get('limit'))
  const ordered = (query.get('order') ?? usual) === 'asc' ? items : items.toReversed()
  const after = query.get('after')
  const start = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1
  const data = ordered.slice(start, start + limit)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < ordered.length,
  }
}

/** The wire form of a page. */
export interface Page {
  readonly object: 'list'
  readonly data: readonly Kept[]
  readonly first_id: string | null
  readonly last_id: string | null
  readonly has_more: boolean
}

function pageLimit(text: string | null): number {
  if (text === null) return 20
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
    throw invalid('limit', 'a whole number from 1 to 10000')
  return limit
}

/** A stored chat completion and what it answered. */
export interface StoredChat extends Kept {
  completion: Kept & Readonly<Record<string, unknown>>
  readonly messages: readonly Kept[]
}

/** A stored response and what it answered. */
export interface StoredResponse extends Kept {
  response: ResponseObject
  readonly input: readonly Kept[]
  /** How many looks at it find it unfinished, plus one; 0 when it is done. */
  pollsLeft: number
}

/** An object with content. */
export interface StoredFile extends Kept {
  readonly object: Record<string, unknown>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly contentType: string
}

/** An upload that is being put together. */
export interface StoredUpload extends Kept {
  object: Record<string, unknown>
  readonly parts: Map<string, Uint8Array<ArrayBuffer>>
}

/** An object that is all metadata. */
export interface StoredObject extends Kept {
  object: Record<string, unknown>
}

/** One shelf per noun. */
export interface Memory {
  readonly chats: Shelf<StoredChat>
  readonly responses: Shelf<StoredResponse>
  readonly files: Shelf<StoredFile>
  readonly uploads: Shelf<StoredUpload>
  readonly batches: Shelf<StoredObject>
  readonly videos: Shelf<StoredObject>
  readonly containers: Shelf<StoredObject>
  readonly containerFiles: Shelf<StoredFile & { readonly containerId: string }>
}

/** An empty memory; `maxItems` bounds every shelf, `maxBytes` each of the shelves. */
export function newMemory(limits: { maxItems?: number; maxBytes?: number } = {}): Memory {
  return {
    chats: new Shelf(limits),
    responses: new Shelf(limits),
    files: new Shelf(limits),
    uploads: new Shelf(limits),
    batches: new Shelf(limits),
    videos: new Shelf(limits),
    containers: new Shelf(limits),
    containerFiles: new Shelf(limits),
  }
}
