import type { Database, Statement } from 'bun:sqlite'

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
