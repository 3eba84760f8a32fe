import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { OpenAI } from 'openai'

import { chat } from './answers.ts'
import type { Rig } from './rig.ts'
import { CLIENT_KEY, failureOf, json, jsonText, PROVIDER_KEY, startRig } from './rig.ts'

// What the SDK's client itself does around a method: raw answers, ids, retries, time limits, free-form calls.

const model = 'openai/gpt-6-luna'
const messages = [{ role: 'user' as const, content: 'Hi' }]

const never = () => new Promise<Response>(() => {})

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig.stop())

describe('raw answers', () => {
  test('withResponse gives the data, the response and the request id', async () => {
    rig.answers(chat('Hi'))
    const { data, response, request_id } = await client.chat.completions
      .create({ model, messages })
      .withResponse()
    expect(data.choices[0]?.message.content).toBe('Hi')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toStartWith('application/json')
    expect(request_id).toBeString()
    expect(data).toHaveProperty('_request_id', request_id)
  })

  test('asResponse gives the untouched text: key order, numbers and unknown fields', async () => {
    const text =
      '{"z":1,"id":"chatcmpl-1","object":"chat.completion","created":1.0,"choices":[],"big":1152921504606846977,"e":1e-7,"unknown_field":{"deep":[1.0]}'
    rig.answers(jsonText(`${text}}`))
    const response = await client.chat.completions.create({ model, messages }).asResponse()
    expect(await response.text()).toStartWith(text)
  })

  test('extra_fields tells what served the call', async () => {
    rig.answers(chat('Hi'))
    expect(await client.chat.completions.create({ model, messages })).toMatchObject({
      extra_fields: {
        request_type: 'chat_completion',
        provider: 'openai',
        model_requested: model,
      },
    })
  })

  test('rate limit headers of the provider reach the caller', async () => {
    const headers = {
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-reset-requests': '1s',
      'openai-processing-ms': '12',
    }
    rig.answers(json({ id: 'x' }, { headers }))
    const response = await client.chat.completions.create({ model, messages }).asResponse()
    expect(Object.fromEntries(response.headers)).toMatchObject(headers)
  })
})

describe('models', () => {
  const luna = {
    id: 'gpt-6-luna',
    object: 'model',
    created: 1,
    owned_by: 'openai',
    unknown_field: 1,
  }

  test('models.list has the models of the provider', async () => {
    rig.answers(json({ object: 'list', data: [luna] }))
    const models = await Array.fromAsync(client.models.list())
    expect(rig.received[0]).toMatchObject({ method: 'GET', path: '/v1/models' })
    const [found] = models.filter(({ id }) => id === model)
    expect(found).toMatchObject({
      object: 'model',
      created: 1,
      owned_by: 'openai',
      unknown_field: 1,
    })
  })

  test.each(['openai/gpt-6-luna', 'gpt-6-luna'])('models.retrieve(%p)', async (id) => {
    rig.answers(json(luna))
    // The id is the one to call the model by, as in the list.
    expect(await client.models.retrieve(id)).toMatchObject({ ...luna, id: model })
    expect(rig.received[0]).toMatchObject({ method: 'GET', path: '/v1/models/gpt-6-luna' })
  })
})

describe('paths and verbs nobody has heard of', () => {
  test.each(['get', 'post', 'put', 'patch', 'delete'] as const)('client.%s', async (verb) => {
    rig.answers(json({ id: 'x', unknown_field: { deep: [1] } }))
    const body =
      verb === 'get' || verb === 'delete' ? undefined : { nested: { deep: [1.5, null, 'ü'] } }
    const result = await client[verb]('/brand_new/things/1', {
      body,
      query: { after: 'a b&c', list: ['1', '2'] },
      __security: { bearerAuth: true },
    })
    expect(result).toEqual({ id: 'x', unknown_field: { deep: [1] } })
    expect(rig.received[0]).toMatchObject({
      method: verb.toUpperCase(),
      path: '/v1/brand_new/things/1',
      query: rig.sent[0]?.query,
    })
    expect(rig.received[0]?.body).toEqual(rig.sent[0]!.body)
    expect(rig.received[0]?.headers.get('authorization')).toBe(`Bearer ${PROVIDER_KEY}`)
  })

  test.each(['a/b', 'a b', 'ü', '100%', 'a?b', 'a#b', '..a', '%2e%2e', 'a+b&c=d', '日本'])(
    'the id %p stays one path segment',
    async (id) => {
      rig.answers(json({ id }))
      await client.vectorStores.retrieve(id)
      await client.files.retrieve(id)
      const encoded = rig.sent.map(({ path }) => path.replace('/openai/v1/', '/v1/'))
      expect(rig.received.map(({ path }) => path)).toEqual(encoded)
      expect(encoded.map((path) => path.split('/').length)).toEqual([4, 4])
    },
  )

  test('an empty answer is nothing', async () => {
    rig.answers(() => new Response(null, { status: 204 }))
    expect(await client.realtime.calls.hangup('call_1')).toBeNil()
  })
})

