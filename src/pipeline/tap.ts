import { createEventSplitter } from '#lib/sse.ts'

import type { Books } from './books.ts'
import { eventsIn, latin1 } from './event-bytes.ts'
import type { EventSlice } from './event-bytes.ts'
import type { Sink } from './outcome.ts'
import { createSeam } from './seam.ts'
import type { Seam } from './seam.ts'

/** Tokens as a chat stream counts them. */
export interface Spent {
  readonly prompt: number
  readonly completion: number
}

const encoder = new TextEncoder()

type Json = Record<string, unknown>

/**
 * The caller's end of a chat stream that may be continued by somebody else. It reads along, keeps the text, holds back
 * the event that says that the stream broke, and makes one stream of several.
 */
export class Tap implements Sink {
  readonly #sink: Sink
  readonly #books: Books
  readonly #splitter = createEventSplitter()
  /** What the caller has been told so far. */
  text = ''
  /** It has said something that nobody else can go on with: tools, several answers, a refusal, sounds. */
  isIntricate = false
  #hasRole = false
  #id: unknown
  #created: unknown
  #seam: Seam | undefined
  #spent: Spent = { prompt: 0, completion: 0 }
  #mark: string | undefined
  #failure: Uint8Array | undefined

  constructor(sink: Sink, books: Books) {
    this.#sink = sink
    this.#books = books
  }

  /** What comes next is a continuation: `comment` goes out at once, `mark` (JSON) with its first chunk, if any. */
  continues(comment: string, mark: string | undefined, spent: Spent): void {
    this.#failure = undefined
    this.#seam = createSeam(this.text)
    this.#mark = mark
    this.#spent = spent
    void this.#pass(comment)
  }

  /** Lets the event out that says that the stream broke: nobody goes on. */
  giveUp(): void {
    if (this.#failure) void this.#pass(this.#failure)
    this.#failure = undefined
  }

  write(piece: Uint8Array | string): number | Promise<number> {
    const bytes = typeof piece === 'string' ? encoder.encode(piece) : piece
    const run = this.#splitter.push(bytes)
    if (!run) return bytes.length
    let waiting: Promise<number> | undefined
    for (const event of eventsIn(run, latin1(run))) {
      const out = this.#read(event)
      const written = out === undefined ? 0 : this.#pass(out)
      if (written instanceof Promise) waiting = written
    }
    return waiting ?? bytes.length
  }

  flush(): number | Promise<number> {
    return this.#sink.flush()
  }

  #pass(piece: Uint8Array | string): number | Promise<number> {
    this.#books.wrote(piece, true)
    return this.#sink.write(piece)
  }

  #read(event: EventSlice): Uint8Array | string | undefined {
    const chunk = event.data === undefined ? undefined : parsed(event.data)
    if (!chunk) return event.bytes
    if (chunk['error']) {
      this.#failure = event.bytes
      return undefined
    }
    this.#id ??= chunk['id']
    this.#created ??= chunk['created']
    const { choices } = chunk
    const [choice, ...more] = (Array.isArray(choices) ? choices : []) as (Json | undefined)[]
    const delta = record(choice?.['delta'])
    if (more.length > 0 || (choice?.['index'] ?? 0) !== 0 || isIntricate(delta)) {
      this.isIntricate = true
    }
    if (this.#hasRole && this.#seam) delete delta?.['role']
    if (delta?.['role'] !== undefined) this.#hasRole = true
    if (this.#seam) return this.#joined(chunk, choice, delta, this.#seam)
    if (typeof delta?.['content'] === 'string') this.text += delta['content']
    return event.bytes
  }

  /** A chunk of the continuation as one of the stream that it continues; undefined when nothing of it is left. */
  #joined(
    chunk: Json,
    choice: Json | undefined,
    delta: Json | undefined,
    seam: Seam,
  ): string | undefined {
    chunk['id'] = this.#id
    chunk['created'] = this.#created
    const usage = record(chunk['usage'])
    if (usage) addTo(usage, this.#spent)
    if (choice && delta) {
      const isLast = (choice['finish_reason'] ?? null) !== null || isIntricate(delta)
      const said = typeof delta['content'] === 'string' ? delta['content'] : ''
      const shown = seam.push(said) + (isLast ? seam.end() : '')
      if (shown !== said) delete choice['logprobs']
      if (shown === '') delete delta['content']
      else delta['content'] = shown
      this.text += shown
      const isEmpty = Object.values(delta).every((value) => value === null || value === '')
      if (isEmpty && !isLast && !usage) return undefined
    }
    if (this.#mark !== undefined) {
      chunk['extra_fields'] = { ...record(chunk['extra_fields']), rescued: JSON.parse(this.#mark) }
      this.#mark = undefined
    }
    return `data: ${JSON.stringify(chunk)}\n\n`
  }
}

function isIntricate(delta: Json | undefined): boolean {
  if (!delta) return false
  const { tool_calls, function_call, refusal, audio } = delta
  const hasCalls = Array.isArray(tool_calls) && tool_calls.length > 0
  return hasCalls || [function_call, refusal, audio].some((one) => (one ?? '') !== '')
}

function addTo(usage: Json, { prompt, completion }: Spent): void {
  const add = (name: string, more: number): void => {
    if (typeof usage[name] === 'number') usage[name] += more
  }
  add('prompt_tokens', prompt)
  add('completion_tokens', completion)
  add('total_tokens', prompt + completion)
}

function parsed(data: string): Json | undefined {
  if (!data.startsWith('{')) return undefined
  try {
    return record(JSON.parse(data))
  } catch {
    // What is no JSON is none of our events, and passes as it is.
    return undefined
  }
}

function record(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : undefined
}
