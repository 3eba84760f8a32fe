import type { Database } from 'bun:sqlite'

import { collectLatencies, collectSums, createBucketing } from './logs-cells.ts'
import { iso, spanOf } from './logs-filter.ts'
import { createRanking, rankingOrder } from './logs-rank.ts'
import type { Filters } from './logs-schema.ts'
import { shownSeries } from './logs-series.ts'
import type { By, Measure } from './logs-series.ts'
import {
  bucketsOf,
  choosing,
  createParting,
  dimensionNamed,
  scanBetween,
  scanRows,
} from './logs-slices.ts'
import { comparedStats, createTotals } from './logs-stats.ts'

// Everything that an overview shows, of one walk over the calls of a time and of the time before. Each part is what
// its own route answers.

type Json = Record<string, unknown>

/** What calls are ranked by beside models; the first five are Bifrost's. */
const ranked = 'team user virtual_key customer business_unit provider selected_key app'.split(' ')

const facts = [
  ...(['prompt_tokens', 'completion_tokens', 'total_tokens', 'cached_read_tokens'] as const),
  ...(['cost', 'latency_ms'] as const),
]

/** An overview of the time that `filters` name, or of the last day. Throws `BadFilter`. */
export function dashboardOf(db: Database | undefined, filters: Filters): Json {
  const now = Date.now()
  const order = rankingOrder(filters)
  const { start, end } = spanOf(filters, now)
  const scan = scanBetween(choosing(filters), 2 * start - end, end)
  const buckets = bucketsOf(filters, { ...scan, startMs: start })
  const byModel = collectSums(buckets, { id: 'model_used' }, facts)
  const byProvider = collectSums(buckets, { id: 'provider' }, facts)
  const latencies = collectLatencies(buckets, { id: 'provider' })
  const models = createRanking(undefined)
  const dimensions = ranked.map((name) => [name, createRanking(dimensionNamed(name))] as const)
  const rankings = [models, ...dimensions.map(([, ranking]) => ranking)]
  const [current, previous] = [createTotals(db), createTotals(db)]
  if (db) {
    const bucketing = createBucketing(buckets)
    const parting = createParting(start)
    scanRows(db, scan, (part) => {
      const { before, since } = parting(part)
      if (before) {
        previous.visit(before)
        for (const ranking of rankings) ranking.visit(before, false)
      }
      if (!since) return
      current.visit(since)
      for (const ranking of rankings) ranking.visit(since, true)
      const bucketAt = bucketing(since)
      for (const collector of [byModel, byProvider, latencies]) collector.visit(since, bucketAt)
    })
  }
  const found = db && {
    model: byModel.found(db),
    provider: byProvider.found(db),
    latency: latencies.found(db),
  }
  const shown = (measure: Measure, by?: By): Json => {
    const which = measure === 'latency' ? 'latency' : (by ?? 'model')
    return shownSeries(measure, by, buckets, found?.[which as keyof typeof found])
  }
  const usage = shown('models')
  return {
    meta: {
      generated_at: iso(now),
      bucket_size_seconds: buckets.sizeMs / 1000,
      start_time: iso(start),
      end_time: iso(end),
    },
    overview: {
      stats: comparedStats(current, previous),
      requests: shown('requests'),
      tokens: shown('tokens'),
      cost: shown('cost'),
      models: usage,
      latency: shown('latency'),
      throughput: shown('throughput'),
    },
    provider_usage: {
      cost: shown('cost', 'provider'),
      tokens: shown('tokens', 'provider'),
      latency: shown('latency', 'provider'),
      throughput: shown('throughput', 'provider'),
    },
    model_rankings: { rankings: models.shown(db, order), histogram: usage },
    dimension_rankings: Object.fromEntries(
      dimensions.map(([name, ranking]) => [name, ranking.shown(db, order)]),
    ),
    // Tools are called by callers here, and not by the gateway.
    mcp: { volume: null, cost: null, top_tools: null },
  }
}
