import type { Database } from 'bun:sqlite'

import { FACTS, rowsInSegment, segmentKey, segmentOf, SESSION_FACT } from './logs-tables.ts'

// Facts of many rows side by side, packed: what a search has to read of a million rows is a few megabytes.

/** A packed fact: the least and the greatest value, and the values unless they are all the same or all missing. */
export interface Packed {
  readonly lo: number | null
  readonly hi: number | null
  readonly data: Uint8Array | null
}

/** `values` are scaled; NaN is missing. */
export function packFact(values: Float64Array): Packed {
  let lo = Infinity
  let hi = -Infinity
  let missing = 0
  let isWhole = true
  // By its place: what walks over an array of numbers costs as much again.
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (value !== value) missing++
    else {
      if (value < lo) lo = value
      if (value > hi) hi = value
      if (isWhole && !Number.isSafeInteger(value)) isWhole = false
    }
  }
  if (missing === values.length) return { lo: null, hi: null, data: null }
  if (lo === hi && missing === 0) return { lo, hi, data: null }
  const span = hi - lo + 1
  if (!isWhole || span > 0xffffffff) return { lo, hi, data: bytesOf(values.slice()) }
  const whole =
    span <= 0xff
      ? new Uint8Array(values.length)
      : span <= 0xffff
        ? new Uint16Array(values.length)
        : new Uint32Array(values.length)
  // Nothing is 0, so that the least value is 1.
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    whole[i] = value === value ? value - lo + 1 : 0
  }
  return { lo, hi, data: bytesOf(whole) }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** What was packed, into `values`. */
export function unpackFact({ lo, data }: Packed, scale: number, values: Float64Array): void {
  if (data === null) {
    values.fill(lo === null ? Number.NaN : lo / scale)
    return
  }
  const whole = elementsOf(data)
  if (whole instanceof Float64Array) {
    for (let i = 0; i < values.length; i++) values[i] = whole[i]! / scale
    return
  }
  const least = lo! - 1
  for (let i = 0; i < values.length; i++) {
    const value = whole[i]!
    values[i] = value === 0 ? Number.NaN : (value + least) / scale
  }
}

/** The sum of what was packed for the first `count` of these places; what is missing adds nothing. */
export function sumPacked(
  { lo, data }: Packed,
  scale: number,
  places: Uint16Array,
  count: number,
): number {
  if (data === null) return lo === null ? 0 : (lo * count) / scale
  const whole = elementsOf(data)
  let sum = 0
  if (whole instanceof Float64Array) {
    for (let i = 0; i < count; i++) sum += whole[places[i]!]! || 0
    return sum / scale
  }
  let missing = 0
  for (let i = 0; i < count; i++) {
    const value = whole[places[i]!]!
    sum += value
    if (value === 0) missing++
  }
  return (sum + (lo! - 1) * (count - missing)) / scale
}

/** For how many of the first `count` of these places this was packed. */
export function countPacked(
  { lo, hi, data }: Packed,
  scale: number,
  { places, count, value }: { places: Uint16Array; count: number; value: number },
): number {
  const wanted = value * scale
  if (lo === null || hi === null || wanted < lo || wanted > hi) return 0
  if (data === null) return count
  const whole = elementsOf(data)
  const raw = whole instanceof Float64Array ? wanted : wanted - lo + 1
  let found = 0
  for (let i = 0; i < count; i++) if (whole[places[i]!] === raw) found++
  return found
}

type Elements = Uint8Array | Uint16Array | Uint32Array | Float64Array

/** As they were packed: a byte, two, four or eight for each row. */
function elementsOf(data: Uint8Array): Elements {
  const width = data.byteLength / rowsInSegment
  if (width === 1) return data
  const { buffer, byteOffset } = data.byteOffset % width === 0 ? data : data.slice()
  switch (width) {
    case 2:
      return new Uint16Array(buffer, byteOffset, rowsInSegment)
    case 4:
      return new Uint32Array(buffer, byteOffset, rowsInSegment)
    default:
      return new Float64Array(buffer, byteOffset, rowsInSegment)
  }
}

