import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

let rig: LogRig

/** Calls with known words, tokens and ends, in this order. */
const calls = [
  { id: 'apple', words: 'green apple pie', tokens: 5, session: 's1' },
  { id: 'pear', words: 'a pear tree in the garden', tokens: 50, session: 's1' },
  { id: 'stream', words: 'apple juice', tokens: 7, session: '' },
  { id: 'error', words: 'broken plum', tokens: 0, session: '' },
] as const

beforeAll(async () => {
  rig = await logRig()
  for (const { id, words, tokens, session } of calls) {
    const message = { role: 'assistant', content: `Echo: ${words}` }
    const usage = { prompt_tokens: tokens, completion_tokens: 0, total_tokens: tokens }
    if (id === 'error')
      rig.upstream.reply({ status: 400, json: { error: { message: 'no plums' } } })
    else if (id === 'stream') {
      rig.upstream.reply({
        sse: [
          JSON.stringify({
            id: 'c',
            choices: [{ index: 0, delta: message, finish_reason: 'length' }],
          }),
          JSON.stringify({ id: 'c', choices: [], usage }),
          '[DONE]',
        ],
      })
    } else {
      rig.upstream.reply({
        json: {
          id: 'c',
          object: 'chat.completion',
          choices: [{ index: 0, message, finish_reason: 'stop' }],
          usage,
        },
      })
    }
    await rig.chat(
      { stream: id === 'stream', messages: [{ role: 'user', content: words }] },
      { 'x-request-id': id, 'x-bf-lh-kind': id, ...(session && { 'x-bf-session-id': session }) },
    )
  }
})

afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const ids = async (query: string): Promise<string[]> => {
  const answer = await rig.get(`/api/logs?${query}`)
  if (!Array.isArray(answer.logs)) throw new Error(JSON.stringify(answer))
  return (answer.logs as { id: string }[]).map(({ id }) => id)
}

