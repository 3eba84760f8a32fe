import type { Database } from 'bun:sqlite'

import { BadFilter } from './logs-filter.ts'
import type { Filters } from './logs-schema.ts'

// What can be filtered by: the values that occur. Where an index has them, it is asked from value to value; of the
// others, the newest rows tell. Nothing here looks at every row.

export interface Facets {
  /** By the names of `dimensions`, or all. Throws `BadFilter`. */
  read(db: Database | undefined, filters: Filters): Record<string, unknown>
}

const freshMs = 30_000
const maxValues = 1000
/** So many of the newest rows are looked at. */
const maxRows = 20_000

interface Column {
  readonly id: string
  /** Shown as `{id, name}`. */
  readonly name?: string
  /** An index begins with it. */
  readonly isIndexed?: boolean
}

const columns: Readonly<Record<string, Column | undefined>> = {
  providers: { id: 'provider', isIndexed: true },
  models: { id: 'model', isIndexed: true },
  aliases: { id: 'model_used' },
  status: { id: 'status', isIndexed: true },
  objects: { id: 'object' },
  selected_keys: { id: 'key_id', name: 'key_name' },
  virtual_keys: { id: 'virtual_key_id', name: 'virtual_key_name' },
  stop_reasons: { id: 'stop_reason' },
  user_agents: { id: 'user_agent' },
  // Nothing tells calls apart by these.
  routing_rules: undefined,
  routing_engines: undefined,
  apps: undefined,
  teams: undefined,
  customers: undefined,
  users: undefined,
  business_units: undefined,
}
const names = [...Object.keys(columns), 'metadata_keys']

/** Remembers what it found for half a minute. */
export function createFacets(now: () => number = () => performance.now()): Facets {
  const known = new Map<string, { readonly until: number; readonly values: readonly unknown[] }>()
  return {
    read(db, { dimensions, ...more }) {
      const [extra] = Object.keys(more)
      if (extra !== undefined) throw new BadFilter(`'${extra.slice(0, 100)}' is no parameter here.`)
      const wanted = dimensions ? dimensions.split(',').map((name) => name.trim()) : names
      for (const name of wanted) {
        if (!names.includes(name)) {
          throw new BadFilter(`'dimensions' may hold ${names.join(', ')}.`)
        }
      }
      return Object.fromEntries(
        wanted.map((name) => {
          const fresh = known.get(name)
          if (fresh && now() < fresh.until) return [name, fresh.values]
          const values = db ? valuesOf(db, name) : []
          // A log that is not there yet may be in a moment.
          if (db) known.set(name, { until: now() + freshMs, values })
          return [name, values]
        }),
      )
    },
  }
}

function valuesOf(db: Database, name: string): readonly unknown[] {
  if (name === 'metadata_keys') return stepped(db, 'metadata', 'name')
  const column = columns[name]
  if (!column) return []
  if (column.isIndexed) return stepped(db, 'logs', column.id)
  const { id, name: shown } = column
  const rows = db
    .query<{ id: string; name: string | null }, []>(
      `SELECT id, MAX(name) AS name FROM (
         SELECT ${id} AS id, ${shown ?? 'NULL'} AS name FROM logs ORDER BY n DESC LIMIT ${maxRows}
       ) WHERE id IS NOT NULL AND id <> '' GROUP BY id ORDER BY id LIMIT ${maxValues}`,
    )
    .all()
  return shown ? rows : rows.map((row) => row.id)
}

/** Each step asks the index for the next larger value. */
function stepped(db: Database, table: string, column: string): string[] {
  return db
    .query<{ value: string }, []>(
      `WITH RECURSIVE steps (step) AS (
         SELECT MIN(${column}) FROM ${table} WHERE ${column} > ''
         UNION ALL
         SELECT (SELECT MIN(${column}) FROM ${table} WHERE ${column} > step)
         FROM steps WHERE step IS NOT NULL
       )
       SELECT step AS value FROM steps WHERE step IS NOT NULL LIMIT ${maxValues}`,
    )
    .all()
    .map(({ value }) => value)
}
