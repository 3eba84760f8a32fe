import type { Database } from 'bun:sqlite'

import { placeMark } from './logs-tables.ts'
import type { PackedText } from './logs-text.ts'

// What was said in many calls lies in blocks that are compressed together, which is several times cheaper and smaller
// than one by one. A row knows its block, and where in it its own begins and how long it is, in bytes (UTF-8).

/** A block is closed when it holds so much, or when its batch ends. */
const blockBytes = 256 * 1024

export interface BlockWriter {
  /** The block that the next text goes into. */
  readonly block: number
  /** Takes a text and returns where it stands. */
  add(text: PackedText): Spot
  /** Row `n` is complete; in the caller's transaction. */
  end(n: number): void
  /** Writes what is left. */
  flush(): void
}

/** Where something stands, and how many bytes it takes. */
export interface Spot {
  readonly at: number
  readonly bytes: number
}

/** What a block is put together in, for one after the other. */
let space = Buffer.alloc(0)

/** For one transaction. */
export function openBlocks(sqlite: Database): BlockWriter {
  const last = sqlite.query<{ block: number | null }, []>('SELECT MAX(block) AS block FROM blocks')
  const insert = sqlite.query('INSERT INTO blocks (block, last_n, data) VALUES (?1, ?2, ?3)')
  let block = (last.get()?.block ?? 0) + 1
  let used = 0
  let lastN = 0

  function flush(): void {
    if (used === 0) return
    insert.run(block, lastN, Bun.zstdCompressSync(space.subarray(0, used), { level: 1 }))
    block++
    used = 0
    if (space.length > 4 * blockBytes) space = Buffer.alloc(0)
  }

  function reserve(bytes: number): void {
    if (used + bytes <= space.length) return
    const larger = Buffer.alloc(Math.max(2 * blockBytes, used + bytes))
    larger.set(space.subarray(0, used))
    space = larger
  }

  return {
    get block() {
      return block
    },
    add({ memory, from, until }) {
      const at = used
      reserve(until - from)
      memory.copy(space, used, from, until)
      used += until - from
      return { at, bytes: used - at }
    },
    end(n) {
      lastN = n
      if (used >= blockBytes) flush()
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
  let bytes: Buffer = Buffer.alloc(0)
  return (place) => {
    if (place.length > maxWayBytes) return undefined
    const [, block, at, kept] = way.exec(new TextDecoder().decode(place)) ?? []
    if (block === undefined) return undefined
    if (known !== Number(block)) {
      const row = find.get(Number(block))
      if (!row) return undefined
      bytes = Bun.zstdDecompressSync(new Uint8Array(row.data))
      known = Number(block)
    }
    return bytes.toString('utf8', Number(at), Number(at) + Number(kept))
  }
}

/** Takes the bodies of these rows out of their blocks; in the caller's transaction. */
export function eraseBodies(sqlite: Database, numbers: readonly number[]): void {
  type Stretch = { block: number; from: number; until: number }
  const find = sqlite.query<Stretch, [number]>(
    `SELECT block, COALESCE(request_at, answer_at) AS "from",
            COALESCE(answer_at + answer_kept, request_at + request_kept) AS until
     FROM calls WHERE n = ?1 AND block IS NOT NULL AND COALESCE(request_at, answer_at) IS NOT NULL`,
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
    const bytes = Bun.zstdDecompressSync(new Uint8Array(row.data))
    for (const { from, until } of own) bytes.fill(' ', from, until)
    sqlite
      .query('UPDATE blocks SET data = ?2 WHERE block = ?1')
      .run(block, Bun.zstdCompressSync(bytes, { level: 1 }))
  }
}
