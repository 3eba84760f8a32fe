import { afterAll, expect, test } from 'bun:test'

import { logRig } from '../logs/rig.ts'

// The service tier that decides about the price is the one that served: which the answer tells, and not the request.

const rig = await logRig()
const { upstream } = rig
const network_config = { base_url: upstream.url, allow_private_network: true }
const others = await logRig({
  providers: Object.fromEntries(
    ['openai', 'anthropic', 'gemini'].map((name) => [
      name,
      { keys: [{ value: 'k' }], network_config },
    ]),
  ),
  prices: [{ model: 'gemini-2.5-flash', service_tier: 'priority', input: 10, output: 100 }],
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await others[Symbol.asyncDispose]()
})

/** 1000 × 2.50 and 200 × 10 for a million. */
const plain = 0.0045
const counts = { prompt_tokens: 1000, completion_tokens: 200, total_tokens: 1200 }
const answer = (service_tier: string | undefined, more: object = {}) => ({
  ...{ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o', service_tier },
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  ...{ usage: counts, ...more },
})

type Told = { answered: number | undefined; logged: number | null; usage: any }

let calls = 0

/** What one call costs, as its caller and its row in the log are told. */
async function costOf(body: object, from = rig, path = '/chat/completions'): Promise<Told> {
  const id = `call-${calls++}`
  const response = await fetch(`${from.gateway.url}/openai/v1${path}`, {
    method: 'POST',
    headers: {
      ...{ 'content-type': 'application/json', 'x-request-id': id },
      'x-bf-usage-cost': 'true',
    },
    body: JSON.stringify({
      model: 'openai/gpt-4o',
      messages: [{ role: 'user', content: 'Hi' }],
      ...body,
    }),
  })
  expect(response.status).toBe(200)
  const text = await response.text()
  const total = /"total_cost":([\d.]+)/.exec(text)?.[1]
  const row = await from.get(`/api/logs/${id}`)
  return {
    answered: total === undefined ? undefined : Number(total),
    logged: row.cost,
    usage: row.token_usage,
  }
}

const stream = { stream: true, stream_options: { include_usage: true } }
const chunk = (more: object) =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', ...more })
const chunks = (service_tier: string) => [
  chunk({ service_tier, choices: [{ index: 0, delta: { content: 'Hi' } }] }),
  chunk({ service_tier, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({ service_tier, choices: [], usage: counts }),
  '[DONE]',
]

test.each([
  ['flex', 'default', plain],
  ['priority', 'default', plain],
  ['auto', 'default', plain],
  [undefined, 'default', plain],
  ['flex', undefined, undefined],
  ['flex', 'auto', undefined],
  ['auto', 'priority', undefined],
  ['default', 'flex', undefined],
  [undefined, 'scale', undefined],
])('asked for %p, served as %p', async (service_tier, served, cost) => {
  upstream.reply({ json: answer(served) })
  const whole = await costOf({ service_tier })
  expect([whole.answered, whole.logged]).toEqual([cost, cost ?? null])

  upstream.reply({ sse: chunks(served ?? 'auto') })
  const streamed = await costOf({ service_tier, ...stream })
  expect([streamed.answered, streamed.logged]).toEqual([cost, cost ?? null])
})

test('an answer that is too long to be parsed whole', async () => {
  const long = { padding: 'x'.repeat(300_000) }
  upstream.reply([{ json: answer('default', long) }, { json: answer('flex', long) }])
  expect(await costOf({ service_tier: 'flex' })).toMatchObject({ logged: plain })
  expect(await costOf({})).toMatchObject({ answered: undefined, logged: null })
})

test('responses, whole and streamed', async () => {
  const usage = { input_tokens: 1000, output_tokens: 200, total_tokens: 1200 }
  const response = (service_tier: string) => ({
    ...{ id: 'resp_1', object: 'response', created_at: 1, model: 'gpt-4o', output: [] },
    ...{ status: 'completed', service_tier, usage },
  })
  const event = (type: string, tier: string) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, response: response(tier) })}\n\n`
  upstream.reply([
    { json: response('default') },
    { sse: [event('response.created', 'auto'), event('response.completed', 'priority')] },
  ])
  const body = { messages: undefined, input: 'Hi' }
  const whole = await costOf({ ...body, service_tier: 'flex' }, rig, '/responses')
  expect([whole.answered, whole.logged]).toEqual([plain, plain])
  const streamed = await costOf({ ...body, service_tier: 'auto', stream: true }, rig, '/responses')
  expect([streamed.answered, streamed.logged]).toEqual([undefined, null])
})

test('the log keeps the tier that served, so that a cost computed anew is the same', async () => {
  upstream.reply([{ json: answer('flex') }, { json: answer('default') }])
  expect((await costOf({})).usage).toMatchObject({ service_tier: 'flex' })
  expect((await costOf({ service_tier: 'flex' })).usage).not.toHaveProperty('service_tier')
})

test('translated answers', async () => {
  const message = (service_tier: string) => ({
    ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5' },
    ...{ content: [{ type: 'text', text: 'Hi' }], stop_reason: 'end_turn' },
    usage: { input_tokens: 1000, output_tokens: 200, service_tier },
  })
  const said = (trafficType: string) => ({
    candidates: [{ content: { parts: [{ text: 'Hi' }] }, finishReason: 'STOP' }],
    usageMetadata: { promptTokenCount: 1000, candidatesTokenCount: 200, trafficType },
  })
  const claude = { model: 'anthropic/claude-sonnet-4-5' }
  const gemini = { model: 'gemini/gemini-2.5-flash' }
  const replies = [
    { json: message('standard') },
    { json: message('priority') },
    { json: said('ON_DEMAND_PRIORITY') },
    { json: said('ON_DEMAND') },
    { json: said('ON_DEMAND_FLEX') },
    { sse: [JSON.stringify(said('ON_DEMAND_PRIORITY'))] },
  ]
  upstream.reply(replies)
  expect(await costOf(claude, others)).toMatchObject({ answered: 0.006, logged: 0.006 })
  expect(await costOf(claude, others)).toMatchObject({ answered: undefined, logged: null })
  // The price of the tier is in the configuration; the request did not ask for it.
  expect(await costOf(gemini, others)).toMatchObject({ answered: 0.03, logged: 0.03 })
  const list = { answered: 0.0008, logged: 0.0008 }
  expect(await costOf({ ...gemini, service_tier: 'priority' }, others)).toMatchObject(list)
  expect(await costOf(gemini, others)).toMatchObject({ answered: undefined, logged: null })
  expect(await costOf({ ...gemini, ...stream }, others)).toMatchObject({
    answered: 0.03,
    logged: 0.03,
  })
})
