import type { LogRow } from './logs-schema.ts'
import { stringOf } from './logs-text.ts'
import type { PackedText } from './logs-text.ts'

// Rows as they cross over from the thread that serves (`logs-batch.ts`) to the one that writes.

/** A batch of rows. What is not in memory that both see crosses over as strings, which nobody has to look at. */
export interface Parcel {
  readonly count: number
  /** Numbers of the rows, `numbersOfRow` of each. */
  readonly numbers: SharedArrayBuffer
  /** JSON text: what many rows have in common, such as models. */
  readonly names: string
  /** JSON text: lists of what is to be taken out of rows. */
  readonly secrets: string
  /** What else is text of all rows, one after the other, in UTF-8. */
  readonly texts: SharedArrayBuffer
  /** How much of that is used. */
  readonly textBytes: number
  /** Answers that are bytes, by the place of their row; not there when there are none. */
  readonly streams?: readonly (readonly [number, Uint8Array])[]
}

/** 15 of its own, 21 for names, two lengths of each of 10 texts, and which secrets are to be looked for. */
export const numbersOfRow = 15 + 21 + 10 * 2 + 1

/**
 * The rows of a parcel, whole again but for what was said, which stays in the memory, and all secrets that came with
 * them.
 */
export function rowsOf(parcel: Parcel): {
  readonly rows: LogRow[]
  readonly secrets: readonly string[]
} {
  const { count, streams = [] } = parcel
  const numbers = new Float64Array(parcel.numbers)
  const bytes = Buffer.from(parcel.texts)
  const names = JSON.parse(parcel.names) as string[]
  const secrets = JSON.parse(parcel.secrets) as string[][]
  const rows: LogRow[] = []
  let at = 0
  let used = 0
  const number = (): number => numbers[at++]!
  const maybe = (): number | undefined => {
    const value = numbers[at++]!
    return Number.isNaN(value) ? undefined : value
  }
  const name = (): string | undefined => names[numbers[at++]!]
  const packed = (): PackedText | undefined => {
    const chars = numbers[at++]!
    const length = numbers[at++]!
    if (chars < 0) return undefined
    used += length
    return { memory: bytes, from: used - length, until: used, chars }
  }
  const text = (): string | undefined => {
    const found = packed()
    return found && stringOf(found)
  }
  for (let i = 0; i < count; i++) {
    rows.push({
      atMs: number(),
      stream: number() === 1,
      statusCode: number(),
      latencyMs: number(),
      queuedMs: number(),
      upstreamMs: number(),
      firstTokenMs: maybe(),
      promptTokens: maybe(),
      completionTokens: maybe(),
      totalTokens: maybe(),
      cachedTokens: maybe(),
      cost: maybe(),
      fallbackIndex: number(),
      retries: number(),
      attempts: number(),
      status: name() as LogRow['status'],
      object: name()!,
      provider: name()!,
      model: name(),
      modelUsed: name(),
      keyId: name(),
      keyName: name(),
      virtualKeyId: name(),
      virtualKeyName: name(),
      teamId: name(),
      teamName: name(),
      customerId: name(),
      customerName: name(),
      userId: name(),
      userName: name(),
      ruleId: name(),
      ruleName: name(),
      engines: name(),
      cacheHitType: name(),
      userAgent: name(),
      dropped: name(),
      id: text()!,
      sessionId: text(),
      usage: text(),
      error: text(),
      trail: text(),
      metadata: text(),
      trace: text(),
      asked: text(),
      request: packed(),
      answer: packed(),
      secrets: secrets[number()] ?? [],
    })
  }
  for (const [i, answer] of streams) Object.assign(rows[i]!, { answer })
  return { rows, secrets: secrets.flat() }
}
