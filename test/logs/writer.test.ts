import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { createLogWriter } from '#store/logs-writer.ts'
import type { LogWriter } from '#store/logs-writer.ts'
import { createLogStore } from '#store/logs.ts'
import type { LogStore } from '#store/logs.ts'

import { isSound } from './rig.ts'
import { row } from './row.ts'

const wide = { maxAgeMs: 1e12, maxBytes: 1e9, maxBodyChars: 100_000 }

interface Rig extends Disposable {
  readonly path: string
  readonly asides: string[]
  readonly writer: LogWriter
  ids(): string[]
}

function rig(limits: Partial<typeof wide> = {}, now?: () => number, pause?: () => void): Rig {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-logs-'))
  const path = join(dir, 'logs.db')
  const asides: string[] = []
  const writer = createLogWriter({
    path,
    limits: { ...wide, ...limits },
    onAside: (aside) => asides.push(aside),
    ...(now && { now }),
    ...(pause && { pause }),
  })
  return {
    path,
    asides,
    writer,
    ids() {
      using sqlite = new Database(path, { readonly: true })
      return sqlite
        .query<{ id: string }, []>('SELECT id FROM logs ORDER BY n')
        .all()
        .map(({ id }) => id)
    },
    [Symbol.dispose]() {
      writer.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Text that cannot be compressed, so that sizes can be reckoned with. */
function noise(chars: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(Math.ceil(chars * 0.75)))).toString(
    'base64',
  )
}

test('what is deleted while somebody reads is gone from the journal as well once they are done', () => {
  using own = rig()
  const isInFiles = (): boolean =>
    ['', '-wal'].some((end) => readFileSync(own.path + end, 'latin1').includes('zanzibar'))
  own.writer.write([row('keep'), row('drop', { asked: 'zanzibar' })], false)
  using reader = new Database(own.path, { readonly: true })
  reader.run('BEGIN')
  reader.query('SELECT COUNT(*) FROM calls').get()
  expect(own.writer.change({ kind: 'delete', ids: ['drop'] })).toBe(1)
  expect(own.writer.hasTraces).toBe(true)
  own.writer.tidy()
  expect(own.writer.hasTraces).toBe(true)
  reader.run('COMMIT')
  own.writer.tidy()
  expect(own.writer.hasTraces).toBe(false)
  expect(isInFiles()).toBe(false)
  expect(own.ids()).toEqual(['keep'])
})

describe('old rows', () => {
  test('go in slices, oldest first, with all that belongs to them', () => {
    let now = 1_000_000
    using own = rig({ maxAgeMs: 1000 }, () => now)
    own.writer.write(
      Array.from({ length: 450 }, (_, i) =>
        row(`old-${i}`, { atMs: now, request: '"words"', metadata: '{"a":"b"}' }),
      ),
      false,
    )
    own.writer.write(
      [row('young', { atMs: now + 500, request: '"words"', metadata: '{"a":"b"}' })],
      false,
    )
    now += 1200
    expect(own.writer.tidy()).toBe(true)
    expect(own.ids()).toHaveLength(401)
    while (own.writer.tidy());
    expect(own.ids()).toEqual(['young'])
    using sqlite = new Database(own.path, { readonly: true })
    for (const table of ['details', 'metadata']) {
      expect(sqlite.query(`SELECT COUNT(*) AS count FROM ${table}`).get()).toEqual({ count: 1 })
    }
  })

  test('leave the names of those that are left, also of a batch across the end of a segment', () => {
    let now = 1_000_000
    using own = rig({ maxAgeMs: 1000 }, () => now)
    const rows = Array.from({ length: 2100 }, (_, i) =>
      row(`${i}`, { atMs: i < 2060 ? now : now + 500, provider: 'kept' }),
    )
    own.writer.write(rows, false)
    now += 1200
    while (own.writer.tidy());
    using sqlite = new Database(own.path, { readonly: true })
    const providers = sqlite.query('SELECT provider, COUNT(*) AS count FROM logs GROUP BY 1').all()
    expect(providers).toEqual([{ provider: 'kept', count: 40 }])
  })

  test('stay when the clock goes back, and a jump ahead takes no more than a slice at a time', () => {
    let now = 1_000_000_000
    using own = rig({ maxAgeMs: 1000 }, () => now)
    own.writer.write(
      Array.from({ length: 1000 }, (_, i) => row(`${i}`, { atMs: now })),
      false,
    )
    now = 5
    expect(own.writer.tidy()).toBe(false)
    expect(own.ids()).toHaveLength(1000)
    now = 1e13
    own.writer.tidy()
    expect(own.ids()).toHaveLength(950)
  })
})

test('the file never grows beyond its bound and a batch, and the newest rows are the ones that stay', () => {
  const maxBytes = 4 * 1024 * 1024
  using own = rig({ maxBytes, maxBodyChars: 20_000 })
  const batchBytes = 20 * 20_000
  let largest = 0
  for (let batch = 0; batch < 40; batch++) {
    const rows = Array.from({ length: 20 }, (_, i) =>
      row(`${batch}-${i}`, { request: JSON.stringify({ prompt: noise(19_000) }) }),
    )
    own.writer.write(rows, false)
    const size = ['', '-wal'].map((end) =>
      existsSync(own.path + end) ? statSync(own.path + end).size : 0,
    )
    largest = Math.max(largest, size[0]! + size[1]!)
  }
  // What is written passes through the journal before it is in the file.
  expect(largest).toBeLessThan(maxBytes + 2 * batchBytes + 4_000_000)
  const ids = own.ids()
  expect(ids.at(-1)).toBe('39-19')
  expect(ids.length).toBeWithin(100, 400)
  expect(ids).not.toContain('0-0')
  expect(isSound(own.path)).toBe(true)
})

test('large rows, a few at a time, make the room that they take and no more', () => {
  const maxBytes = 8 * 1024 * 1024
  using own = rig({ maxBytes, maxBodyChars: 1_000_000 })
  const size = () => ['', '-wal'].reduce((sum, end) => sum + Bun.file(`${own.path}${end}`).size, 0)
  let largest = 0
  for (let i = 0; i < 60; i++) {
    own.writer.write([row(`a${i}`, { request: noise(65_000), answer: noise(65_000) })], false)
  }
  for (let i = 0; i < 60; i++) {
    const rows = [0, 1].map((n) =>
      row(`b${i}-${n}`, { request: noise(60_000), answer: noise(60_000) }),
    )
    own.writer.write(rows, false)
    largest = Math.max(largest, size())
  }
  expect(largest).toBeLessThan(maxBytes + 1.2 * 1024 * 1024)
  expect(own.ids().length).toBeGreaterThan(40)
})

test('when less may be kept, the file is as small as that once nothing is left to tidy', () => {
  using own = rig({ maxBodyChars: 1_000_000 })
  for (let i = 0; i < 20; i++) {
    const rows = [0, 1, 2, 3, 4].map((n) => row(`${i}-${n}`, { request: noise(80_000) }))
    own.writer.write(rows, false)
  }
  const maxBytes = 2 * 1024 * 1024
  own.writer.setLimits({ ...wide, maxBytes })
  while (own.writer.tidy());
  expect(Bun.file(own.path).size).toBeLessThanOrEqual(maxBytes)
  expect(own.ids().at(-1)).toBe('19-4')
})

test('a file that somebody deletes is made anew', () => {
  using own = rig()
  own.writer.write([row('gone')], false)
  for (const end of ['', '-wal', '-shm']) rmSync(own.path + end)
  own.writer.tidy()
  own.writer.write([row('fresh')], false)
  expect(own.ids()).toEqual(['fresh'])
  expect(own.asides).toEqual([])
})

describe('a damaged file', () => {
  test('is found by whoever is told to look, whatever is remembered of it', () => {
    using own = rig()
    own.writer.write([row('lost')], false)
    own.writer.inspect()
    expect(own.ids()).toEqual(['lost'])
    for (const end of ['', '-wal']) {
      writeFileSync(own.path + end, Buffer.alloc(statSync(own.path + end).size, 0xee))
    }
    own.writer.inspect()
    own.writer.write([row('fresh')], false)
    expect(own.ids()).toEqual(['fresh'])
    expect(own.asides).toHaveLength(1)
  })

  test('is moved aside, and a new one takes its place', () => {
    using own = rig()
    writeFileSync(own.path, 'this is no database, whatever its name says. '.repeat(100))
    own.writer.write([row('fresh')], false)
    expect(own.ids()).toEqual(['fresh'])
    expect(own.asides).toHaveLength(1)
    expect(
      readdirSync(dirname(own.path)).filter((name) => name.includes('.damaged-')),
    ).toHaveLength(1)
  })

  test('whose tables are damaged is moved aside, too, and only the last one is kept', () => {
    using own = rig()
    for (const round of [1, 2]) {
      own.writer.write(
        Array.from({ length: 500 }, (_, i) => row(`${i}`)),
        false,
      )
      own.writer.close()
      const bytes = new Uint8Array(readFileSync(own.path))
      bytes.fill(0x5a, 4096)
      writeFileSync(own.path, bytes)
      own.writer.write([row('fresh')], false)
      expect(own.ids()).toEqual(['fresh'])
      expect(own.asides).toHaveLength(round)
    }
    const kept = readdirSync(dirname(own.path)).filter((name) => name.includes('.damaged-'))
    expect(kept.map((name) => join(dirname(own.path), name))).toEqual([own.asides[1]!])
  })

  test('of a newer version is left alone', () => {
    using own = rig()
    own.writer.write([row('x')], false)
    own.writer.close()
    {
      using sqlite = new Database(own.path)
      sqlite.run('PRAGMA user_version = 99')
    }
    expect(() => own.writer.write([row('y')], false)).toThrow('newer version')
    expect(own.ids()).toEqual(['x'])
    expect(own.asides).toEqual([])
  })
})

test('a batch is written whole or not at all', () => {
  using own = rig()
  const broken = row('b', { provider: null as unknown as string })
  expect(() => own.writer.write([row('a'), broken], false)).toThrow()
  own.writer.write([row('c')], false)
  expect(own.ids()).toEqual(['c'])
})

test('others may have its core after every few rows and while it tidies, unless many rows wait', () => {
  let now = 1_000_000
  let pauses = 0
  using own = rig(
    { maxAgeMs: 1000 },
    () => now,
    () => {
      pauses += 1
    },
  )
  const taken = (work: () => void): number => {
    pauses = 0
    work()
    return pauses
  }
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) => row(`${i}`, { atMs: now }))
  expect(taken(() => own.writer.write(rows(400), false))).toBeGreaterThanOrEqual(100)
  for (let batch = 0; batch < 2; batch++) {
    expect(taken(() => own.writer.write(rows(820), false))).toBe(0)
  }
  // The words of all these are written to the index now.
  expect(taken(() => own.writer.write(rows(10), false))).toBeGreaterThanOrEqual(10)
  now += 10_000
  expect(taken(() => own.writer.tidy())).toBeGreaterThanOrEqual(3)
  expect(taken(() => own.writer.write(rows(600), false))).toBe(0)
})

