import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { WrittenPage } from '#store/logs-export.ts'
import { whereOf } from '#store/logs-filter.ts'
import { createLogReader } from '#store/logs-query.ts'
import { repriceLog } from '#store/logs-reprice.ts'
import type { LogRow } from '#store/logs-schema.ts'
import { rowsInSegment } from '#store/logs-tables.ts'
import { createLogWriter } from '#store/logs-writer.ts'
import type { LogWriter } from '#store/logs-writer.ts'

import { isSound } from './rig.ts'
import { row } from './row.ts'

// Searches over several segments give what SQL gives over the same rows, whatever has happened to them.

const rows = 5000
const now = 1_790_000_000_000
let dir: string
let path: string
let writer: LogWriter
let reader: ReturnType<typeof createLogReader>
let seed = 7
const random = (): number => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
const pick = <T>(...all: T[]): T => all[Math.floor(random() * all.length)]!

function call(i: number): LogRow {
  const isRare = i % 1700 === 3
  return row(`call-${i}`, {
    atMs: now + i * 1000 + Math.floor(random() * 5000),
    object: pick('chat_completion', 'embedding'),
    stream: random() < 0.3,
    status: random() < 0.1 ? 'error' : 'success',
    statusCode: pick(200, 500, 499),
    provider: pick('openai', 'anthropic', 'gemini'),
    model: isRare ? 'rare' : pick('a', 'b', 'c'),
    teamId: pick('t1', 't2', undefined),
    customerId: i < 2048 ? 'c1' : undefined,
    virtualKeyId: pick('vk1', 'vk2', undefined),
    userId: i > 4000 ? 'u1' : undefined,
    ruleId: isRare ? 'rule' : undefined,
    engines: pick('governance', 'governance,routing-rule', undefined),
    cacheHitType: pick('direct', undefined),
    userAgent: pick('OpenAI/JS 4.0', 'curl/8.0', undefined),
    sessionId: i % 100 === 5 ? `s${i % 3}` : undefined,
    latencyMs: isRare ? 100_000 + i : random() * 1000,
    totalTokens: random() < 0.1 ? undefined : Math.floor(random() * 300),
    cost: random() < 0.2 ? undefined : pick(0, random() / 10, 0.05),
    metadata: i % 50 === 0 ? '{"env":"test"}' : undefined,
    asked: `everywhere word${i % 500} ${isRare ? 'needle' : ''}`,
    request: `{"n":${i}}`,
  })
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'asbru-scan-'))
  path = join(dir, 'logs.db')
  const limits = { maxAgeMs: 1e15, maxBytes: 1e9, maxBodyChars: 1000 }
  writer = createLogWriter({ path, limits, onAside: () => undefined })
  for (let i = 0; i < rows; i += 250) {
    writer.write(
      Array.from({ length: 250 }, (_, j) => call(i + j)),
      false,
    )
    // In the middle of a segment and of a day: the writer starts anew.
    if (i === 3000) writer.close()
  }
  writer.change({ kind: 'index' })
  reader = createLogReader(path)
})

afterAll(() => {
  reader.close()
  writer.close()
  rmSync(dir, { recursive: true })
})

interface Page {
  readonly logs: readonly { readonly id: string; readonly cost: number | null }[]
  readonly pagination: Record<string, unknown>
}
const ask = (query: string): Page =>
  reader.ask({ kind: 'list', filters: Object.fromEntries(new URLSearchParams(query)) }) as Page

/** Whether all words are in what the user said, the last one perhaps only begun. */
function isSaid(sqlite: Database, n: number, search = ''): boolean {
  if (search === '') return true
  const found = sqlite
    .query<{ summary: string }, [number]>('SELECT summary FROM details WHERE n = ?1')
    .get(n)
  const said = found!.summary.split(' ')
  const [last = '', ...whole] = search.split(' ').toReversed()
  return whole.every((word) => said.includes(word)) && said.some((word) => word.startsWith(last))
}

/** What SQLite makes of the same filters. */
function expected(query: string): { ids: string[]; count: number } {
  using sqlite = new Database(path, { readonly: true })
  const {
    sort_by: sort = 'timestamp',
    order = 'desc',
    ...filters
  } = Object.fromEntries(new URLSearchParams(query))
  const columns = {
    timestamp: 'at_ms',
    latency: 'latency_ms',
    tokens: 'total_tokens',
    cost: 'cost',
  }
  const where = whereOf(filters, Date.now())
  const column = columns[sort as keyof typeof columns]
  const ids = sqlite
    .query<{ id: string; n: number }, any[]>(
      `SELECT id, n FROM logs ${where.sql} ORDER BY ${column} ${order}, n ${order}`,
    )
    .all(...where.values)
    .filter(({ n }) => isSaid(sqlite, n, filters['content_search']))
    .map(({ id }) => id)
  return { ids, count: ids.length }
}

