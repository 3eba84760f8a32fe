import type { LogRow } from './logs-schema.ts'

// Rows on their way from the thread that serves to the one that writes. Handing over is paid for by the first, so it
// gets few large texts instead of many small objects.

/** A batch of rows. Strings cross over without being looked at, as long as there is nothing else beside them. */
export interface Parcel {
  /** JSON text: the rows' members one after the other, in the order of `members`. */
  readonly facts: string
  /** JSON text: lists of what is to be taken out of rows; `facts` says which is whose. */
  readonly secrets: string
  /** What the user said last, requests and answers of all rows, one after the other: nothing is quoted only to be unquoted again. */
  readonly texts: string
  /** Answers that are bytes, by the place of their row; not there when there are none. */
  readonly streams?: readonly (readonly [number, Uint8Array])[]
}

/** All but what has a place of its own. */
const members = [
  ...['id', 'atMs', 'object', 'stream', 'status', 'statusCode', 'provider', 'model', 'modelUsed'],
  ...['keyId', 'keyName', 'virtualKeyId', 'virtualKeyName', 'teamId', 'teamName', 'customerId'],
  ...['customerName', 'userId', 'userName', 'ruleId', 'ruleName', 'engines', 'cacheHitType'],
  ...['sessionId', 'userAgent', 'latencyMs', 'queuedMs', 'upstreamMs', 'firstTokenMs'],
  ...['promptTokens', 'completionTokens', 'totalTokens', 'cachedTokens', 'cost', 'fallbackIndex'],
  ...['retries', 'attempts', 'usage', 'error', 'trail', 'dropped', 'metadata', 'trace'],
] as const satisfies readonly (keyof LogRow)[]
type Missing = Exclude<
  keyof LogRow,
  (typeof members)[number] | 'asked' | 'request' | 'answer' | 'secrets'
>
/** Does not compile when a member is forgotten. */
const isComplete: [Missing] extends [never] ? true : false = true

/** The rows are not used any more afterwards. */
export function parcelOf(rows: readonly LogRow[]): Parcel {
  const streams: [number, Uint8Array][] = []
  const texts: string[] = []
  const facts: unknown[] = []
  const places = new Map<string, number>()
  const secrets: (readonly string[])[] = []
  rows.forEach((row, i) => {
    for (const member of members) facts.push(row[member])
    const { asked, request, answer } = row
    facts.push(
      asked?.length ?? -1,
      request?.length ?? -1,
      typeof answer === 'string' ? answer.length : -1,
    )
    if (asked !== undefined) texts.push(asked)
    if (request !== undefined) texts.push(request)
    if (typeof answer === 'string') texts.push(answer)
    else if (answer !== undefined) streams.push([i, answer])
    // Callers come with the same keys again and again.
    const own = row.secrets.join('\n')
    let place = places.get(own)
    if (place === undefined) {
      place = secrets.push(row.secrets) - 1
      places.set(own, place)
    }
    facts.push(place)
  })
  return {
    facts: JSON.stringify(facts),
    secrets: JSON.stringify(isComplete && secrets),
    texts: texts.join(''),
    ...(streams.length > 0 && { streams }),
  }
}

/** The rows of a parcel, whole again, and all secrets that came with them. */
export function rowsOf({ facts: json, secrets: lists, texts, streams = [] }: Parcel): {
  readonly rows: LogRow[]
  readonly secrets: readonly string[]
} {
  const facts = JSON.parse(json) as unknown[]
  const secrets = JSON.parse(lists) as string[][]
  const rows: LogRow[] = []
  let at = 0
  const next = (length: number): string | undefined => {
    if (length < 0) return undefined
    at += length
    return texts.slice(at - length, at)
  }
  const width = members.length + 4
  for (let start = 0; start < facts.length; start += width) {
    const row: Record<string, unknown> = {}
    // What is undefined travels as null.
    members.forEach((member, i) => (row[member] = facts[start + i] ?? undefined))
    const [asked, request, answer, own] = facts.slice(
      start + members.length,
      start + width,
    ) as number[]
    row['asked'] = next(asked!)
    row['request'] = next(request!)
    row['answer'] = next(answer!)
    row['secrets'] = secrets[own!]
    rows.push(row as unknown as LogRow)
  }
  for (const [i, answer] of streams) Object.assign(rows[i]!, { answer })
  return { rows, secrets: secrets.flat() }
}
