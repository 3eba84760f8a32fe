import type { Database, SQLQueryBindings } from 'bun:sqlite'

import type { Condition, Source } from './logs-conditions.ts'
import { countPacked, floorOf, sealedOf, sumPacked, unpackFact } from './logs-segments.ts'
import type { Packed } from './logs-segments.ts'
import { FACTS, rowsInSegment, segmentKey, segmentOf } from './logs-tables.ts'

// Walks over all rows that conditions want, segment by segment, reading only the facts that are asked for and only of
// segments that can hold such rows.

/** What of one segment is wanted. Both arrays are used again for the next one. */
export interface Part {
  /** The number of the row at place 0. */
  readonly from: number
  /** Places of wanted rows, rising; only the first `count`. */
  readonly places: Uint16Array
  readonly count: number
  /** A fact of all rows by their places, by its number in `FACTS`; NaN is missing. */
  fact(place: number): Float64Array
  /** A fact of the wanted rows, added up without unpacking it; missing ones add nothing. */
  sum(place: number): number
  /** Of how many wanted rows a fact is this. */
  equal(place: number, value: number): number
  /** The least and greatest value of a fact; undefined where that is not known. */
  bounds(place: number): { readonly lo: number; readonly hi: number } | undefined
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

interface Zone {
  readonly lo: number | null
  readonly hi: number | null
  /** All values are the same, or all are missing. */
  readonly isFlat: boolean
}

/** The place of a fact in `FACTS`. */
export function placeOf(name: string): number {
  return FACTS.findIndex((fact) => fact.name === name)
}

const cost = placeOf('cost')

/** Rows of a source, as a bit each. */
export interface Among {
  has(n: number): boolean
  /** The least and greatest number there is. */
  readonly low: number
  readonly high: number
}

/** Up to `max` of the newest rows of a source, and whether these are certainly all. */
export function rowsAmong(
  db: Database,
  { sql, values }: Source,
  max: number,
): { readonly among: Among; readonly isWhole: boolean } {
  // As one text: a hundred thousand rows of one number each would be as many objects.
  const row = db
    .query<{ text: string | null; count: number }, SQLQueryBindings[]>(
      `SELECT group_concat(n) AS text, COUNT(*) AS count FROM (${sql} ORDER BY n DESC LIMIT ${max})`,
    )
    .get(...values)
  const { text, count } = { text: row?.text ?? '', count: row?.count ?? 0 }
  const low = Number(text.slice(text.lastIndexOf(',') + 1))
  const high = count === 0 ? -1 : Number.parseInt(text)
  const bits = new Uint8Array(((Math.max(high, low) - low) >> 3) + 1)
  let number = 0
  const length = count === 0 ? -1 : text.length
  for (let i = 0; i <= length; i++) {
    const digit = i === length ? comma : text.charCodeAt(i)
    if (digit !== comma) number = number * 10 + digit - zero
    else {
      bits[(number - low) >> 3]! |= 1 << ((number - low) & 7)
      number = 0
    }
  }
  return {
    isWhole: count < max,
    among: {
      low,
      high,
      has: (n) => n >= low && n <= high && (bits[(n - low) >> 3]! & (1 << ((n - low) & 7))) !== 0,
    },
  }
}

/** At most half a megabyte of a fact. */
const segmentsAhead = 32

const comma = 44
const zero = 48

/** Shows every part that has wanted rows, newest first. To be called inside of a read transaction. */
export function walk(
  db: Database,
  conditions: readonly Condition[],
  amongAll: readonly Among[],
  visit: (part: Part) => void,
): void {
  const floor = floorOf(db)
  const sealed = sealedOf(db)
  const gone = Map.groupBy(db.query<{ n: number }, []>('SELECT n FROM gone').all(), ({ n }) =>
    segmentOf(n),
  )
  const stale = new Set(
    db
      .query<{ segment: number }, []>('SELECT segment FROM stale')
      .all()
      .map(({ segment }) => segment),
  )
  const zones = new Map<number, ReadonlyMap<number, Zone>>()
  const buffers = new Map<number, Float64Array>()
  const loaded = new Map<number, number>()
  const places = new Uint16Array(rowsInSegment)
  const packed = db.query<
    { lo: number | null; hi: number | null; data: Uint8Array | null },
    [number]
  >('SELECT lo, hi, data FROM segments WHERE k = ?1')
  const ahead = new Map<number, { from: number; packs: ReadonlyMap<number, Packed> }>()
  let segment = 0

  function zonesOf(place: number): ReadonlyMap<number, Zone> {
    let known = zones.get(place)
    if (!known) {
      const rows = db
        .query('SELECT k, lo, hi, data IS NULL FROM segments WHERE k >= ?1 AND k < ?2')
        .values(segmentKey(place, 0), segmentKey(place + 1, 0)) as [
        number,
        number,
        number,
        number,
      ][]
      const { scale } = FACTS[place]!
      known = new Map(
        rows.map(([k, lo, hi, isFlat]) => [
          k - segmentKey(place, 0),
          {
            lo: lo === null ? null : lo / scale,
            hi: hi === null ? null : hi / scale,
            isFlat: isFlat === 1,
          },
        ]),
      )
      zones.set(place, known)
    }
    return known
  }

  function zoneOf(place: number): Zone | undefined {
    // Of the rows at the end, and of costs that have changed, nothing is known in advance.
    if (segment === sealed || (place === cost && stale.has(segment))) return undefined
    return zonesOf(place).get(segment)
  }

  function fact(place: number): Float64Array {
    let values = buffers.get(place)
    if (!values) buffers.set(place, (values = new Float64Array(rowsInSegment)))
    if (loaded.get(place) === segment) return values
    loaded.set(place, segment)
    const { scale, sql } = FACTS[place]!
    const zone = zoneOf(place)
    const row = zone && !zone.isFlat ? packed.get(segmentKey(place, segment)) : undefined
    if (row) unpackFact(row, scale, values)
    else if (zone?.isFlat) values.fill(zone.lo ?? Number.NaN)
    else {
      values.fill(Number.NaN)
      const from = segment * rowsInSegment
      const rows = db
        .query(`SELECT n, ${sql} FROM calls WHERE n >= ?1 AND n < ?2`)
        .values(from, from + rowsInSegment) as [number, number | null][]
      for (const [n, value] of rows) if (value !== null) values[n - from] = value
    }
    return values
  }

  /**
   * A fact of all rows as it was packed; undefined where it has to be looked at row by row, or has been unpacked. Read
   * many segments at once: whoever adds up wants the next one as well.
   */
  function packedOf(place: number): Packed | undefined {
    if (segment === sealed || loaded.get(place) === segment) return undefined
    if (place === cost && stale.has(segment)) return undefined
    let read = ahead.get(place)
    if (!read || segment < read.from) {
      const from = Math.max(0, segment + 1 - segmentsAhead)
      const rows = db
        .query('SELECT k, lo, hi, data FROM segments WHERE k >= ?1 AND k <= ?2')
        .values(segmentKey(place, from), segmentKey(place, segment)) as [
        number,
        number | null,
        number | null,
        Uint8Array | null,
      ][]
      const first = segmentKey(place, 0)
      const packs = new Map(rows.map(([k, lo, hi, data]) => [k - first, { lo, hi, data }]))
      ahead.set(place, (read = { from, packs }))
    }
    return read.packs.get(segment)
  }

  /** The rows that there are, as far as other conditions left them. */
  function present(): number {
    const from = segment * rowsInSegment
    const least = Math.max(0, floor + 1 - from, from === 0 ? 1 : 0)
    let count = 0
    if (segment === sealed) {
      const times = fact(0)
      for (let i = least; i < rowsInSegment; i++) if (times[i] === times[i]) places[count++] = i
    } else for (let i = least; i < rowsInSegment; i++) places[count++] = i
    const missing = gone.get(segment)
    if (!missing) return count
    const out = new Set(missing.map(({ n }) => n - from))
    return keep(count, (i) => !out.has(i))
  }

  function keep(count: number, isWanted: (place: number) => boolean): number {
    let kept = 0
    for (let i = 0; i < count; i++) if (isWanted(places[i]!)) places[kept++] = places[i]!
    return kept
  }

  const part: Mutable<Part> = {
    from: 0,
    places,
    count: 0,
    fact,
    sum(place) {
      const { places: wanted, count } = this
      const row = packedOf(place)
      if (row) return sumPacked(row, FACTS[place]!.scale, wanted, count)
      const values = fact(place)
      let sum = 0
      for (let i = 0; i < count; i++) sum += values[wanted[i]!]! || 0
      return sum
    },
    equal(place, value) {
      const { places: wanted, count } = this
      const row = packedOf(place)
      if (row) return countPacked(row, FACTS[place]!.scale, { places: wanted, count, value })
      const values = fact(place)
      let found = 0
      for (let i = 0; i < count; i++) if (values[wanted[i]!] === value) found++
      return found
    },
    bounds(place: number) {
      const zone = zoneOf(place)
      if (!zone || zone.lo === null || zone.hi === null) return undefined
      return { lo: zone.lo, hi: zone.hi }
    },
  }
  const low = Math.max(segmentOf(floor + 1), ...amongAll.map((among) => segmentOf(among.low)))
  const high = Math.min(sealed, ...amongAll.map((among) => segmentOf(among.high)))
  for (segment = high; segment >= low; segment--) {
    const from = segment * rowsInSegment
    const verdicts = conditions.map((each) => verdictOf(each, zoneOf(each.place)))
    if (verdicts.includes(false)) continue
    let count = present()
    conditions.forEach((each, i) => {
      if (count > 0 && verdicts[i] === undefined)
        count = narrow(each, fact(each.place), places, count)
    })
    for (const among of amongAll) count = keep(count, (i) => among.has(from + i))
    if (count === 0) continue
    part.from = from
    part.count = count
    visit(part)
  }
}

/** Whether all or none of the rows of a zone are wanted; undefined when they have to be looked at. */
function verdictOf(condition: Condition, zone: Zone | undefined): boolean | undefined {
  if (!zone) return undefined
  const { lo, hi, isFlat } = zone
  if (lo === null || hi === null) return condition.kind === 'missing'
  switch (condition.kind) {
    case 'missing':
      return isFlat ? false : undefined
    case 'between':
      if (hi < condition.low || lo > condition.high) return false
      return isFlat ? true : undefined
    case 'in': {
      let isNear = false
      for (const value of condition.values) {
        if (value < lo || value > hi) continue
        if (isFlat) return true
        isNear = true
      }
      return isNear ? undefined : false
    }
  }
}

function narrow(
  condition: Condition,
  values: Float64Array,
  places: Uint16Array,
  count: number,
): number {
  let kept = 0
  if (condition.kind === 'between') {
    const { low, high } = condition
    for (let i = 0; i < count; i++) {
      const value = values[places[i]!]!
      if (value >= low && value <= high) places[kept++] = places[i]!
    }
  } else if (condition.kind === 'missing') {
    for (let i = 0; i < count; i++) {
      const value = values[places[i]!]!
      if (value !== value) places[kept++] = places[i]!
    }
  } else {
    const wanted = condition.values
    const [only] = wanted
    for (let i = 0; i < count; i++) {
      const value = values[places[i]!]!
      if (wanted.size === 1 ? value === only : wanted.has(value)) places[kept++] = places[i]!
    }
  }
  return kept
}
