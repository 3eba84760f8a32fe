import { expect, test } from 'bun:test'

import { createFollowing } from '#pipeline/follow.ts'
import type { UnderwayCall } from '#pipeline/underway.ts'

import { KEY, logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// Calls under way among those of the log, for as long as they are.

interface Held {
  /** Lets the provider answer, and waits until the caller has the answer. */
  finish(): Promise<void>
}

/** A call whose provider does not answer yet. */
async function held(
  rig: LogRig,
  id: string,
  body: object = {},
  headers: Record<string, string> = {},
): Promise<Held> {
  const gate = Promise.withResolvers<void>()
  const message = { role: 'assistant', content: 'Yes' }
  rig.upstream.reply({
    gate: gate.promise,
    json: {
      id: 'c',
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'stop' }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    },
  })
  const arrived = rig.upstream.requests.length + 1
  const answer = rig.chat(body, { 'x-request-id': id, ...headers })
  // Of a test that fails before, the gateway goes first.
  answer.catch(() => undefined)
  await rig.upstream.waitFor(arrived)
  return {
    async finish() {
      gate.resolve()
      expect((await answer).status).toBe(200)
    },
  }
}

const ids = async (rig: LogRig, query: string): Promise<string[]> => {
  const answer = await rig.get(`/api/logs?${query}`)
  if (!Array.isArray(answer.logs)) throw new Error(JSON.stringify(answer))
  return answer.logs.map(({ id }: { id: string }) => id)
}

test('calls under way are listed, and are rows of the log once they have ended', async () => {
  await using rig = await logRig()
  await rig.chat({}, { 'x-request-id': 'done' })
  const first = await held(rig, 'first', { model: 'openai/gpt-4o' })
  const second = await held(rig, 'second', {}, { 'user-agent': 'curl/8.5.0', 'x-bf-lh-team': 'a' })
  const answer = await rig.get('/api/logs?status=processing')
  expect(answer).toMatchObject({
    stats: { total_requests: 0, total_cost: 0 },
    logs: [
      {
        id: 'second',
        inc_number: null,
        status: 'processing',
        object: 'chat_completion',
        stream: false,
        provider: 'openai',
        model: 'openai/m',
        selected_key_name: 'main',
        app: 'curl',
        user_agent: 'curl/8.5.0',
        metadata: { team: 'a' },
        attempts: 1,
        total_tokens: null,
        cost: null,
      },
      { id: 'first', model: 'openai/gpt-4o', canonical_model_name: 'gpt-4o' },
    ],
    pagination: { total_count: 2, limit: 50, offset: 0, next_cursor: null },
    has_logs: true,
  })
  expect(answer.logs[0].latency).toBeGreaterThan(0)
  // A row has the same members, whether it has ended or not.
  const { logs } = await rig.get('/api/logs')
  expect(Object.keys(answer.logs[0])).toEqual(Object.keys(logs[0]))
  expect(await rig.get('/api/logs/first')).toMatchObject({ id: 'first', status: 'processing' })

  await second.finish()
  expect(await ids(rig, 'status=processing')).toEqual(['first'])
  expect(await rig.get('/api/logs/second')).toMatchObject({ status: 'success', total_tokens: 2 })
  await first.finish()
  expect(await rig.get('/api/logs?status=processing')).toMatchObject({
    logs: [],
    pagination: { total_count: 0 },
    has_logs: true,
  })
  expect(await rig.get('/api/logs/nobody')).toMatchObject({ status_code: 404 })
})

test('with others they stand before the first page, whose rows and cursor stay what they are', async () => {
  await using rig = await logRig()
  for (const id of ['one', 'two', 'three']) await rig.chat({}, { 'x-request-id': id })
  const call = await held(rig, 'held')
  const all = 'status=processing,success,error'
  expect(await ids(rig, all)).toEqual(['held', 'three', 'two', 'one'])
  const first = await rig.get(`/api/logs?${all}&limit=2`)
  expect(first.logs.map(({ id }: any) => id)).toEqual(['held', 'three', 'two'])
  expect(first.pagination).toMatchObject({ limit: 2, total_count: 3 })
  const rest = `${all}&limit=2&cursor=${first.pagination.next_cursor}`
  expect(await ids(rig, rest)).toEqual(['one'])
  expect(await ids(rig, `${all}&limit=2&offset=2`)).toEqual(['one'])
  // They have no place in another order, and are not errors.
  expect(await ids(rig, `${all}&order=asc`)).toEqual(['one', 'two', 'three'])
  expect(await ids(rig, 'status=processing,error')).toEqual(['held'])
  expect(await ids(rig, 'status=error')).toEqual([])
  // Who says nothing of a status gets what has ended.
  expect(await ids(rig, '')).toEqual(['three', 'two', 'one'])
  await call.finish()
  expect(await ids(rig, all)).toEqual(['held', 'three', 'two', 'one'])
})

