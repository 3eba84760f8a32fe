import type { Database } from 'bun:sqlite'

import { namesOf } from './logs-facets.ts'
import { placeOf } from './logs-scan.ts'
import type { Part } from './logs-scan.ts'
import { placeOfDimension, textsOf } from './logs-slices.ts'
import type { Buckets, Dimension } from './logs-slices.ts'
import { createSlots } from './logs-slots.ts'
import { rowsInSegment } from './logs-tables.ts'

// What histograms are made of: sums and latencies of rows by bucket, and by the values of a dimension. Several of
// these collect during one walk.

/** Values beyond the largest ones are summed up as one. */
const maxValues = 20
const others = 'other'
/** Values are callers' words as well; so many are told apart while rows are read, the newest first. */
const maxKnown = 200
/** Stands for all further values. */
const further = -1

/** What a bucket of a histogram shows. */
export interface Sums {
  readonly count: number
  readonly success: number
  readonly prompt: number
  readonly completion: number
  readonly total: number
  readonly cached: number
  readonly cost: number
  /** Milliseconds of the calls that made `completion`. */
  readonly spokenMs: number
  /** The average and percentiles of latencies, where these were collected. */
  readonly latency: Latency | undefined
}

export interface Latency {
  readonly average: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
}

export const nothing: Sums = {
  count: 0,
  success: 0,
  prompt: 0,
  completion: 0,
  total: 0,
  cached: 0,
  cost: 0,
  spokenMs: 0,
  latency: undefined,
}

/** What came of a walk. */
export interface Found {
  /** The values that are told apart, the largest first. */
  readonly values: readonly string[]
  /** `value` undefined is all of a bucket; the result undefined where there was nothing. */
  at(bucket: number, value: string | undefined): Sums | undefined
}

export interface Collector {
  /** `bucketAt` has the buckets of rows by their places, the first one being 0. */
  visit(part: Part, bucketAt: Uint16Array): void
  found(db: Database): Found
}

/** Where the buckets of a part's rows are told; used again for the next part. */
export function createBucketing({ sizeMs, first }: Buckets): (part: Part) => Uint16Array {
  const bucketAt = new Uint16Array(rowsInSegment)
  const times = placeOf('at_ms')
  return (part) => {
    const { places, count } = part
    const at = part.fact(times)
    for (let i = 0; i < count; i++) {
      const place = places[i]!
      bucketAt[place] = Math.floor(at[place]! / sizeMs) - first
    }
    return bucketAt
  }
}

export type Summed =
  | 'prompt_tokens'
  | 'completion_tokens'
  | 'total_tokens'
  | 'cached_read_tokens'
  | 'cost'
  | 'latency_ms'
const nought = new Float64Array(rowsInSegment)
/** Numbers of a cell, in the order of the first members of `Sums`. */
const width = 8

/** Sums of calls; facts that are not among `needed` are not read, and so sum up to nothing. */
export function collectSums(
  { first, last }: Buckets,
  column: Dimension | undefined,
  needed: readonly Summed[],
): Collector {
  const slots = createSlots(maxKnown)
  const cells: (Float64Array | undefined)[] = []
  const ofSlot = (slot: number): Float64Array =>
    (cells[slot] ??= new Float64Array((last - first + 1) * width))
  return {
    visit(part, bucketAt) {
      const fact = (name: Summed): Float64Array =>
        needed.includes(name) ? part.fact(placeOf(name)) : nought
      const values = column ? part.fact(placeOfDimension(column)) : nought
      const success = part.fact(placeOf('success'))
      const prompts = fact('prompt_tokens')
      const completions = fact('completion_tokens')
      const totals = fact('total_tokens')
      const cached = fact('cached_read_tokens')
      const costs = fact('cost')
      const taken = fact('latency_ms')
      const { places, count } = part
      for (let i = 0; i < count; i++) {
        const at = places[i]!
        const slot = slots.of(values[at]!)
        const own = ofSlot(slot < 0 ? maxKnown : slot)
        const cell = bucketAt[at]! * width
        own[cell]!++
        own[cell + 1]! += success[at]!
        // What is missing is NaN.
        own[cell + 2]! += prompts[at]! || 0
        own[cell + 4]! += totals[at]! || 0
        own[cell + 5]! += cached[at]! || 0
        own[cell + 6]! += costs[at]! || 0
        const made = completions[at]!
        if (made > 0) {
          own[cell + 3]! += made
          own[cell + 7]! += taken[at]!
        }
      }
    },
    found(db) {
      const groups = cells.flatMap((own, slot) => {
        if (!own) return []
        let weight = 0
        for (let cell = 0; cell < own.length; cell += width) weight += own[cell]!
        return [{ value: slots.names[slot] ?? further, weight, own }]
      })
      return foundIn(db, column, groups, (parts, bucket) => {
        const sums = new Float64Array(width)
        const cell = (bucket - first) * width
        for (const own of parts) {
          for (let i = 0; i < width; i++) sums[i]! += own[cell + i]!
        }
        const [count, success, prompt, completion, total, cached, cost, spokenMs] =
          sums as unknown as [number, number, number, number, number, number, number, number]
        if (count === 0) return undefined
        const tokens = { prompt, completion, total, cached }
        return { count, success, ...tokens, cost, spokenMs, latency: undefined }
      })
    },
  }
}

