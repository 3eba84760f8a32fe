import { Database } from 'bun:sqlite'

import { refreshCosts } from './logs-segments.ts'

// New costs for old calls, in small slices, so that a gateway that writes the same file is not kept waiting.

/** What a price is made of. */
export interface PricedRow {
  readonly n: number
  readonly atMs: number
  /** As `Call.endpoint`. */
  readonly object: string
  readonly provider: string
  /** As the caller wrote it. */
  readonly model: string | null
  /** As the provider was asked for it. */
  readonly modelUsed: string | null
  readonly keyId: string | null
  readonly virtualKeyId: string | null
  /** US dollars; null when it was not known. */
  readonly cost: number | null
  /** JSON text in the form of OpenAI's `usage`. */
  readonly usage: string
}

export interface Repriced {
  /** Calls with a usage. */
  readonly seen: number
  readonly changed: number
  /** Of those seen: the ones whose cost is not known now. */
  readonly unpriced: number
}

export interface RepriceOptions {
  /** Only calls whose cost is not known. */
  readonly onlyMissing: boolean
  /** Count, and change nothing. */
  readonly isDry: boolean
}

const rowsInSlice = 500
const segmentsInSlice = 4
const busyMs = 10_000
const pauseMs = 5

const slice = `
  SELECT logs.n AS n, at_ms AS atMs, object, provider, model, model_used AS modelUsed, key_id AS keyId,
         virtual_key_id AS virtualKeyId, cost, usage
  FROM logs JOIN details ON details.n = logs.n
  WHERE logs.n > ?1 AND usage IS NOT NULL AND (?2 = 0 OR cost IS NULL)
  ORDER BY logs.n LIMIT ?3`

/**
 * Asks `price` for each logged call and writes down what changed: a number, null where the cost is not known, undefined
 * to leave it as it is. Throws what SQLite throws.
 */
export async function repriceLog(
  path: string,
  price: (row: PricedRow) => number | null | undefined,
  { onlyMissing, isDry }: RepriceOptions,
): Promise<Repriced> {
  const sqlite = new Database(path, { readwrite: true, create: false })
  try {
    sqlite.run(`PRAGMA busy_timeout = ${busyMs}`)
    const read = sqlite.query<PricedRow, [number, number, number]>(slice)
    const write = sqlite.query<unknown, [number | null, number]>(
      'UPDATE calls SET cost = ?1 WHERE n = ?2',
    )
    const writeAll = sqlite.transaction(
      (changes: readonly (readonly [number | null, number])[]) => {
        for (const [cost, n] of changes) write.run(cost, n)
        refreshCosts(sqlite, segmentsInSlice)
      },
    )
    let seen = 0
    let changed = 0
    let unpriced = 0
    for (let last = 0; ;) {
      const rows = read.all(last, onlyMissing ? 1 : 0, rowsInSlice)
      const changes: [number | null, number][] = []
      for (const row of rows) {
        const cost = price(row)
        const now = cost === undefined ? row.cost : cost
        if (now === null) unpriced++
        if (now !== row.cost) changes.push([now, row.n])
      }
      seen += rows.length
      changed += changes.length
      if (changes.length > 0 && !isDry) writeAll.immediate(changes)
      if (rows.length < rowsInSlice) break
      last = rows.at(-1)!.n
      await Bun.sleep(pauseMs)
    }
    read.finalize()
    write.finalize()
    return { seen, changed, unpriced }
  } finally {
    sqlite.close()
  }
}
