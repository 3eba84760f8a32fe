import { Database } from 'bun:sqlite'
import { existsSync } from 'node:fs'

import { createBodies } from './logs-bodies.ts'
import { exported } from './logs-export.ts'
import { createFacets } from './logs-facets.ts'
import { iso, spanOf } from './logs-filter.ts'
import { listCalls } from './logs-list.ts'
import { detailed } from './logs-row.ts'
import type { DetailedRow } from './logs-row.ts'
import { placeOf } from './logs-scan.ts'
import type { ExportQuestion, Filters, Question } from './logs-schema.ts'
import { bucketsOf, scanOf, scanRows } from './logs-slices.ts'
import { answerSums } from './logs-sums.ts'
import { LOG_LAYOUT } from './logs-tables.ts'

// Answers questions about the log, from a thread of its own. What a question gets wrong is thrown as `BadFilter`.

/** Reads `path` only. Opened when first asked; a file that is not there yet is an empty log. */
export function createLogReader(path: string): {
  ask(question: Question | ExportQuestion): unknown
  close(): void
} {
  let sqlite: Database | undefined
  const facets = createFacets()

  function opened(): Database | undefined {
    if (sqlite || !existsSync(path)) return sqlite
    const fresh = new Database(path, { readonly: true, strict: true })
    try {
      fresh.run('PRAGMA busy_timeout = 1000')
      fresh.run('PRAGMA query_only = 1')
      fresh.run('PRAGMA cache_size = -16000')
      // Another process has made the file and not its tables yet.
      const { user_version: layout } = fresh
        .query<{ user_version: number }, []>('PRAGMA user_version')
        .get()!
      // One of another layout is laid aside once something is to be written.
      if (layout !== LOG_LAYOUT) {
        fresh.close()
        return undefined
      }
    } catch (thrown) {
      fresh.close()
      throw thrown
    }
    sqlite = fresh
    return fresh
  }

  function stats(db: Database | undefined, filters: Filters): unknown {
    const now = Date.now()
    if (filters['compare_to_previous'] !== 'true') {
      return db ? statsOf(db, filters) : noStats
    }
    // Two times are compared that are equally long: the last day, where the filters name none.
    const { start, end } = spanOf(filters, now)
    const own = { ...filters, period: '', start_time: iso(start), end_time: iso(end) }
    const found = db ? statsOf(db, own) : noStats
    const before = {
      ...filters,
      period: '',
      start_time: iso(2 * start - end),
      end_time: iso(start),
    }
    return { ...found, previous: db ? statsOf(db, before) : noStats }
  }

  function histogram(db: Database | undefined, filters: Filters): unknown {
    const now = Date.now()
    const scan = scanOf(filters, now)
    const { sizeMs, first, last } = bucketsOf(filters, scan)
    const byBucket = new Map<number, { count: number; success: number }>()
    if (db) {
      scanRows(db, scan, (part) => {
        const times = part.fact(placeOf('at_ms'))
        const success = part.fact(placeOf('success'))
        for (let i = 0; i < part.count; i++) {
          const at = part.places[i]!
          const bucket = Math.floor(times[at]! / sizeMs)
          const sums = byBucket.get(bucket) ?? { count: 0, success: 0 }
          if (sums.count++ === 0) byBucket.set(bucket, sums)
          sums.success += success[at]!
        }
      })
    }
    const buckets: unknown[] = []
    for (let at = first; at <= last; at++) {
      const { count = 0, success = 0 } = byBucket.get(at) ?? {}
      buckets.push({ timestamp: iso(at * sizeMs), count, success, error: count - success })
    }
    return { buckets, bucket_size_seconds: sizeMs / 1000 }
  }

  function answer(db: Database | undefined, question: Question | ExportQuestion): unknown {
    switch (question.kind) {
      case 'list':
        return listCalls(db, question.filters, Date.now())
      case 'stats':
        return stats(db, question.filters)
      case 'histogram':
        return histogram(db, question.filters)
      case 'one': {
        const row = db
          ?.query<DetailedRow, [string]>(
            `SELECT * FROM logs JOIN details USING (n) WHERE id = ?1 ORDER BY n DESC LIMIT 1`,
          )
          .get(question.id)
        return row ? detailed(row, createBodies(db!)) : null
      }
      case 'sums':
        return answerSums(db, question.about, question.filters, facets)
      case 'export':
        return exported(db, question)
    }
  }

  return {
    ask(question) {
      const db = opened()
      // Rows that come or go meanwhile are not seen.
      return db ? db.transaction(() => answer(db, question))() : answer(undefined, question)
    },
    close() {
      sqlite?.close()
      sqlite = undefined
    },
  }
}

const noStats = {
  total_requests: 0,
  success_rate: 0,
  user_facing_success_rate: 0,
  user_facing_total_requests: 0,
  average_latency: 0,
  total_tokens: 0,
  total_cost: 0,
  cache_hit_rate_total_requests: 0,
  direct_cache_hits: 0,
  semantic_cache_hits: 0,
}

function statsOf(db: Database, filters: Filters): typeof noStats {
  const hits = namesOf(db, ['direct', 'semantic'])
  const sums = { total: 0, success: 0, facing: 0, latency: 0, tokens: 0, cost: 0 }
  let direct = 0
  let semantic = 0
  scanRows(db, { filters }, (part) => {
    const { places, count } = part
    const success = part.fact(placeOf('success'))
    const codes = part.fact(placeOf('status_code'))
    const latencies = part.fact(placeOf('latency_ms'))
    const tokens = part.fact(placeOf('total_tokens'))
    const costs = part.fact(placeOf('cost'))
    const caches = part.fact(placeOf('cache_hit_type_k'))
    sums.total += count
    for (let i = 0; i < count; i++) {
      const at = places[i]!
      sums.success += success[at]!
      if (codes[at] !== 499) sums.facing++
      sums.latency += latencies[at]!
      sums.tokens += tokens[at]! || 0
      sums.cost += costs[at]! || 0
      if (caches[at] === hits[0]) direct++
      else if (caches[at] === hits[1]) semantic++
    }
  })
  const { total, success, facing } = sums
  if (total === 0) return noStats
  return {
    total_requests: total,
    success_rate: (100 * success) / total,
    // Callers that left saw neither success nor failure.
    user_facing_success_rate: facing === 0 ? 0 : (100 * success) / facing,
    user_facing_total_requests: facing,
    average_latency: sums.latency / total,
    total_tokens: sums.tokens,
    total_cost: sums.cost,
    cache_hit_rate_total_requests: (100 * (direct + semantic)) / total,
    direct_cache_hits: direct,
    semantic_cache_hits: semantic,
  }
}

/** The numbers of names; undefined for those that no row has. */
function namesOf(db: Database, texts: readonly string[]): (number | undefined)[] {
  const find = db.query<{ k: number }, [string]>('SELECT k FROM names WHERE text = ?1')
  return texts.map((text) => find.get(text)?.k)
}