const queries = [
  '',
  'order=asc',
  'providers=openai',
  'providers=openai,gemini&status=error',
  'status=success,error',
  'status=nonsense',
  'models=rare',
  'models=never-seen',
  'objects=embedding_stream',
  'objects=embedding',
  'team_ids=t1&virtual_key_ids=vk2',
  'customer_ids=c1',
  'user_ids=u1&order=asc',
  'routing_rule_ids=rule',
  'routing_engine_used=routing-rule',
  'cache_hit_types=direct&roots_only=true',
  'user_agents=curl/8.0',
  'apps=OpenAI Node SDK',
  'session_id=s1',
  'request_id=call-77,call-4999',
  'missing_cost_only=true',
  'min_cost=0.05&max_cost=0.05',
  'min_cost=0.09',
  'max_latency=10',
  'min_latency=100000',
  'min_tokens=290',
  'max_tokens=0&sort_by=cost',
  'sort_by=cost',
  'sort_by=cost&order=asc',
  'sort_by=latency&status=error',
  'sort_by=tokens&order=asc&team_ids=t2',
  'metadata_env=test&providers=anthropic',
  'content_search=needle&sort_by=latency',
  'content_search=everywhere word7',
  'content_search=word203 needle',
  'content_search=word11 word12',
  'content_search=every&sort_by=cost&order=asc',
  `start_time=${new Date(now + 2_040_000).toISOString()}&end_time=${new Date(now + 2_060_000).toISOString()}`,
]

function checkAll(): void {
  for (const query of queries) {
    const { ids, count } = expected(query)
    const page = ask(`${query}&limit=200`)
    expect([query, page.logs.map(({ id }) => id)]).toEqual([query, ids.slice(0, 200)])
    expect(page.pagination).toMatchObject({
      total_count: count,
      is_count_exact: true,
      is_complete: true,
    })
    const later = ask(`${query}&limit=30&offset=170`)
    expect(later.logs.map(({ id }) => id)).toEqual(ids.slice(170, 200))
    const { next_cursor: cursor } = ask(`${query}&limit=25`).pagination
    if (typeof cursor === 'string') {
      const next = ask(`${query}&limit=25&cursor=${cursor}`)
      expect([query, next.logs.map(({ id }) => id)]).toEqual([query, ids.slice(25, 50)])
    }
  }
}

describe('searches over segments', () => {
  test('give what SQL gives', checkAll)

  test('know the costs that changed, in segments and behind them', async () => {
    {
      using sqlite = new Database(path)
      sqlite.run('UPDATE calls SET cost = 7 WHERE n IN (100, 3000, 4990)')
    }
    expect(ask('sort_by=cost&limit=4').logs.map(({ cost }) => cost)).toEqual(
      [7, 7, 7, 0.1].map((cost, i) => (i === 3 ? expect.any(Number) : cost)),
    )
    checkAll()
    // Packed anew, by whoever changes many of them or by the writer.
    await repriceLog(path, ({ cost }) => (cost === 7 ? 8 : undefined), {
      onlyMissing: false,
      isDry: false,
    })
    writer.tidy()
    {
      using sqlite = new Database(path, { readonly: true })
      const { stale } = sqlite
        .query<{ stale: number }, []>('SELECT COUNT(*) AS stale FROM stale WHERE segment < 2')
        .get()!
      expect(stale).toBe(0)
    }
    checkAll()
  })

  test('know the costs of rows that were on their way when a segment with changed ones was full', () => {
    const own = join(dir, 'full.db')
    const limits = { maxAgeMs: 1e15, maxBytes: 1e9, maxBodyChars: 1000 }
    const filler = createLogWriter({ path: own, limits, onAside: () => undefined })
    const write = (count: number, cost: number): void => {
      filler.write(
        Array.from({ length: count }, (_, i) => row(`${cost}-${i}`, { cost })),
        false,
      )
    }
    write(rowsInSegment - 8, 1)
    {
      using sqlite = new Database(own)
      sqlite.run('UPDATE calls SET cost = 7 WHERE n = 5')
    }
    // The segment is full in the middle of these.
    write(16, 2)
    const found = createLogReader(own)
    const { logs } = found.ask({ kind: 'list', filters: { sort_by: 'cost', limit: '18' } }) as {
      logs: { cost: number }[]
    }
    expect(logs.map(({ cost }) => cost)).toEqual([7, ...Array<number>(16).fill(2), 1])
    found.close()
    filler.close()
  })

  test('do not see what was taken out, and nothing of it stays in the file', () => {
    const ids = ['call-50', 'call-2500', 'call-4995']
    expect(writer.change({ kind: 'delete', ids })).toBe(3)
    checkAll()
    using sqlite = new Database(path, { readonly: true })
    const blocks = sqlite.query<{ data: Uint8Array }, []>('SELECT data FROM blocks').all()
    const text = blocks
      .map(({ data }) => Buffer.from(Bun.zstdDecompressSync(new Uint8Array(data))).toString())
      .join('')
    for (const n of [50, 2500, 4995]) expect(text).not.toContain(`{"n":${n}}`)
    expect(text).toContain('{"n":51}')
  })

  test('begin behind the oldest rows once these are gone, with what only they needed', () => {
    const count = (table: string): number => {
      using sqlite = new Database(path, { readonly: true })
      return sqlite.query<{ count: number }, []>(`SELECT COUNT(*) AS count FROM ${table}`).get()!
        .count
    }
    const [blocks, segments, names] = [count('blocks'), count('segments'), count('names')]
    writer.setLimits({ maxAgeMs: Date.now() - now - 2_100_000, maxBytes: 1e9, maxBodyChars: 1000 })
    while (writer.tidy());
    checkAll()
    expect(ask('').pagination['total_count']).toBeWithin(2800, 2905)
    expect(count('blocks')).toBeLessThan(blocks)
    expect(count('segments')).toBeLessThan(segments)
    // Only the first segment had this customer.
    expect(count(`names WHERE text = 'c1'`)).toBe(0)
    expect(count('names')).toBeLessThan(names)
    // The two that were deleted in the rows that are left.
    expect(count('gone')).toBe(2)
    expect(isSound(path)).toBe(true)
  })
})