describe('a filter', () => {
  const cases: [string, string[]][] = [
    ['', ['error', 'stream', 'pear', 'apple']],
    ['order=asc', ['apple', 'pear', 'stream', 'error']],
    ['status=error', ['error']],
    ['status=error,success&order=asc&limit=1', ['apple']],
    ['providers=openai&status=success', ['stream', 'pear', 'apple']],
    ['providers=groq', []],
    ['models=openai/m&objects=chat_completion_stream', ['stream']],
    ['models=m', ['error', 'stream', 'pear', 'apple']],
    ['models=x,m&status=error', ['error']],
    // Only the whole of a model, and no beginning of a path.
    ['models=openai', []],
    ['models=%25', []],
    ['objects=chat_completion', ['error', 'pear', 'apple']],
    ['objects=chat_completion,chat_completion_stream&status=success', ['stream', 'pear', 'apple']],
    ['aliases=m&status=error', ['error']],
    ['session_id=s1', ['pear', 'apple']],
    ['parent_request_id=s1', ['pear', 'apple']],
    ['roots_only=true', ['error', 'stream']],
    ['request_id=pear', ['pear']],
    // Whoever names calls gets them, whenever they were.
    ['request_id=pear,error&end_time=2001-01-01T00:00:00Z&roots_only=true', ['error', 'pear']],
    ['min_tokens=6', ['stream', 'pear']],
    ['min_tokens=6&max_tokens=10', ['stream']],
    ['max_latency=0', []],
    ['stop_reasons=length', ['stream']],
    ['metadata_kind=pear', ['pear']],
    ['metadata_none=pear', []],
    ['content_search=apple', ['stream', 'apple']],
    ['content_search=APPLE pie', ['apple']],
    ['content_search=gard', ['pear']],
    ['content_search=echo', ['stream', 'pear', 'apple']],
    ['content_search="apple OR', []],
    ['content_search=*', []],
    ['sort_by=tokens&limit=2', ['pear', 'stream']],
    ['sort_by=tokens&order=asc&min_tokens=1', ['apple', 'stream', 'pear']],
    ['offset=1&limit=2', ['stream', 'pear']],
    ['period=1h&limit=1', ['error']],
    ['start_time=2100-01-01T00:00:00Z', []],
    ['end_time=2001-01-01T00:00:00%2B02:00', []],
    ['missing_cost_only=true&limit=1', ['error']],
  ]
  test.each(cases)('%s', async (query, expected) => {
    expect(await ids(query)).toEqual(expected)
  })

  test.each([
    ['nonsense=1', 'nonsense'],
    ['limit=-1', 'limit'],
    ['limit=5000', 'limit'],
    ['offset=x', 'offset'],
    ['sort_by=id', 'sort_by'],
    ['order=sideways', 'order'],
    ['min_tokens=many', 'min_tokens'],
    ['start_time=yesterday', 'start_time'],
    ['period=1y', 'period'],
    ['cursor=AAAA', 'cursor'],
  ])('that is none is a 400: %s', async (query, name) => {
    const answer = await rig.get(`/api/logs?${query}`)
    expect(answer).toMatchObject({ status_code: 400, is_bifrost_error: true })
    expect(answer.error.message).toContain(`'${name}'`)
  })

  test('of SQL in its name or value is only text', async () => {
    expect(
      (await rig.get(`/api/logs?metadata_${encodeURIComponent(`x') OR 1=1 --`)}=1`)).logs,
    ).toEqual([])
    expect(await ids(`providers=${encodeURIComponent(`openai' OR '1'='1`)}`)).toEqual([])
  })
})

describe('pages', () => {
  test.each(['timestamp', 'tokens', 'latency', 'cost'])('follow each other by %s', async (sort) => {
    for (const order of ['asc', 'desc']) {
      const seen: string[] = []
      let cursor = ''
      do {
        const page = await rig.get(
          `/api/logs?sort_by=${sort}&order=${order}&limit=1&cursor=${cursor}`,
        )
        seen.push(...(page.logs as { id: string }[]).map(({ id }) => id))
        expect(page.pagination).toMatchObject({ total_count: 4, is_count_exact: true, limit: 1 })
        cursor = page.pagination.next_cursor ?? ''
      } while (cursor !== '')
      expect(seen).toEqual(await ids(`sort_by=${sort}&order=${order}`))
      expect(seen.toSorted()).toEqual(['apple', 'error', 'pear', 'stream'])
    }
  })

  test.each(['', 'status=success', 'content_search=apple', 'session_id=s1', 'providers=groq'])(
    'stand beside the sums of all that is wanted: %s',
    async (query) => {
      const stats = await rig.get(`/api/logs/stats?${query}`)
      expect(Object.keys(stats)).toContain('user_facing_success_rate')
      const { pagination } = await rig.get(`/api/logs?${query}&limit=1`)
      const cursor = pagination.next_cursor ?? ''
      for (const page of ['limit=1', `limit=1&cursor=${cursor}`, 'sort_by=cost', 'limit=0']) {
        expect((await rig.get(`/api/logs?${query}&${page}`)).stats).toEqual(stats)
      }
    },
  )

  test('belong to the order that gave them', async () => {
    const { pagination } = await rig.get('/api/logs?limit=1')
    const answer = await rig.get(
      `/api/logs?limit=1&sort_by=tokens&cursor=${pagination.next_cursor}`,
    )
    expect(answer.status_code).toBe(400)
  })
})

test('sums', async () => {
  const stats = await rig.get('/api/logs/stats?compare_to_previous=true')
  expect(stats).toMatchObject({
    total_requests: 4,
    success_rate: 75,
    user_facing_success_rate: 75,
    user_facing_total_requests: 4,
    total_tokens: 62,
    cache_hit_rate_total_requests: 0,
    previous: { total_requests: 0 },
  })
  // What is compared is equally long.
  const at = encodeURIComponent(new Date(Date.now() - 2 * 86_400_000).toISOString())
  const past = await rig.get(`/api/logs/stats?compare_to_previous=true&end_time=${at}`)
  expect(past).toMatchObject({ total_requests: 0, previous: { total_requests: 0 } })
  expect(await rig.get('/api/logs/stats?period=1h')).toMatchObject({ total_requests: 4 })
  expect(stats.average_latency).toBeGreaterThan(0)
  expect(await rig.get('/api/logs/stats?providers=groq')).toMatchObject({ total_requests: 0 })
})

test('a histogram covers its time without gaps', async () => {
  const { buckets, bucket_size_seconds: size } = await rig.get('/api/logs/histogram?period=1h')
  expect(size).toBe(60)
  expect(buckets.length).toBeWithin(60, 63)
  type Bucket = { timestamp: string; count: number; success: number; error: number }
  const sum = (name: 'count' | 'success' | 'error'): number =>
    (buckets as Bucket[]).reduce((total, bucket) => total + bucket[name], 0)
  expect([sum('count'), sum('success'), sum('error')]).toEqual([4, 3, 1])
  const huge = await rig.get('/api/logs/histogram?period=365d&bucket_size_seconds=1')
  expect(huge.buckets.length).toBeLessThanOrEqual(1002)
  expect(
    (await rig.get('/api/logs/histogram?start_time=2026-01-02&end_time=2026-01-01')).status_code,
  ).toBe(400)
})

describe('an export', () => {
  test('knows a model without its provider, too', async () => {
    const of = async (models: string): Promise<number> => {
      const answer = await fetch(`${rig.gateway.url}/api/logs/export?models=${models}`)
      return (await answer.text()).trimEnd().split('\n').filter(Boolean).length
    }
    expect([await of('m'), await of('openai/m'), await of('openai'), await of('x,m')]).toEqual([
      4, 4, 0, 4,
    ])
  })

  const fetchText = async (query: string): Promise<{ type: string | null; text: string }> => {
    const answer = await fetch(`${rig.gateway.url}/api/logs/export?${query}`)
    return { type: answer.headers.get('content-type'), text: await answer.text() }
  }

  test('as NDJSON holds every call with its content, oldest first', async () => {
    const { type, text } = await fetchText('format=ndjson')
    expect(type).toBe('application/x-ndjson')
    const rows = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rows.map(({ id }) => id)).toEqual(['apple', 'pear', 'stream', 'error'])
    expect(rows[1].input_history[0].content).toBe('a pear tree in the garden')
  })

  test('as CSV has a header, and takes filters', async () => {
    const { type, text } = await fetchText('format=csv&status=error')
    expect(type).toBe('text/csv; charset=utf-8')
    const [header, line, ...more] = text.trim().split('\n')
    expect(header).toStartWith('id,inc_number,')
    expect(line).toStartWith('error,4,')
    expect(more).toEqual([])
    const none = await fetchText('format=csv&models=nobody')
    expect(none.text).toBe(`${header}\n`)
  })

  test('of an unknown format or filter is a 400', async () => {
    expect((await rig.get('/api/logs/export?format=xml')).status_code).toBe(400)
    expect((await rig.get('/api/logs/export?nonsense=1')).status_code).toBe(400)
  })
})

test('a search finds what was said before, and instructions', async () => {
  await rig.chat(
    {
      messages: [
        { role: 'system', content: 'You are a lighthouse.' },
        { role: 'user', content: 'Which harbour?' },
        { role: 'assistant', content: 'Whitby.' },
        { role: 'user', content: 'Thank you.' },
      ],
    },
    { 'x-request-id': 'talk' },
  )
  for (const word of ['lighthouse', 'harbour', 'whitby', 'thank']) {
    expect([word, await ids(`content_search=${word}`)]).toEqual([word, ['talk']])
  }
})

test('nothing was dropped', async () => {
  expect(await rig.get('/api/logs/dropped')).toEqual({
    dropped_requests: 0,
    omitted_refusals: 0,
    failure: null,
  })
})
