import type { Filters } from './logs-schema.ts'
import { createTotals } from './logs-stats.ts'
import type { Stats } from './logs-stats.ts'

// The sums that stand beside the pages of a list, over all rows that its filters want. Turning pages asks for the same
// ones again and again.

/** Lists that take no longer than this have their sums made anew for every page. */
const quickMs = 10
/** The others are shown so much longer than they took to make, so that making them takes half a percent of the time. */
const patience = 200
const maxMs = 30_000
const maxKnown = 50

export interface ListStats {
  /** Sums that are still good; undefined when they have to be made. */
  known(filters: Filters): Stats | undefined
  made(filters: Filters, stats: Stats, tookMs: number): void
}

export function createListStats(now: () => number = () => performance.now()): ListStats {
  const known = new Map<string, { readonly until: number; readonly stats: Stats }>()
  return {
    known(filters) {
      const found = known.get(choiceOf(filters))
      return found && now() < found.until ? found.stats : undefined
    },
    made(filters, stats, tookMs) {
      if (tookMs <= quickMs) return
      if (known.size >= maxKnown) known.clear()
      known.set(choiceOf(filters), { until: now() + Math.min(patience * tookMs, maxMs), stats })
    },
  }
}

/** Of no rows. */
export const NO_STATS: Stats = createTotals(undefined).stats()

/** Which rows are wanted, however they are shown. */
function choiceOf(filters: Filters): string {
  const { limit: _, offset: __, cursor: ___, sort_by: ____, order: _____, ...choice } = filters
  return JSON.stringify(Object.entries(choice).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