describe('an export of what was said', () => {
  const exported = (query: string): string[] => {
    const filters = Object.fromEntries(new URLSearchParams(query))
    const ids: string[] = []
    // Of a few rows, so that there are many pages.
    const into = new SharedArrayBuffer(8192)
    let after: string | undefined
    for (let pages = 0; pages < 1000; pages++) {
      const question = { kind: 'export', format: 'ndjson', filters, after, into } as const
      const page = reader.ask(question) as WrittenPage
      const bytes = page.alone ?? new Uint8Array(into, 0, page.length)
      const lines = new TextDecoder().decode(bytes).split('\n').filter(Boolean)
      ids.push(...lines.map((line) => (JSON.parse(line) as { id: string }).id))
      if (page.after === null) return ids
      after = page.after
    }
    throw new Error('it has no end')
  }

  test.each([
    'content_search=everywhere',
    'content_search=everywhere&status=error',
    'content_search=everywhere&session_id=s1',
    'content_search=everywhere&models=rare',
    'content_search=word4',
    'content_search=nowhere',
  ])('has every row, once and in order: %s', (query) => {
    expect(exported(query)).toEqual(expected(`${query}&order=asc`).ids.toSorted(byNumber))
  })
})

/** Exports are in the order in which calls were logged. */
function byNumber(a: string, b: string): number {
  return Number(a.slice('call-'.length)) - Number(b.slice('call-'.length))
}

test('a cost that changes before its segment is full is the one that is packed', () => {
  const own = join(dir, 'priced.db')
  const limits = { maxAgeMs: 1e15, maxBytes: 1e9, maxBodyChars: 1000 }
  const fresh = createLogWriter({ path: own, limits, onAside: () => undefined })
  const write = (from: number, count: number): void => {
    const calls = Array.from({ length: count }, (_, i) => row(`${from + i}`, { cost: 1 }))
    fresh.write(calls, false)
  }
  write(0, 100)
  expect(fresh.change({ kind: 'cost', costs: [[50, 9]] })).toBe(1)
  write(100, 3000)
  const search = createLogReader(own)
  const filters = { min_cost: '9' }
  expect(search.ask({ kind: 'list', filters })).toMatchObject({ logs: [{ id: '49', cost: 9 }] })
  search.close()
  fresh.close()
})

test('a file of another layout is laid aside, and said so', () => {
  const own = join(dir, 'old.db')
  {
    using sqlite = new Database(own)
    sqlite.run('CREATE TABLE logs (n INTEGER PRIMARY KEY, id TEXT)')
    sqlite.run('PRAGMA user_version = 1')
  }
  const asides: string[] = []
  const limits = { maxAgeMs: 1e15, maxBytes: 1e9, maxBodyChars: 1000 }
  const fresh = createLogWriter({ path: own, limits, onAside: (_, why) => asides.push(why) })
  const old = createLogReader(own)
  expect(old.ask({ kind: 'list', filters: {} })).toMatchObject({ logs: [], has_logs: false })
  fresh.write([row('new')], false)
  expect(old.ask({ kind: 'list', filters: {} })).toMatchObject({ logs: [{ id: 'new' }] })
  expect(asides).toEqual(['it was written by an older version of Asbru'])
  expect(readdirSync(dir).filter((name) => name.startsWith('old.db.old-'))).toHaveLength(1)
  old.close()
  fresh.close()
})
