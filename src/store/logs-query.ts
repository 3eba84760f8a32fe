import { Database } from 'bun:sqlite'
import { existsSync } from 'node:fs'

import { createBodies } from './logs-bodies.ts'
import { exported } from './logs-export.ts'
import { createFacets } from './logs-facets.ts'
import { createListStats } from './logs-list-stats.ts'
import { listCalls } from './logs-list.ts'
import { detailed } from './logs-row.ts'
import type { DetailedRow } from './logs-row.ts'
import type { ExportQuestion, Question } from './logs-schema.ts'
import { seriesOf } from './logs-series.ts'
import { statsOf } from './logs-stats.ts'
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
  const listStats = createListStats()

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

  function answer(db: Database | undefined, question: Question | ExportQuestion): unknown {
    switch (question.kind) {
      case 'list':
        return listCalls(db, question.filters, Date.now(), listStats)
      case 'stats':
        return statsOf(db, question.filters)
      case 'histogram':
        return seriesOf(db, 'requests', undefined, question.filters)
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