/** Latencies of the calls that succeeded. */
export function collectLatencies({ first }: Buckets, column: Dimension | undefined): Collector {
  const slots = createSlots(maxKnown)
  const cells: (number[] | undefined)[][] = []
  return {
    visit(part, bucketAt) {
      const values = column ? part.fact(placeOfDimension(column)) : nought
      const success = part.fact(placeOf('success'))
      const taken = part.fact(placeOf('latency_ms'))
      const { places, count } = part
      for (let i = 0; i < count; i++) {
        const at = places[i]!
        if (success[at] !== 1) continue
        const slot = slots.of(values[at]!)
        const own = (cells[slot < 0 ? maxKnown : slot] ??= [])
        const cell = (own[bucketAt[at]!] ??= [])
        cell.push(taken[at]!)
      }
    },
    found(db) {
      const groups = cells.flatMap((own, slot) => {
        let weight = 0
        // Sorted once, however often they are joined with others.
        const sorted = own.map((cell) => {
          weight += cell?.length ?? 0
          return cell && Float64Array.from(cell).toSorted()
        })
        return [{ value: slots.names[slot] ?? further, weight, own: sorted }]
      })
      return foundIn(db, column, groups, (parts, bucket) => {
        const lists: Float64Array[] = []
        for (const own of parts) {
          const list = own[bucket - first]
          if (list) lists.push(list)
        }
        const count = lists.reduce((sum, { length }) => sum + length, 0)
        return count === 0 ? undefined : { ...nothing, count, latency: latencyOf(lists, count) }
      })
    },
  }
}

/** Of several sorted lists, as if they were one. */
function latencyOf(lists: readonly Float64Array[], count: number): Latency {
  let sum = 0
  for (const list of lists) for (const value of list) sum += value
  const [p90, p95, p99] = percentiles(lists, [0.9, 0.95, 0.99]) as [number, number, number]
  return { average: sum / count, p90, p95, p99 }
}

/**
 * Of several sorted lists, as if they were one: for each part, rising, the smallest value that so large a part of all
 * does not exceed. Goes from the greatest downwards, since only these are asked for.
 */
export function percentiles(
  lists: readonly Float64Array[],
  parts: readonly number[],
): readonly number[] {
  const count = lists.reduce((sum, { length }) => sum + length, 0)
  if (count === 0) return parts.map(() => 0)
  const ends = lists.map(({ length }) => length - 1)
  const results = parts.map(() => 0)
  let rank = count
  let value = 0
  for (let part = parts.length - 1; part >= 0; part--) {
    const wanted = Math.max(0, Math.ceil(count * parts[part]!) - 1)
    for (; rank > wanted; rank--) {
      let best = 0
      let greatest = -Infinity
      for (let i = 0; i < lists.length; i++) {
        const end = ends[i]!
        if (end >= 0 && lists[i]![end]! > greatest) {
          greatest = lists[i]![end]!
          best = i
        }
      }
      ends[best]!--
      value = greatest
    }
    results[part] = value
  }
  return results
}

interface Group<Own> {
  /** The number of its name, or `further`. */
  readonly value: number
  readonly weight: number
  readonly own: Own
}

/** Groups by the names of their values: the largest ones, and one for the others. */
function foundIn<Own>(
  db: Database,
  column: Dimension | undefined,
  groups: readonly Group<Own>[],
  join: (parts: readonly Own[], bucket: number) => Sums | undefined,
): Found {
  const textOf = textsOf(db)
  const known = groups.map(({ value }) => value)
  const names = column?.name === undefined ? undefined : namesOf(db, column.id, column.name, known)
  const ranked = groups
    .filter(({ value }) => value !== further)
    .map(({ value, weight, own }) => {
      const named = names?.get(value)
      const name = (named === undefined ? '' : textOf(named)) || textOf(value)
      return { name, weight, own }
    })
    .toSorted((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
  const rest = ranked.slice(maxValues).map(({ own }) => own)
  const beyond = groups.find(({ value }) => value === further)
  if (beyond) rest.push(beyond.own)
  const byName = new Map<string, Own[]>()
  for (const { name, own } of ranked.slice(0, maxValues)) {
    byName.set(name, [...(byName.get(name) ?? []), own])
  }
  if (rest.length > 0) byName.set(others, [...(byName.get(others) ?? []), ...rest])
  const all = groups.map(({ own }) => own)
  return {
    values: [...byName.keys()],
    at: (bucket, value) => join(value === undefined ? all : (byName.get(value) ?? []), bucket),
  }
}