test('two that write one file in turns lose nothing', () => {
  using own = rig()
  own.writer.write([row('a-0')], false)
  const { path } = own
  const other = createLogWriter({ path, limits: wide, onAside: () => undefined })
  try {
    const wanted = ['a-0']
    for (let n = 1; n <= 6; n++) {
      for (const [name, writer] of [
        ['b', other],
        ['a', own.writer],
      ] as const) {
        writer.write([row(`${name}-${n}`), row(`${name}-${n}-more`)], false)
        wanted.push(`${name}-${n}`, `${name}-${n}-more`)
      }
    }
    expect(own.ids()).toEqual(wanted)
  } finally {
    other.close()
  }
  expect(isSound(path)).toBe(true)
})

describe('the queue', () => {
  interface StoreRig extends AsyncDisposable {
    readonly store: LogStore
    readonly lines: string[]
    readonly dir: string
  }

  function storeRig(): StoreRig {
    const dir = mkdtempSync(join(tmpdir(), 'asbru-logs-'))
    const lines: string[] = []
    const log = createLogger({ level: 'info', style: 'json', write: (line) => lines.push(line) })
    const store = createLogStore({ path: join(dir, 'sub', 'logs.db'), limits: wide, log })
    return {
      store,
      lines,
      dir,
      async [Symbol.asyncDispose]() {
        await store.close()
        rmSync(dir, { recursive: true, force: true })
      },
    }
  }

  const count = async (store: LogStore): Promise<number> =>
    (JSON.parse(await store.ask({ kind: 'stats', filters: {} })) as { total_requests: number })
      .total_requests

  test('takes what there is room for and counts the rest', async () => {
    await using own = storeRig()
    for (let i = 0; i < 25_000; i++) own.store.add(row(`${i}`))
    const { dropped } = own.store
    expect(dropped).toBeWithin(1, 15_001)
    expect(own.lines.filter((line) => line.includes('more slowly'))).toHaveLength(1)
    while ((await count(own.store)) + dropped < 25_000);
    expect((await count(own.store)) + own.store.dropped).toBe(25_000)
  })

  test('lets go of content before it lets go of rows', async () => {
    await using own = storeRig()
    const request = JSON.stringify({ prompt: 'x'.repeat(1_000_000) })
    for (let i = 0; i < 200; i++) own.store.add(row(`${i}`, { request }))
    expect(own.store.dropped).toBe(0)
    while ((await count(own.store)) < 200);
    const first = JSON.parse(await own.store.ask({ kind: 'one', id: '0' })) as {
      raw_request: unknown
    }
    const last = JSON.parse(await own.store.ask({ kind: 'one', id: '199' })) as {
      raw_request: unknown
    }
    expect(first.raw_request).toBeString()
    expect(last.raw_request).toBeNull()
  }, 30_000)

  test('counts what the disk does not take, says so once, and goes on when it does', async () => {
    await using own = storeRig()
    // A folder where the file should be cannot be opened, whoever runs this.
    mkdirSync(own.store.path, { recursive: true })
    own.store.add(row('a'))
    await own.store.ask({ kind: 'stats', filters: {} }).catch(() => undefined)
    own.store.add(row('b'))
    await own.store.ask({ kind: 'stats', filters: {} }).catch(() => undefined)
    expect(own.store.dropped).toBe(2)
    expect(own.store.failure).toBeString()
    expect(own.lines.filter((line) => line.includes('cannot be written'))).toHaveLength(1)
    rmSync(own.store.path, { recursive: true })
    own.store.add(row('c'))
    expect(await count(own.store)).toBe(1)
    expect(own.store.failure).toBeUndefined()
    expect(own.lines.at(-1)).toContain('logged again')
  })

  test('does not fill the output when the disk is now full and now not', async () => {
    await using own = storeRig()
    // A row that no file takes stands for a batch that there is no room for.
    const tooMuch = { provider: null as unknown as string }
    for (let round = 0; round < 4; round++) {
      own.store.add(row('a', tooMuch))
      await own.store.ask({ kind: 'stats', filters: {} }).catch(() => undefined)
      expect(own.store.failure).toBeString()
      own.store.add(row('b'))
      expect(await count(own.store)).toBe(round + 1)
      expect(own.store.failure).toBeUndefined()
    }
    expect(own.store.dropped).toBe(4)
    const said = (words: string) => own.lines.filter((line) => line.includes(words))
    expect(said('cannot be written')).toHaveLength(1)
    expect(said('logged again')).toHaveLength(1)
  })

  test('writes what is in it before it closes', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'asbru-logs-'))
    const log = createLogger({ level: 'info', style: 'json', write: () => undefined })
    const store = createLogStore({ path: join(dir, 'logs.db'), limits: wide, log })
    for (let i = 0; i < 1200; i++) store.add(row(`${i}`))
    await store.close()
    expect(readdirSync(dir)).toEqual(['logs.db'])
    // Nobody else on the machine may read it.
    expect(statSync(store.path).mode & 0o077).toBe(0)
    {
      using sqlite = new Database(store.path, { readonly: true })
      expect(sqlite.query('SELECT COUNT(*) AS count FROM logs').get()).toEqual({ count: 1200 })
    }
    rmSync(dir, { recursive: true })
  })
})
