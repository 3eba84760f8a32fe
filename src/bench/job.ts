// What the load generator is asked to do, and what it answers: one JSON line each on its standard input and output.

/** One measured piece of work against one address. */
export interface Job {
  /** The full address of a chat completions endpoint. */
  url: string
  /** As the caller spells it, provider prefix included. */
  model: string
  /** `hold` opens `requests` streams, waits for the first event of each, and keeps them until a `Release`. */
  kind: 'unary' | 'stream' | 'hold'
  /** Approximate size of the request body. */
  bodyBytes: number
  /** The body is one image as a data URL, not text. */
  image: boolean
  concurrency: number
  requests: number
  /** Connections begin one after another over this time, so that paced streams do not tick together. */
  spreadMs: number
  /** Between an answer and the next request of a connection, so that less is asked than could be answered; absent = none. */
  pauseMs?: number
  /** After this the job ends, whatever is missing counts as an error. */
  timeoutMs: number
}

export interface Release {
  release: true
}

/** Times in microseconds; `ok + errors` is the number of requests asked for. */
export interface LoadResult {
  ok: number
  errors: number
  firstError: string | undefined
  /** Answers per second over the whole job. */
  perSecond: number
  p50Us: number
  p99Us: number
  /** From the last byte handed to the socket to the first event of a stream; 0 for unary work. */
  firstP50Us: number
  firstP99Us: number
  /** `data:` lines of all streams, terminators included. */
  events: number
}

/** Said once by a `hold` when every stream has its first event or has failed. */
export interface Held {
  held: number
}

export function isJob(value: object): value is Job {
  return 'url' in value && 'kind' in value && 'requests' in value
}

export function isRelease(value: object): value is Release {
  return 'release' in value
}

export function isLoadResult(value: object): value is LoadResult {
  return 'ok' in value && 'errors' in value
}

export function isHeld(value: object): value is Held {
  return 'held' in value && typeof value.held === 'number'
}

/** The request body of a job, as a client would send it. */
export function bodyOf(job: Pick<Job, 'model' | 'kind' | 'bodyBytes' | 'image'>): string {
  const head = {
    model: job.model,
    ...(job.kind === 'unary' ? {} : { stream: true }),
    temperature: 1.0,
    max_tokens: 256,
    user: 'bench',
  }
  if (job.image) {
    const url = `data:image/png;base64,${'iVBORw0KGgoAAAANSUhEUgAA'.repeat(Math.ceil(job.bodyBytes / 24))}`
    const content = [
      { type: 'text', text: 'What is in this image?' },
      { type: 'image_url', image_url: { url: url.slice(0, job.bodyBytes - 250) } },
    ]
    return JSON.stringify({ ...head, messages: [{ role: 'user', content }] })
  }
  const system = { role: 'system', content: 'You are a careful assistant.' }
  const sentence = 'Tell me, with "quotes" and a new line,\nwhat a rainbow bridge is for. '
  const room = Math.max(1, job.bodyBytes - 260)
  const turns = Math.max(1, Math.round(room / 700))
  const text = sentence.repeat(Math.max(1, Math.round(room / turns / (sentence.length + 3))))
  const messages = Array.from({ length: turns }, (_, turn) => ({
    role: turn % 2 === 0 ? 'user' : 'assistant',
    content: text,
  }))
  return JSON.stringify({ ...head, messages: [system, ...messages] })
}
