import type { UserAgentMatch } from '#config/apps.ts'
import { newId } from '#lib/id.ts'

import type { Db } from './db.ts'

// What operators say at run time about which programs callers are.

/** What a mapping says. */
export interface MappingFacts {
  readonly pattern: string
  readonly match: UserAgentMatch
  readonly app: string
  readonly isActive: boolean
}

export interface Mapping extends MappingFacts {
  readonly id: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

/** Every method throws `GatewayError` `store_unavailable` when the database cannot be used. */
export interface MappingStore {
  /** In the order in which they were added. Makes no file. */
  all(): readonly Mapping[]
  add(facts: MappingFacts): Mapping
  /** Undefined when there is none of that id. */
  change(id: string, facts: MappingFacts): Mapping | undefined
  /** Whether there was one. */
  remove(id: string): boolean
}

interface Row {
  readonly id: string
  readonly pattern: string
  readonly match_type: UserAgentMatch
  readonly app: string
  readonly is_active: number
  readonly created_at_ms: number
  readonly updated_at_ms: number
}

const columns = 'id, pattern, match_type, app, is_active, created_at_ms, updated_at_ms'

export function createMappingStore(db: Db, now: () => number = Date.now): MappingStore {
  return {
    all() {
      if (!db.exists()) return []
      return db.use((sqlite) =>
        sqlite
          .query<Row, []>(`SELECT ${columns} FROM user_agent_mappings ORDER BY rowid`)
          .all()
          .map(mappingOf),
      )
    },
    add({ pattern, match, app, isActive }) {
      const at = now()
      return db.use((sqlite) =>
        mappingOf(
          sqlite
            .query<Row, [string, string, string, string, number, number]>(
              `INSERT INTO user_agent_mappings (${columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
               RETURNING ${columns}`,
            )
            .get(newId(at), pattern, match, app, Number(isActive), at)!,
        ),
      )
    },
    change(id, { pattern, match, app, isActive }) {
      const row = db.use((sqlite) =>
        sqlite
          .query<Row, [string, string, string, string, number, number]>(
            `UPDATE user_agent_mappings
             SET pattern = ?2, match_type = ?3, app = ?4, is_active = ?5, updated_at_ms = ?6
             WHERE id = ?1 RETURNING ${columns}`,
          )
          .get(id, pattern, match, app, Number(isActive), now()),
      )
      return row ? mappingOf(row) : undefined
    },
    remove: (id) =>
      db.use(
        (sqlite) =>
          sqlite.query('DELETE FROM user_agent_mappings WHERE id = ?1').run(id).changes > 0,
      ),
  }
}

function mappingOf(row: Row): Mapping {
  return {
    id: row.id,
    pattern: row.pattern,
    match: row.match_type,
    app: row.app,
    isActive: row.is_active === 1,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  }
}
