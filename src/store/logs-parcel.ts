import type { LogRow } from './logs-schema.ts'
import { charsIn, stringOf } from './logs-text.ts'
import type { PackedText } from './logs-text.ts'

// Rows on their way from the thread that serves to the one that writes. Handing over is paid for by the first, so it
// puts numbers and texts into memory that both see, and names once for all rows: what crosses over in a message is
// copied there and back, and its memory is new each time.

/** A batch of rows. What is not in memory that both see crosses over as strings, which nobody has to look at. */
export interface Parcel {
  /** How many rows there are; their numbers are in the shared memory. */
  readonly count: number
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

/** What is said in a row, before it is packed. */
export function charsOf({ request, answer }: LogRow): number {
  return lengthOf(request) + lengthOf(answer)
}

function lengthOf(said: LogRow['answer']): number {
  if (said === undefined) return 0
  return said instanceof Uint8Array ? said.length : charsIn(said)
}

/** Numbers of one row: 15 of its own, 21 for names, 10 times two lengths of a text, and which secrets are to be looked for. */
const width = 15 + 21 + 10 * 2 + 1
/** Of the memory for texts. More is there for one batch. */
const usualTextBytes = 3 * 1024 * 1024
const bytesOfUnit = 3

/** Memory for parcels of up to so many rows, to be shared by both threads. One parcel uses it at a time. */
export interface ParcelMemory {
  readonly numbers: SharedArrayBuffer
  /** Larger when that was needed. */
  texts: Buffer<SharedArrayBuffer>
}

export function parcelMemory(rows: number): ParcelMemory {
  return {
    numbers: new SharedArrayBuffer(rows * width * Float64Array.BYTES_PER_ELEMENT),
    texts: Buffer.from(new SharedArrayBuffer(usualTextBytes)),
  }
}

/** The rows are not used any more afterwards. Throws RangeError for more rows than the memory is for. */
export function parcelOf(rows: readonly LogRow[], memory: ParcelMemory): Parcel {
  const numbers = new Float64Array(memory.numbers)
  if (rows.length * width > numbers.length) throw new RangeError('too many rows for one parcel')
  if (memory.texts.length > usualTextBytes) memory.texts = textsOf(usualTextBytes)
  let { texts } = memory
  let used = 0
  const streams: [number, Uint8Array][] = []
  const names: string[] = []
  const known = new Map<string, number>()
  const lists = new Map<string, number>()
  const secrets: (readonly string[])[] = []
  let at = 0
  const number = (value: number | undefined): void => {
    numbers[at++] = value ?? Number.NaN
  }
  /** Callers, models and keys are the same again and again. */
  const name = (value: string | undefined): void => {
    if (value === undefined) {
      numbers[at++] = -1
      return
    }
    let place = known.get(value)
    if (place === undefined) {
      place = names.push(value) - 1
      known.set(value, place)
    }
    numbers[at++] = place
  }
  const text = (value: string | undefined): void => {
    if (value === undefined) {
      numbers[at] = -1
      at += 2
      return
    }
    const { length } = value
    if (length * bytesOfUnit > texts.length - used) makeRoom(length * bytesOfUnit)
    const bytes = texts.write(value, used, 'utf8')
    used += bytes
    numbers[at++] = length
    numbers[at++] = bytes
  }
  const makeRoom = (bytes: number): void => {
    const larger = textsOf(Math.max(used + bytes, texts.length * 2))
    larger.set(texts.subarray(0, used))
    texts = larger
    memory.texts = larger
  }
  // One by one, in the order of `rowsOf`: a loop over names would take as long as all the rest.
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    number(row.atMs)
    number(row.stream ? 1 : 0)
    number(row.statusCode)
    number(row.latencyMs)
    number(row.queuedMs)
    number(row.upstreamMs)
    number(row.firstTokenMs)
    number(row.promptTokens)
    number(row.completionTokens)
    number(row.totalTokens)
    number(row.cachedTokens)
    number(row.cost)
    number(row.fallbackIndex)
    number(row.retries)
    number(row.attempts)
    name(row.status)
    name(row.object)
    name(row.provider)
    name(row.model)
    name(row.modelUsed)
    name(row.keyId)
    name(row.keyName)
    name(row.virtualKeyId)
    name(row.virtualKeyName)
    name(row.teamId)
    name(row.teamName)
    name(row.customerId)
    name(row.customerName)
    name(row.userId)
    name(row.userName)
    name(row.ruleId)
    name(row.ruleName)
    name(row.engines)
    name(row.cacheHitType)
    name(row.userAgent)
    name(row.dropped)
    text(row.id)
    text(row.sessionId)
    text(row.usage)
    text(row.error)
    text(row.trail)
    text(row.metadata)
    text(row.trace)
    text(row.asked)
    const { request, answer } = row
    text(request === undefined ? undefined : stringOf(request))
    if (answer instanceof Uint8Array) {
      text(undefined)
      streams.push([i, answer])
    } else text(answer === undefined ? undefined : stringOf(answer))
    const own = row.secrets.length === 0 ? '' : row.secrets.join('\n')
    let place = lists.get(own)
    if (place === undefined) {
      place = secrets.push(row.secrets) - 1
      lists.set(own, place)
    }
    number(place)
  }
  return {
    count: rows.length,
    names: JSON.stringify(names),
    secrets: JSON.stringify(secrets),
    texts: texts.buffer,
    textBytes: used,
    ...(streams.length > 0 && { streams }),
  }
}

function textsOf(bytes: number): Buffer<SharedArrayBuffer> {
  return Buffer.from(new SharedArrayBuffer(bytes))
}

/**
 * The rows of a parcel, whole again but for what was said, which stays in the memory, and all secrets that came with
 * them.
 */
export function rowsOf(
  { count, names: nameList, secrets: lists, texts, streams = [] }: Parcel,
  memory: SharedArrayBuffer,
): { readonly rows: LogRow[]; readonly secrets: readonly string[] } {
  const numbers = new Float64Array(memory)
  const bytes = Buffer.from(texts)
  const names = JSON.parse(nameList) as string[]
  const secrets = JSON.parse(lists) as string[][]
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
