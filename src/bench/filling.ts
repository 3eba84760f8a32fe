// A log as it is after a long time, written at once by what writes it in the gateway.

import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import type { LogRow } from '#store/logs-schema.ts'
import { createLogWriter } from '#store/logs-writer.ts'

/** What `bench-role log` is asked for, as JSON. */
export interface FillOrder {
  readonly path: string
  readonly rows: number
  /** The bound that the log is kept within while it is written. */
  readonly maxBytes: number
}

/** What came of it. */
export interface Filled {
  readonly filled: number
  readonly tookMs: number
  /** All files of the log at the end. */
  readonly bytes: number
  /** The largest they were after any batch. */
  readonly peakBytes: number
  /** The most that one batch made of them. */
  readonly batchBytes: number
}

export function isFilled(value: object): value is Filled {
  return 'filled' in value && 'peakBytes' in value
}

const rowsInBatch = 500
const spanMs = 30 * 86_400_000

/** What the searches of the benchmark look for. */
export const providers = ['openai', 'anthropic', 'gemini', 'mistral', 'groq'] as const
export const commonWord = 'rainbow'
/** In one of so many calls. */
export const rareWord = 'heimdall'
const rareEvery = 5000

const words = (
  'the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which ' +
  'one you were all her she there would their we him been has when who will no more if out so up said what its about'
).split(' ')

/** Writes the calls of thirty days up to now, as many as asked for. */
export function fillLog({ path, rows, maxBytes }: FillOrder): Filled {
  const startedAt = performance.now()
  const random = randomOf(rows)
  const limits = { maxAgeMs: 365 * 86_400_000, maxBytes, maxBodyChars: 256 * 1024 }
  const writer = createLogWriter({ path, limits, onAside: () => {} })
  const beganMs = Date.now() - spanMs
  let peakBytes = 0
  let batchBytes = 0
  let lastBytes = 0
  for (let n = 0; n < rows; n += rowsInBatch) {
    const count = Math.min(rowsInBatch, rows - n)
    const batch = Array.from({ length: count }, (_, i) =>
      callOf(n + i, beganMs + (spanMs * (n + i)) / rows, random),
    )
    writer.write(batch, false)
    const bytes = sizeOf(path)
    batchBytes = Math.max(batchBytes, bytes - lastBytes)
    peakBytes = Math.max(peakBytes, bytes)
    lastBytes = bytes
  }
  writer.close()
  const tookMs = performance.now() - startedAt
  return { filled: rows, tookMs, bytes: sizeOf(path), peakBytes, batchBytes }
}

/** The bytes of all files of the log at `path`. */
export function sizeOf(path: string): number {
  let bytes = 0
  for (const name of readdirSync(dirname(path))) {
    // What threads share about the file is memory that only looks like one.
    if (!name.startsWith(basename(path)) || name.endsWith('-shm')) continue
    bytes += statSync(join(dirname(path), name)).size
  }
  return bytes
}

function callOf(n: number, atMs: number, random: () => number): LogRow {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const text = (count: number): string =>
    Array.from({ length: count }, () =>
      random() < 0.2 ? `w${pick(words)}${n % 997}` : pick(words),
    ).join(' ')
  const provider = pick(providers)
  const model = `${provider}-model-${Math.floor(random() * 4)}`
  const isError = random() < 0.02
  const latencyMs = Math.exp(6 + 1.2 * (random() + random() + random() - 1.5))
  const promptTokens = Math.floor(200 + random() * 2000)
  const completionTokens = isError ? 0 : Math.floor(20 + random() * 800)
  const rare = n % rareEvery === 0 ? ` ${rareWord}` : ''
  const often = random() < 0.3 ? ` ${commonWord}` : ''
  const content = `${text(120)}${rare}${often}`
  const answer = {
    id: `chatcmpl-${n}`,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text(80) },
        finish_reason: random() < 0.1 ? 'length' : 'stop',
      },
    ],
  }
  return {
    // Ids rise with time, as those of the gateway do.
    id: `bench-${n.toString(36).padStart(6, '0')}-${Math.floor(random() * 2 ** 32).toString(36)}`,
    atMs,
    object: random() < 0.9 ? 'chat_completion' : 'embedding',
    stream: random() < 0.5,
    status: isError ? 'error' : 'success',
    statusCode: isError ? pick([400, 429, 500, 503]) : 200,
    provider,
    model,
    modelUsed: model,
    keyId: `key-${n % 7}`,
    keyName: `key ${n % 7}`,
    virtualKeyId: `vk-${n % 40}`,
    virtualKeyName: `team ${n % 40}`,
    sessionId: random() < 0.3 ? `session-${Math.floor(n / 20)}` : undefined,
    userAgent: pick(['OpenAI/JS 7.55.0', 'OpenAI/Python 2.1.0', 'curl/8.5.0', 'node']),
    latencyMs,
    queuedMs: 0,
    upstreamMs: latencyMs - 0.5,
    firstTokenMs: latencyMs / 3,
    promptTokens,
    completionTokens,
    totalTokens: promptTokens + completionTokens,
    cachedTokens: 0,
    cost: random() < 0.05 ? undefined : (promptTokens + 4 * completionTokens) / 1e6,
    fallbackIndex: 0,
    retries: 0,
    attempts: 1,
    usage: JSON.stringify({ prompt_tokens: promptTokens, completion_tokens: completionTokens }),
    error: isError ? JSON.stringify({ message: 'The provider was overloaded.' }) : undefined,
    trail: undefined,
    dropped: undefined,
    metadata: JSON.stringify({ team: `team-${n % 25}` }),
    trace: undefined,
    request: JSON.stringify({ model, messages: [{ role: 'user', content }] }),
    answer: isError ? undefined : JSON.stringify(answer),
    secrets: [],
  }
}

/** Mulberry32: the same calls for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