describe('retries of the SDK', () => {
  const busy = json(
    { error: { message: 'Busy', type: 'server_error', code: null, param: null } },
    { status: 503, headers: { 'retry-after-ms': '1' } },
  )

  test('maxRetries repeats a call that failed for the moment, after the time the provider named', async () => {
    rig.answers(busy, busy, chat('Hi'))
    const result = await rig.client({ maxRetries: 2 }).chat.completions.create({ model, messages })
    expect(result.choices[0]?.message.content).toBe('Hi')
    expect(rig.sent.map(({ headers }) => headers.get('x-stainless-retry-count'))).toEqual([
      '0',
      '1',
      '2',
    ])
  })

  test('retry-after reaches the SDK', async () => {
    const headers = { 'retry-after': '7', 'retry-after-ms': '6500' }
    rig.answers(
      json({ error: { message: 'Slow down', type: 'requests' } }, { status: 429, headers }),
    )
    const error = await failureOf(client.chat.completions.create({ model, messages }))
    expect(Object.fromEntries(error.headers ?? [])).toMatchObject(headers)
  })

  test.each([
    ['a mistake of the caller', 400, {}, 1],
    ['a limit', 429, { 'retry-after-ms': '1' }, 3],
    ['a limit that the provider calls final', 429, { 'x-should-retry': 'false' }, 1],
    ['a breakdown that the provider calls final', 500, { 'x-should-retry': 'false' }, 1],
  ])('%s (%i) is sent as often as that helps', async (_, status, headers, times) => {
    rig.answers(
      json({ error: { message: 'No', type: 't', code: null, param: null } }, { status, headers }),
    )
    const call = rig.client({ maxRetries: 2 }).chat.completions.create({ model, messages })
    expect(await failureOf(call)).toMatchObject({ status })
    expect(rig.sent.length).toBe(times)
  })

  test('an empty account is not asked twice', async () => {
    const error = {
      message: 'Pay first',
      type: 'insufficient_quota',
      code: 'insufficient_quota',
      param: null,
    }
    rig.answers(json({ error }, { status: 429 }))
    const call = rig.client({ maxRetries: 2 }).chat.completions.create({ model, messages })
    expect(await failureOf(call)).toMatchObject({ status: 429, code: 'insufficient_quota' })
    expect(rig.sent.length).toBe(1)
  })
})

describe('time limits and leaving', () => {
  test('timeout raises APIConnectionTimeoutError and hangs up on the provider', async () => {
    rig.answers(never)
    const call = client.chat.completions.create({ model, messages }, { timeout: 1000 })
    expect(await failureOf(call)).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(rig.received.length).toBe(1)
    await rig.received[0]?.closed
  })

  test('a signal raises APIUserAbortError and hangs up on the provider', async () => {
    const leave = new AbortController()
    rig.answers(() => {
      leave.abort()
      return never()
    })
    const call = client.chat.completions.create({ model, messages }, { signal: leave.signal })
    expect(await failureOf(call)).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(rig.received.length).toBe(1)
    await rig.received[0]?.closed
  })
})

test('no key stands in any log line', async () => {
  rig.answers(chat('Hi'), json({ error: { message: 'No' } }, { status: 401 }))
  await client.chat.completions.create({ model, messages })
  await failureOf(client.chat.completions.create({ model, messages }))
  await failureOf(client.vectorStores.retrieve('vs_1'))
  expect(rig.logs.length).toBeGreaterThan(0)
  const text = JSON.stringify(rig.logs)
  expect([PROVIDER_KEY, CLIENT_KEY].filter((key) => text.includes(key))).toEqual([])
})
