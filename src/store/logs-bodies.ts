import type { Database } from 'bun:sqlite'

import { placeMark } from './logs-tables.ts'

// What was said in many calls lies in blocks that are compressed together, which is several times cheaper and smaller
// than one by one. A row knows its block, and where in its text its own begins and how long it is, in UTF-16 units.

/** A block is closed when it holds so much, or when its batch ends. */
const blockChars = 256 * 1024

export interface BlockWriter {
  /** The block that the next text goes into. */
  readonly block: number
  /** Takes a text of row `n` and returns where it stands. */
  add(text: string): number
  /** Row `n` is complete; in the caller's transaction. */
  end(n: number): void
  /** Writes what is left. */
  flush(): void
}

/** For one transaction. */
export function openBlocks(sqlite: Database): BlockWriter {
  const last = sqlite.query<{ block: number | null }, []>('SELECT MAX(block) AS block FROM blocks')
  const insert = sqlite.query('INSERT INTO blocks (block, last_n, data) VALUES (?1, ?2, ?3)')
  let block = (last.get()?.block ?? 0) + 1
  let pieces: string[] = []
  let chars = 0
  let lastN = 0

  function flush(): void {
    if (pieces.length === 0) return
    insert.run(block, lastN, Bun.zstdCompressSync(pieces.join(''), { level: 1 }))
    block++
    pieces = []
    chars = 0
  }

  return {
    get block() {
      return block
    },
    add(text) {
      const at = chars
      pieces.push(text)
      chars += text.length
      return at
    },
    end(n) {
      lastN = n
      if (chars >= blockChars) flush()
    },
    flush,
  }
}

/** A body as the view `details` shows it. */
export type Place = Uint8Array

const way = new RegExp(`^${placeMark}(\\d+):(\\d+):(\\d+)$`)
const maxWayBytes = 64

/** Finds bodies; keeps the block that it looked at last, since rows that stand together are read together. */
export function createBodies(sqlite: Database): (place: Place) => string | undefined {
  const find = sqlite.query<{ data: Uint8Array }, [number]>(
    'SELECT data FROM blocks WHERE block = ?1',
  )
  let known = -1
  let text = ''
  return (place) => {
    if (place.length > maxWayBytes) return undefined
    const [, block, at, kept] = way.exec(new TextDecoder().decode(place)) ?? []
    if (block === undefined) return undefined
    if (known !== Number(block)) {
      const row = find.get(Number(block))
      if (!row) return undefined
      text = new TextDecoder().decode(Bun.zstdDecompressSync(new Uint8Array(row.data)))
      known = Number(block)
    }
    return text.slice(Number(at), Number(at) + Number(kept))
  }
}

/** Takes the bodies of these rows out of their blocks; in the caller's transaction. */
export function eraseBodies(sqlite: Database, numbers: readonly number[]): void {
  type Spot = { block: number; from: number; until: number }
  const find = sqlite.query<Spot, [number]>(
    `SELECT block, COALESCE(request_at, answer_at) AS "from",
            COALESCE(answer_at + answer_kept, request_at + request_kept) AS until
     FROM texts WHERE n = ?1 AND block IS NOT NULL AND COALESCE(request_at, answer_at) IS NOT NULL`,
  )
  const spots = Map.groupBy(
    numbers.flatMap((n) => find.all(n)),
    ({ block }) => block,
  )
  for (const [block, own] of spots) {
    const row = sqlite
      .query<{ data: Uint8Array }, [number]>('SELECT data FROM blocks WHERE block = ?1')
      .get(block)
    if (!row) continue
    let text = new TextDecoder().decode(Bun.zstdDecompressSync(new Uint8Array(row.data)))
    for (const { from, until } of own) {
      text = text.slice(0, from) + ' '.repeat(until - from) + text.slice(until)
    }
    sqlite
      .query('UPDATE blocks SET data = ?2 WHERE block = ?1')
      .run(block, Bun.zstdCompressSync(text, { level: 1 }))
  }
}