/** The rows behind the last segment, until they are one. */
export interface Tail {
  /**
   * The facts of a row stand in `facts`, `from` on, where `places` says, in the order of `FACTS`; unscaled, null where
   * missing. Seals what is full.
   */
  add(n: number, facts: readonly unknown[], places: readonly number[], from?: number): void
}

const placeOfCost = FACTS.findIndex(({ name }) => name === 'cost')
const placeOfSession = FACTS.findIndex(({ name }) => name === SESSION_FACT)

const scales = FACTS.map(({ scale }) => scale)
const selected = FACTS.map(({ sql }) => sql).join(', ')

/** Picks up where the file ends; in the same transactions as the rows. */
export function openTail(sqlite: Database): Tail {
  const insert = 'INSERT OR REPLACE INTO segments (k, lo, hi, data) VALUES (?1, ?2, ?3, ?4)'
  const values = FACTS.map(() => new Float64Array(rowsInSegment).fill(Number.NaN))
  let segment = sealedOf(sqlite)

  function seal(): void {
    const isStale = sqlite.query('DELETE FROM stale WHERE segment = ?1').run(segment).changes > 0
    if (isStale) readCosts(sqlite, segment, values[placeOfCost]!)
    FACTS.forEach((_, place) => {
      const { lo, hi, data } = packFact(values[place]!)
      sqlite.query(insert).run(segmentKey(place, segment), lo, hi, data)
      values[place]!.fill(Number.NaN)
    })
    segment++
  }

  function add(n: number, facts: readonly unknown[], places: readonly number[], from = 0): void {
    while (segmentOf(n) > segment) seal()
    const at = n % rowsInSegment
    for (let place = 0; place < places.length; place++) {
      const given = facts[from + places[place]!]
      // Given as such, or as the session.
      const value = place === placeOfSession ? Number(given !== null && given !== 0) : given
      if (typeof value !== 'number') continue
      const scale = scales[place]!
      values[place]![at] = scale === 1 ? value : Math.round(value * scale)
    }
  }

  const rows = sqlite
    .query<unknown, [number]>(`SELECT n, ${selected} FROM calls WHERE n >= ?1 ORDER BY n`)
    .values(segment * rowsInSegment) as (number | null)[][]
  const places = FACTS.map((_, place) => place + 1)
  for (const row of rows) add(row[0]!, row, places)
  return { add }
}

/** How many segments are there or have been: the number of the first that is not. */
export function sealedOf(sqlite: Database): number {
  const row = sqlite
    .query<{ k: number | null }, [number]>('SELECT MAX(k) AS k FROM segments WHERE k < ?1')
    .get(segmentKey(1, 0))
  return row?.k == null ? segmentOf(floorOf(sqlite)) : row.k + 1
}

/** Rows up to this one are gone. */
export function floorOf(sqlite: Database): number {
  return sqlite.query<{ floor: number }, []>('SELECT floor FROM bounds').get()?.floor ?? 0
}

function readCosts(sqlite: Database, segment: number, values: Float64Array): void {
  values.fill(Number.NaN)
  const from = segment * rowsInSegment
  const rows = sqlite
    .query('SELECT n, cost FROM calls WHERE n >= ?1 AND n < ?2 AND cost IS NOT NULL')
    .values(from, from + rowsInSegment) as [number, number][]
  for (const [n, cost] of rows) values[n - from] = cost
}

/** Packs the costs of up to `max` segments anew whose rows got others; whether any were. In the caller's transaction. */
export function refreshCosts(sqlite: Database, max: number): boolean {
  const sealed = sealedOf(sqlite)
  const stale = sqlite
    .query<{ segment: number }, [number, number]>(
      'SELECT segment FROM stale WHERE segment < ?1 ORDER BY segment LIMIT ?2',
    )
    .all(sealed, max)
  const values = new Float64Array(rowsInSegment)
  for (const { segment } of stale) {
    readCosts(sqlite, segment, values)
    const { lo, hi, data } = packFact(values)
    sqlite
      .query('UPDATE segments SET lo = ?2, hi = ?3, data = ?4 WHERE k = ?1')
      .run(segmentKey(placeOfCost, segment), lo, hi, data)
    sqlite.query('DELETE FROM stale WHERE segment = ?1').run(segment)
  }
  return stale.length > 0
}
