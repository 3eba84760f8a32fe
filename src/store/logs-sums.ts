import type { Database } from 'bun:sqlite'

import { dashboardOf } from './logs-dashboard.ts'
import type { Facets } from './logs-facets.ts'
import { rankingOf } from './logs-rank.ts'
import type { PricedRow } from './logs-reprice.ts'
import type { Filters } from './logs-schema.ts'
import { seriesOf } from './logs-series.ts'
import type { Measure } from './logs-series.ts'
import { sessionOf, sessionSummary } from './logs-sessions.ts'

// Questions about many calls at once, answered by the thread that reads.

export type About =
  | { readonly of: 'facets' }
  | { readonly of: 'dashboard' }
  | { readonly of: 'series'; readonly measure: Measure; readonly by?: 'provider' | 'dimension' }
  | { readonly of: 'ranking'; readonly byDimension: boolean }
  | { readonly of: 'session'; readonly id: string }
  | { readonly of: 'session-summary'; readonly id: string }
  /** Calls with a usage and no cost, in the order of their numbers. */
  | { readonly of: 'unpriced'; readonly after: number; readonly limit: number }

export interface SummingQuestion {
  readonly kind: 'sums'
  readonly about: About
  readonly filters: Filters
}

/** The answer as a value for JSON. Throws `BadFilter`. */
export function answerSums(
  db: Database | undefined,
  about: About,
  filters: Filters,
  facets: Facets,
): unknown {
  switch (about.of) {
    case 'facets':
      return facets.read(db, filters)
    case 'dashboard':
      return dashboardOf(db, filters)
    case 'series':
      return seriesOf(db, about.measure, about.by, filters)
    case 'ranking':
      return rankingOf(db, about.byDimension, filters)
    case 'session':
      return sessionOf(db, about.id, filters)
    case 'session-summary':
      return sessionSummary(db, about.id)
    case 'unpriced':
      return db ? unpriced(db, about.after, about.limit) : []
  }
}

function unpriced(db: Database, after: number, limit: number): readonly PricedRow[] {
  return db
    .query<PricedRow, [number, number]>(
      `SELECT logs.n AS n, at_ms AS atMs, object, provider, model, model_used AS modelUsed, key_id AS keyId,
         virtual_key_id AS virtualKeyId, cost, usage
       FROM logs JOIN details ON details.n = logs.n
       WHERE cost IS NULL AND logs.n > ?1 AND usage IS NOT NULL ORDER BY logs.n LIMIT ?2`,
    )
    .all(after, limit)
}