test('filters, order and paging are those of the log', async () => {
  await using rig = await logRig()
  const calls = [
    await held(
      rig,
      'a',
      { model: 'openai/gpt-4o' },
      { 'x-bf-session-id': 's', 'user-agent': 'other (x, y)' },
    ),
    await held(rig, 'b', { stream: false }, { 'user-agent': 'curl/8', 'x-bf-lh-team': 'x' }),
    await held(rig, 'c'),
  ]
  const cases: readonly [string, readonly string[]][] = [
    ['', ['c', 'b', 'a']],
    ['order=asc', ['a', 'b', 'c']],
    ['sort_by=latency', ['a', 'b', 'c']],
    ['limit=1', ['c']],
    ['limit=1&offset=1', ['b']],
    ['models=openai/gpt-4o', ['a']],
    ['models=gpt-4o', ['a']],
    ['models=openai', []],
    ['aliases=gpt-4o,none', ['a']],
    ['providers=groq', []],
    ['objects=chat_completion&providers=openai', ['c', 'b', 'a']],
    ['objects=chat_completion_stream', []],
    ['apps=curl', ['b']],
    ['user_agents=curl/8', ['b']],
    ['user_agents=curl/8,other (x, y)', ['b', 'a']],
    ['session_id=s', ['a']],
    ['roots_only=true', ['c', 'b']],
    ['request_id=b&period=1m', ['b']],
    ['request_id=a&roots_only=true&end_time=2001-01-01', ['a']],
    ['metadata_team=x', ['b']],
    ['metadata___proto__=x', []],
    ['min_latency=0', ['c', 'b', 'a']],
    ['max_latency=0', []],
    ['min_tokens=0', []],
    ['missing_cost_only=true', []],
    ['content_search=hello', []],
    ['period=1h', ['c', 'b', 'a']],
    ['end_time=2001-01-01', []],
    ['routing_engine_used=governance', []],
    ['business_unit_ids=x', []],
  ]
  for (const [query, expected] of cases) {
    expect([query, await ids(rig, `status=processing&${query}`)]).toEqual([query, [...expected]])
  }
  for (const [query, param] of [
    ['nonsense=1', 'nonsense'],
    ['limit=5000', 'limit'],
    ['offset=x', 'offset'],
    ['sort_by=id', 'sort_by'],
    ['order=sideways', 'order'],
    ['cursor=AAAA', 'cursor'],
    ['period=1y', 'period'],
  ] as const) {
    const answer = await rig.get(`/api/logs?status=processing&${query}`)
    expect(answer.status_code).toBe(400)
    expect(answer.error.message).toContain(`'${param}'`)
  }
  for (const call of calls) await call.finish()
})

test('a socket at /ws is told when a call has begun and when it has ended', async () => {
  await using rig = await logRig()
  const socket = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/ws`)
  const told: any[] = []
  let onTold: (() => void) | undefined
  socket.addEventListener('message', ({ data }) => {
    told.push(JSON.parse(String(data)))
    onTold?.()
  })
  const until = async (count: number): Promise<void> => {
    while (told.length < count) await new Promise<void>((resolve) => (onTold = resolve))
  }
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  const call = await held(rig, 'slow')
  await until(1)
  expect(told[0]).toMatchObject({
    type: 'log',
    operation: 'create',
    payload: { id: 'slow', status: 'processing' },
  })
  // Who comes later is told of what is under way, too.
  const later = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/ws/logs`)
  const greeting = await new Promise<any>((resolve) =>
    later.addEventListener('message', ({ data }) => resolve(JSON.parse(String(data))), {
      once: true,
    }),
  )
  expect(greeting).toMatchObject({ operation: 'create', payload: { id: 'slow' } })
  await call.finish()
  await until(2)
  expect(told[1]).toMatchObject({
    type: 'log',
    operation: 'update',
    payload: { id: 'slow', status: 'success', total_tokens: 2 },
  })
  expect(told).toHaveLength(2)
  socket.close()
  later.close()
})

test('nothing of a call under way shows a secret', async () => {
  const own = 'sk-callers-canary-0123456789'
  await using rig = await logRig({ client: { allow_direct_keys: true } })
  const call = await held(
    rig,
    `id-${KEY}`,
    { model: 'openai/gpt-4o' },
    {
      authorization: `Bearer ${own}`,
      'user-agent': KEY,
      'x-bf-session-id': own,
      'x-bf-lh-note': `is it ${own}?`,
    },
  )
  const texts = [
    JSON.stringify(await rig.get('/api/logs?status=processing')),
    JSON.stringify(await rig.get('/api/logs?status=processing,success')),
    JSON.stringify(await rig.get(`/api/logs/id-${KEY}`)),
  ]
  for (const text of texts) {
    expect(text).toContain('"status":"processing"')
    expect(text).not.toMatch(/canary/)
  }
  await call.finish()
})

test('who follows the log costs nothing once nobody does, and misses no row', () => {
  let write: (row: string) => void = () => undefined
  let watching = 0
  let looked = 0
  const logs = {
    watch(listener: (row: string) => void) {
      watching++
      write = listener
      return () => void watching--
    },
  }
  const following = createFollowing(logs, () => {
    looked++
    return [] as readonly UnderwayCall[]
  })
  expect([watching, looked]).toEqual([0, 0])
  const told: string[] = []
  const stop = following.watch((operation, row) => told.push(`${operation} ${row}`))
  expect(watching).toBe(1)
  write('{"id":"a\\"b","status":"success"}')
  expect(told).toEqual(['create {"id":"a\\"b","status":"success"}'])
  stop()
  stop()
  expect(watching).toBe(0)
})
