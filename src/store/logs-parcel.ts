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

/** The rows are not used any more afterwards. */
export function parcelOf(rows: readonly LogRow[]): Parcel {
  const streams: [number, Uint8Array][] = []
  const texts: string[] = []
  const facts: unknown[] = []
  const places = new Map<string, number>()
  const secrets: (readonly string[])[] = []
  rows.forEach((row, i) => {
    const { asked, request, answer } = row
    // One by one, in the order of `rowsOf`: a loop over names would take as long as all the rest.
    facts.push(
      row.id,
      row.atMs,
      row.object,
      row.stream,
      row.status,
      row.statusCode,
      row.provider,
      row.model,
      row.modelUsed,
      row.keyId,
      row.keyName,
      row.virtualKeyId,
      row.virtualKeyName,
      row.teamId,
      row.teamName,
      row.customerId,
      row.customerName,
      row.userId,
      row.userName,
      row.ruleId,
      row.ruleName,
      row.engines,
      row.cacheHitType,
      row.sessionId,
      row.userAgent,
      row.latencyMs,
      row.queuedMs,
      row.upstreamMs,
      row.firstTokenMs,
      row.promptTokens,
      row.completionTokens,
      row.totalTokens,
      row.cachedTokens,
      row.cost,
      row.fallbackIndex,
      row.retries,
      row.attempts,
      row.usage,
      row.error,
      row.trail,
      row.dropped,
      row.metadata,
      row.trace,
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
    secrets: JSON.stringify(secrets),
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
  const text = (length: number): string | undefined => {
    if (length < 0) return undefined
    at += length
    return texts.slice(at - length, at)
  }
  let place = 0
  // What is undefined travels as null.
  const next = (): unknown => facts[place++] ?? undefined
  while (place < facts.length) {
    rows.push({
      id: next(),
      atMs: next(),
      object: next(),
      stream: next(),
      status: next(),
      statusCode: next(),
      provider: next(),
      model: next(),
      modelUsed: next(),
      keyId: next(),
      keyName: next(),
      virtualKeyId: next(),
      virtualKeyName: next(),
      teamId: next(),
      teamName: next(),
      customerId: next(),
      customerName: next(),
      userId: next(),
      userName: next(),
      ruleId: next(),
      ruleName: next(),
      engines: next(),
      cacheHitType: next(),
      sessionId: next(),
      userAgent: next(),
      latencyMs: next(),
      queuedMs: next(),
      upstreamMs: next(),
      firstTokenMs: next(),
      promptTokens: next(),
      completionTokens: next(),
      totalTokens: next(),
      cachedTokens: next(),
      cost: next(),
      fallbackIndex: next(),
      retries: next(),
      attempts: next(),
      usage: next(),
      error: next(),
      trail: next(),
      dropped: next(),
      metadata: next(),
      trace: next(),
      asked: text(next() as number),
      request: text(next() as number),
      answer: text(next() as number),
      secrets: secrets[next() as number] ?? [],
    } as LogRow)
  }
  for (const [i, answer] of streams) Object.assign(rows[i]!, { answer })
  return { rows, secrets: secrets.flat() }
}
