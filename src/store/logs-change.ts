import type { Database } from 'bun:sqlite'

import { removeRows } from './logs-remove.ts'

// What is changed in rows that are there: some are taken out, some get another cost. Done by the thread that writes.

export type Change =
  /** Everything that is there can be found by its words. */
  | { readonly kind: 'index' }
  /** Rows of these calls go, with all that belongs to them. */
  | { readonly kind: 'delete'; readonly ids: readonly string[] }
  /** Costs in US dollars by the number of their row; null where one is not known. */
  | {
      readonly kind: 'cost'
      readonly costs: readonly (readonly [n: number, cost: number | null])[]
    }

/**
 * Makes a change in one transaction and returns how many rows it was. What is deleted stands in the journal as it was
 * until that is emptied. Throws what SQLite throws.
 */
export function applyChange(sqlite: Database, change: Exclude<Change, { kind: 'index' }>): number {
  if (change.kind === 'cost') {
    const write = sqlite.query<unknown, [number | null, number]>(
      'UPDATE calls SET cost = ?1 WHERE n = ?2',
    )
    return sqlite
      .transaction(() => {
        let changed = 0
        for (const [n, cost] of change.costs) changed += write.run(cost, n).changes
        return changed
      })
      .immediate()
  }
  const find = sqlite.query<{ n: number }, [string]>('SELECT n FROM calls WHERE id = ?1')
  // Whoever takes something out of the log wants it out of the file, too.
  sqlite.run('PRAGMA secure_delete = ON')
  try {
    return sqlite
      .transaction(() => {
        const numbers = change.ids.flatMap((id) => find.all(id).map(({ n }) => n))
        removeRows(sqlite, numbers)
        return numbers.length
      })
      .immediate()
  } finally {
    sqlite.run('PRAGMA secure_delete = OFF')
  }
}
