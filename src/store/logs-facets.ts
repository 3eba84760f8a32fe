import type { Database } from 'bun:sqlite'

import { BadFilter } from './logs-filter.ts'
import type { Filters } from './logs-schema.ts'
import { sealedOf, unpackFact } from './logs-segments.ts'
import type { Packed } from './logs-segments.ts'
import { FACTS, rowsInSegment, segmentKey } from './logs-tables.ts'

// What can be filtered by: the values that occur. The packed facts have them; of a million rows that is a megabyte to
// look through. Rows behind the last segment are looked at themselves.

export interface Facets {
  /** By the names of `dimensions`, or all. Throws `BadFilter`. */
  read(db: Database | undefined, filters: Filters): Record<string, unknown>
}

const freshMs = 30_000
const maxValues = 1000
/** So many of the newest rows tell the names of ids. */
const maxNamedRows = 20_000
const namedAtOnce = 1000

interface Column {
  readonly id: string
  /** Shown as `{id, name}`. */
  readonly name?: string
  /** Texts hold several values, separated by commas. */
  readonly isList?: boolean
}

const columns: Readonly<Record<string, Column>> = {
  providers: { id: 'provider' },
  models: { id: 'model' },
  aliases: { id: 'model_used' },
  objects: { id: 'object' },
  selected_keys: { id: 'key_id', name: 'key_name' },
  virtual_keys: { id: 'virtual_key_id', name: 'virtual_key_name' },
  teams: { id: 'team_id', name: 'team_name' },
  customers: { id: 'customer_id', name: 'customer_name' },
  users: { id: 'user_id', name: 'user_name' },
  routing_rules: { id: 'routing_rule_id', name: 'routing_rule_name' },
  routing_engines: { id: 'routing_engines', isList: true },
  cache_hit_types: { id: 'cache_hit_type' },
  stop_reasons: { id: 'stop_reason' },
  user_agents: { id: 'user_agent' },
  apps: { id: 'app' },
}
/** Nothing tells calls apart by these. */
const unknown = ['business_units']
const names = [...Object.keys(columns), ...unknown, 'metadata_keys']

/** Remembers what it found for half a minute. */
export function createFacets(now: () => number = () => performance.now()): Facets {
  const known = new Map<string, { readonly until: number; readonly values: readonly unknown[] }>()
  return {
    read(db, { dimensions, ...more }) {
      const [extra] = Object.keys(more)
      if (extra !== undefined) throw new BadFilter(`'${extra.slice(0, 100)}' is no parameter here.`)
      const wanted = dimensions ? dimensions.split(',').map((name) => name.trim()) : names
      if (!wanted.every((name) => names.includes(name))) {
        throw new BadFilter(`'dimensions' may hold ${names.join(', ')}.`)
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
  if (name === 'metadata_keys') return metadataKeys(db)
  const column = columns[name]
  if (!column) return []
  const find = db.query<{ text: string }, [number]>('SELECT text FROM names WHERE k = ?1')
  const textOf = (k: number): string => find.get(k)?.text ?? ''
  const numbers = numbersOf(db, column.id)
  const shown = column.name === undefined ? undefined : namesOf(db, column.id, column.name, numbers)
  const found = [...numbers].slice(0, maxValues).flatMap((k) => {
    const id = textOf(k)
    if (id === '') return []
    if (column.isList) return id.split(',').map((each) => ({ id: each, name: each }))
    const named = shown?.get(k)
    return [{ id, name: named === undefined ? id : textOf(named) || id }]
  })
  const sorted = found.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return shown ? sorted : [...new Set(sorted.map(({ id }) => id))]
}

/** The numbers of the names in a column, those of the newest rows first; of very many, not all. */
function numbersOf(db: Database, column: string): ReadonlySet<number> {
  const place = FACTS.findIndex(({ name }) => name === `${column}_k`)
  const seen = new Set<number>()
  const rest = db
    .query<{ k: number }, [number]>(
      `SELECT DISTINCT ${column}_k AS k FROM calls WHERE n >= ?1 AND ${column}_k IS NOT NULL`,
    )
    .all(sealedOf(db) * rowsInSegment)
  for (const { k } of rest) seen.add(k)
  const values = new Float64Array(rowsInSegment)
  const packed = db
    .query<Packed, [number, number]>(
      'SELECT lo, hi, data FROM segments WHERE k >= ?1 AND k < ?2 ORDER BY k DESC',
    )
    .iterate(segmentKey(place, 0), segmentKey(place + 1, 0))
  for (const one of packed) {
    if (seen.size >= maxValues) break
    if (one.data === null) {
      if (one.lo !== null) seen.add(one.lo)
      continue
    }
    unpackFact(one, 1, values)
    for (const value of values) if (value === value) seen.add(value)
  }
  return seen
}

/** Numbers of names by the numbers of the ids that are `wanted`, as the newest rows have them. */
export function namesOf(
  db: Database,
  id: string,
  name: string,
  wanted: Iterable<number>,
): ReadonlyMap<number, number> {
  const missing = new Set(wanted)
  const found = new Map<number, number>()
  const newest = db.query<{ n: number | null }, []>('SELECT MAX(n) AS n FROM calls').get()?.n ?? 0
  const rows = db.query<unknown, [number, number]>(
    `SELECT ${id}_k, ${name}_k FROM calls WHERE n > ?1 AND n <= ?2
       AND ${id}_k IS NOT NULL AND ${name}_k IS NOT NULL ORDER BY n DESC`,
  )
  // Mostly the first of these have them all.
  for (let read = 0; read < maxNamedRows && missing.size > 0; read += namedAtOnce) {
    const at = newest - read
    for (const [key, k] of rows.values(at - namedAtOnce, at) as [number, number][]) {
      if (missing.delete(key)) found.set(key, k)
    }
  }
  return found
}

/** Each step asks the index for the next larger name. */
function metadataKeys(db: Database): string[] {
  return db
    .query<{ name: string }, []>(
      `WITH RECURSIVE steps (step) AS (
         SELECT MIN(name) FROM metadata
         UNION ALL
         SELECT (SELECT MIN(name) FROM metadata WHERE name > step)
         FROM steps WHERE step IS NOT NULL
       )
       SELECT step AS name FROM steps WHERE step IS NOT NULL LIMIT ${maxValues}`,
    )
    .all()
    .map(({ name }) => name)
}
