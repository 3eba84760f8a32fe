import { afterAll, expect, test } from 'bun:test'

import { startRig } from '../async/rig.ts'
import { scrape, sum } from './read.ts'

// `http_requests_total` by the pattern of the route: every surface, and each request once.

const rig = await startRig({}, true)
const { gateway, upstream } = rig
afterAll(() => rig[Symbol.asyncDispose]())

const chat = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }
const completion = {
  ...{ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
}

/** What came in addition while something was done, as `METHOD path status` and how often. */
async function counted(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await scrape(gateway)
  await work()
  const after = await scrape(gateway)
  const found: Record<string, number> = {}
  for (const { name, labels, value } of after) {
    if (name !== 'http_requests_total' || labels['path'] === '/metrics') continue
    const more = value - sum(before, name, labels)
    if (more > 0) found[`${labels['method']} ${labels['path']} ${labels['status']}`] = more
  }
  return found
}

test.each([
  ['/openai', 'openai/gpt-4o'],
  ['/openai/v1', 'openai/gpt-4o'],
  ['/openai/openai', 'openai/gpt-4o'],
  ['/openai/openai/v1', 'openai/gpt-4o'],
])('a call under %s', async (prefix, model) => {
  upstream.reply([{ json: completion }, { json: { id: 'resp_1', object: 'response' } }])
  const found = await counted(async () => {
    await rig.post(`${prefix}/chat/completions`, { ...chat, model })
    await rig.get(`${prefix}/responses/resp_1?provider=openai`)
  })
  expect(found).toEqual({
    [`POST ${prefix}/chat/completions 200`]: 1,
    [`GET ${prefix}/responses/{response_id} 200`]: 1,
  })
})

test('deployments, a door for all else, and what is refused', async () => {
  upstream.reply([{ json: completion }, { json: {} }])
  const found = await counted(async () => {
    await rig.post('/openai/deployments/mine/chat/completions?api-version=1', chat)
    await rig.post('/openai/v1/fine_tuning/jobs', {})
    await rig.post('/openai/v1/chat/completions', { messages: 1 })
    await rig.post('/openai/deployments/mine/nonsense', chat)
    await fetch(`${gateway.url}/openai/v1/embeddings`, { method: 'PROPFIND' })
  })
  expect(found).toEqual({
    // Nobody has configured Azure.
    'POST /openai/deployments/{deployment}/chat/completions 400': 1,
    'POST /openai/v1/* 200': 1,
    'POST /openai/v1/chat/completions 400': 1,
    'POST /openai/deployments/{deployment}/* 400': 1,
    'PROPFIND /openai/v1/* 405': 1,
  })
})

test('a list of models is one request, however many providers are asked', async () => {
  upstream.reply({ json: { object: 'list', data: [] } })
  const found = await counted(async () => {
    await rig.get('/openai/v1/models')
  })
  expect(found).toEqual({ 'GET /openai/v1/models 200': 1 })
})

test('submitting a job and asking for it are requests, and its call is none', async () => {
  upstream.reply([{ json: completion }, { json: completion }])
  const submitted = { 'x-bf-async': 'true' }
  const found = await counted(async () => {
    const { body } = await rig.post('/openai/v1/chat/completions', chat, submitted)
    const ended = await rig.ended(`/v1/async/jobs/${body.id}`)
    expect(ended.body.status).toBe('completed')
    await rig.post('/openai/v1/chat/completions', chat, { 'x-bf-async-id': body.id })
    await rig.post('/openai/v1/chat/completions', chat, { 'x-bf-async-id': crypto.randomUUID() })
    const second = await rig.post('/v1/async/chat/completions', chat)
    await rig.ended(`/v1/async/chat/completions/${second.body.id}`)
  })
  const polled = ['jobs/{id}', 'chat/completions/{id}'].map((each) => `GET /v1/async/${each}`)
  for (const each of polled) {
    const all = Object.keys(found).filter((name) => name.startsWith(`${each} `))
    expect(all).toContain(`${each} 200`)
    for (const name of all) delete found[name]
  }
  expect(found).toEqual({
    'POST /openai/v1/chat/completions 200': 2,
    'POST /openai/v1/chat/completions 404': 1,
    'POST /v1/async/chat/completions 202': 1,
  })
})

test('the management API, and what is nowhere', async () => {
  const found = await counted(async () => {
    await rig.get('/api/logs')
    await rig.get('/api/logs?limit=x')
    await rig.get('/api/logs/nothing-of-the-kind')
    await rig.get('/api/logs/histogram/tokens')
    await rig.get('/health')
    for (let i = 0; i < 30; i++) await fetch(`${gateway.url}/made/up/${i}`)
    await fetch(`${gateway.url}/api/logs`, { headers: { origin: 'https://evil.example' } })
  })
  expect(found).toEqual({
    'GET /api/logs 200': 1,
    'GET /api/logs 400': 1,
    'GET /api/logs/{id} 404': 1,
    'GET /api/logs/histogram/tokens 200': 1,
    'GET /health 200': 1,
    'GET /* 404': 30,
    'GET /api/logs 403': 1,
  })
})
