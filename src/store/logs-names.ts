import type { Database, Statement } from 'bun:sqlite'

import type { AppOf } from './logs-apps.ts'
import type { ParcelReader } from './logs-parcel.ts'
import { NAMED } from './logs-tables.ts'

// Texts that occur in many rows, such as models and providers, by number.

export interface Names {
  /** The number of `text` for the row `n`, known or new. In the caller's transaction. */
  numberOf(text: string, n: number): number
  /** Notes that the names that were asked for are used up to row `n`. */
  settle(n: number): void
  /** Removes names that no row behind `floor` uses, `n` being the last row. */
  prune(floor: number, n: number): void
  close(): void
}

const maxKnown = 20_000

export function openNames(sqlite: Database): Names {
  const find = sqlite.prepare<{ k: number }, [string]>('SELECT k FROM names WHERE text = ?1')
  const insert: Statement<unknown, [string, number]> = sqlite.prepare(
    'INSERT INTO names (text, last_n) VALUES (?1, ?2)',
  )
  const use: Statement<unknown, [number, number]> = sqlite.prepare(
    'UPDATE names SET last_n = max(last_n, ?2) WHERE k = ?1',
  )
  const known = new Map<string, number>()
  /** Those that were used since the last settling. */
  const used = new Set<number>()

  function settle(n: number): void {
    for (const k of used) use.run(k, n)
    used.clear()
  }

  return {
    settle,
    prune(floor, n) {
      settle(n)
      known.clear()
      sqlite.query('DELETE FROM names WHERE last_n <= ?1').run(floor)
    },
    numberOf(text, n) {
      let k = known.get(text)
      if (k === undefined) {
        const plain = text.toWellFormed()
        k = find.get(plain)?.k ?? Number(insert.run(plain, n).lastInsertRowid)
        if (known.size >= maxKnown) known.clear()
        known.set(text, k)
      }
      if (!used.has(k)) {
        // At the first use only: later ones are noted when a segment is full.
        used.add(k)
        use.run(k, n)
      }
      return k
    },
    close() {
      find.finalize()
      insert.finalize()
      use.finalize()
    },
  }
}

/** The names of the rows of one batch, each of which is looked up only once. */
export interface Naming {
  /** The number of what a row has at a place of `NAMED`; null for nothing. `clean` is for rows that hold secrets. */
  numberOf(row: ParcelReader, place: number, n: number, clean: Clean | undefined): number | null
  /** The name itself. */
  textOf(row: ParcelReader, place: number, clean: Clean | undefined): string | undefined
  /** Names that come again are to be looked up again. */
  forget(): void
}

type Clean = (text: string) => string

const placeOfAgent = NAMED.indexOf('user_agent')
const placeOfApp = NAMED.indexOf('app')

/** `texts` are the names of a batch by the numbers that its rows have for them. */
export function createNaming(texts: readonly string[], names: Names, appOf: AppOf): Naming {
  const numbers = new Int32Array(texts.length)
  const apps = new Int32Array(texts.length)

  /** Found out of a text without secrets, half of which would not be recognised. */
  function appText(agent: number, clean: Clean | undefined): string | undefined {
    const text = texts[agent]
    return text === undefined ? undefined : appOf(clean ? clean(text) : text.toWellFormed())
  }

  return {
    numberOf(row, place, n, clean) {
      const isApp = place === placeOfApp
      const which = row.nameOf(isApp ? placeOfAgent : place)
      if (which < 0) return null
      const known = isApp ? apps : numbers
      if (!clean && known[which] !== 0) return known[which]!
      const text = isApp ? appText(which, clean) : texts[which]
      if (text === undefined) return null
      if (clean) return names.numberOf(clean(text), n)
      const number = names.numberOf(text, n)
      known[which] = number
      return number
    },
    textOf(row, place, clean) {
      return place === placeOfApp
        ? appText(row.nameOf(placeOfAgent), clean)
        : texts[row.nameOf(place)]
    },
    forget() {
      numbers.fill(0)
      apps.fill(0)
    },
  }
}
