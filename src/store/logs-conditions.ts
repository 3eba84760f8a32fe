import type { Database, SQLQueryBindings } from 'bun:sqlite'

import { columnOf, isBare, ranges, timesOf, valuesFor, whereOf } from './logs-filter.ts'
import { rowsWith } from './logs-lookup.ts'
import { placeOf } from './logs-scan.ts'
import type { Among } from './logs-scan.ts'
import type { Filters } from './logs-schema.ts'

// The filters of the log's API as conditions on facts, for searches that walk over segments.

/** What a fact has to be; `place` is its number in `FACTS`. */
export type Condition =
  | { readonly kind: 'in'; readonly place: number; readonly values: ReadonlySet<number> }
  | {
      readonly kind: 'between'
      readonly place: number
      readonly low: number
      readonly high: number
    }
  | { readonly kind: 'missing'; readonly place: number }

/** Rows that stand in an index of SQLite: a SELECT of their numbers, and one that tells whether one is among them. */
export interface Source {
  readonly sql: string
  readonly values: readonly SQLQueryBindings[]
  readonly check: string
}

export interface Wanted {
  readonly conditions: readonly Condition[]
  readonly sources: readonly Source[]
  /** Rows that are known already: those with the words that are looked for. */
  readonly among: readonly Among[]
}

/** What `filters` want. Throws `BadFilter`. */
export function wantedOf(db: Database, filters: Filters, nowMs: number): Wanted {
  // Finds fault with what is wrong.
  whereOf(filters, nowMs)
  const conditions: Condition[] = []
  const sources: Source[] = []
  const among: Among[] = []
  const between = (name: string, low: number, high: number): void => {
    conditions.push({ kind: 'between', place: placeOf(name), low, high })
  }
  const equal = (name: string, value: number): void => between(name, value, value)
  const numbersOf = (texts: readonly string[]): ReadonlySet<number> => {
    const find = db.query<{ k: number }, [string]>('SELECT k FROM names WHERE text = ?1')
    return new Set(texts.flatMap((text) => find.get(text)?.k ?? []))
  }
  for (const [name, text] of Object.entries(filters)) {
    if (text === '') continue
    const wanted = valuesFor(name, text)
    if (name === 'status') {
      const values = wanted.map((status) => ({ success: 1, error: 0 })[status] ?? -1)
      conditions.push({ kind: 'in', place: placeOf('success'), values: new Set(values) })
    } else if (name === 'objects') {
      const plain = wanted.map((object) => object.replace(/_stream$/, ''))
      conditions.push({ kind: 'in', place: placeOf('object_k'), values: numbersOf(plain) })
      const streamed = wanted.filter((object) => object.endsWith('_stream')).length
      if (streamed === wanted.length) equal('stream', 1)
      else if (streamed === 0) equal('stream', 0)
    } else if (name === 'request_id' || name === 'session_id' || name === 'parent_request_id') {
      const column = name === 'request_id' ? 'id' : 'session_id'
      const sql = `SELECT n FROM calls WHERE ${column} IN (${wanted.map(() => '?').join(', ')})`
      sources.push({ sql, values: wanted, check: `${sql} AND n = ?` })
    } else if (name === 'routing_engine_used') {
      conditions.push({
        kind: 'in',
        place: placeOf('routing_engines_k'),
        values: enginesOf(db, wanted),
      })
    } else if (name === 'business_unit_ids') {
      // Nothing here belongs to one.
      conditions.push({ kind: 'in', place: 0, values: new Set() })
    } else if (name === 'models') {
      const values = numbersOf(wanted).union(modelsOf(db, wanted.filter(isBare)))
      conditions.push({ kind: 'in', place: placeOf('model_k'), values })
    } else if (Object.hasOwn(columnOf, name)) {
      const place = placeOf(`${columnOf[name]}_k`)
      conditions.push({ kind: 'in', place, values: numbersOf(wanted) })
    } else if (Object.hasOwn(ranges, name)) {
      const [column, sign] = ranges[name]!
      const value = Number(text)
      if (sign === '>=') between(column, value, Infinity)
      else between(column, -Infinity, value)
    } else if (name.startsWith('metadata_')) {
      const sql = 'SELECT n FROM metadata WHERE name = ? AND value = ?'
      const values = [name.slice('metadata_'.length), text]
      sources.push({ sql, values, check: `${sql} AND n = ?` })
    }
  }
  const { start, end } = timesOf(filters, nowMs)
  if (start > -Infinity || end < Infinity) between('at_ms', start, end)
  const { content_search: search } = filters
  if (search?.trim()) among.push(rowsWith(db, search))
  if (filters['missing_cost_only'] === 'true') {
    conditions.push({ kind: 'missing', place: placeOf('cost') })
  }
  if (filters['roots_only'] === 'true') equal('in_session', 0)
  return { conditions, sources, among }
}

/** Names of these models with a provider before them. */
function modelsOf(db: Database, bare: readonly string[]): ReadonlySet<number> {
  if (bare.length === 0) return new Set()
  const ends = bare.map(() => 'substr(text, ?) = ?').join(' OR ')
  return new Set(
    db
      .query<{ k: number }, SQLQueryBindings[]>(`SELECT k FROM names WHERE ${ends}`)
      .all(...bare.flatMap((model) => [-model.length - 1, `/${model}`]))
      .map(({ k }) => k),
  )
}

/** Names of sets of engines that one of these is in; there are few such sets. */
function enginesOf(db: Database, wanted: readonly string[]): ReadonlySet<number> {
  const sets = db.query<{ k: number }, [string]>(
    `SELECT k FROM names WHERE instr(',' || text || ',', ',' || ?1 || ',') > 0`,
  )
  return new Set(wanted.flatMap((engine) => sets.all(engine).map(({ k }) => k)))
}
