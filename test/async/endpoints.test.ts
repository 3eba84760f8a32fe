import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts } from '#core/endpoint.ts'

import { startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// Which operations can be jobs, and that a job has the answer that who waits would have had.

const submitted = { 'x-bf-async': 'true' }
const bytes = new Uint8Array([0x89, 0x50, 0x4e, 0x47])
const image = 'data:image/png;base64,iVBORw=='
const message = { role: 'assistant', content: 'Hello' }
const completion = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o-mini',
  choices: [{ index: 0, message, finish_reason: 'stop' }],
}
const response = { id: 'r', object: 'response', status: 'completed', model: 'm', output: [] }

function form(field: string, more: Record<string, string>): FormData {
  const data = new FormData()
  for (const [name, value] of Object.entries({ model: 'openai/m', ...more })) data.set(name, value)
  data.set(field, new Blob([bytes]), 'file.png')
  return data
}

/** Each with the answer of its provider, and the path of its own below `/v1/async` where the contract has one. */
const jobs: readonly [
  endpoint: string,
  path: string,
  body: object,
  answer: object | Uint8Array<ArrayBuffer>,
  own: boolean,
][] = [
  [
    'chat_completion',
    '/chat/completions',
    { model: 'openai/m', messages: [{ role: 'user', content: 'x' }] },
    completion,
    true,
  ],
  ['responses', '/responses', { model: 'openai/m', input: 'x' }, response, true],
  [
    'text_completion',
    '/completions',
    { model: 'openai/m', prompt: 'x' },
    { id: 't', object: 'text_completion', choices: [{ index: 0, text: 'y' }] },
    true,
  ],
  [
    'embedding',
    '/embeddings',
    { model: 'openai/m', input: 'x', encoding_format: 'float' },
    { object: 'list', data: [{ object: 'embedding', index: 0, embedding: [0.1] }] },
    true,
  ],
  [
    'moderation',
    '/moderations',
    { model: 'openai/m', input: 'x' },
    { id: 'm', results: [{ flagged: false }] },
    false,
  ],
  [
    'image_generation',
    '/images/generations',
    { model: 'openai/m', prompt: 'x' },
    { created: 1, data: [{ b64_json: 'eA==' }] },
    true,
  ],
  [
    'image_edit',
    '/images/edits',
    { model: 'openai/m', prompt: 'x', images: [{ image_url: image }] },
    { created: 1, data: [{ b64_json: 'eA==' }] },
    true,
  ],
  [
    'compaction',
    '/responses/compact',
    { model: 'openai/m', input: 'x' },
    { id: 'r', object: 'response.compaction', output: [] },
    false,
  ],
  [
    'count_tokens',
    '/responses/input_tokens',
    { model: 'openai/m', input: 'x' },
    { object: 'response.input_tokens', input_tokens: 3 },
    false,
  ],
  ['speech', '/audio/speech', { model: 'openai/m', input: 'x', voice: 'alloy' }, bytes, true],
  ['transcription', '/audio/transcriptions', form('file', {}), { text: 'hello' }, true],
  ['translation', '/audio/translations', form('file', {}), { text: 'hello' }, false],
  [
    'image_variation',
    '/images/variations',
    form('image', {}),
    { created: 1, data: [{ b64_json: 'eA==' }] },
    true,
  ],
]

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

async function send(path: string, body: object, headers: Record<string, string> = {}) {
  const init =
    body instanceof FormData
      ? { body, headers }
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }
  const answer = await fetch(rig.gateway.url + path, { method: 'POST', ...init })
  const type = answer.headers.get('content-type') ?? ''
  const content = new Uint8Array(await answer.arrayBuffer())
  if (!type.includes('json')) return { status: answer.status, type, content }
  return { status: answer.status, type, json: timeless(JSON.parse(String(Buffer.from(content)))) }
}

/** Without what differs from call to call. */
function timeless(body: any): any {
  const { extra_fields: extra, ...rest } = body
  return extra ? { ...rest, extra_fields: { ...extra, latency: 0 } } : rest
}

test.each(jobs)('%s', async (endpoint, path, body, answer, hasOwnPath) => {
  rig.upstream.clear()
  const reply =
    answer instanceof Uint8Array
      ? { headers: { 'content-type': 'audio/mpeg' }, chunks: [answer] }
      : { json: answer }
  const count = hasOwnPath ? 3 : 2
  rig.upstream.reply(Array.from({ length: count }, () => reply))
  const direct = await send(`/openai/v1${path}`, body)
  expect(direct.status).toBe(200)

  const stub = await send(`/openai/v1${path}`, body, submitted)
  expect(stub.status).toBe(200)
  const { body: envelope } = await rig.ended(`/v1/async/jobs/${stub.json.id}`)
  expect(envelope).toMatchObject({ status: 'completed', status_code: 200 })
  const poll = await send(`/openai/v1${path}`, {}, { 'x-bf-async-id': stub.json.id })
  expect(poll).toEqual(direct)
  // Bytes are in base64 where there is only JSON.
  const result =
    answer instanceof Uint8Array
      ? { audio: Buffer.from(answer).toString('base64'), content_type: 'audio/mpeg' }
      : direct.json
  expect(timeless(envelope.result)).toEqual(result)

  if (hasOwnPath) {
    const second = await send(`/v1/async${path}`, body)
    expect(second.status).toBe(202)
    const ended = await rig.ended(`/v1/async${path}/${second.json.id}`)
    expect(ended.body.status).toBe('completed')
    expect(timeless(ended.body.result)).toEqual(result)
  }
  const paths = rig.upstream.requests.map((request) => request.path)
  expect(paths).toEqual(Array.from({ length: count }, () => `/v1${path}`))
  expect(endpoint in ENDPOINTS).toBe(true)
})

test('a path with a deployment in it submits and polls, too', async () => {
  rig.upstream.clear()
  rig.upstream.reply({ json: completion })
  const azure = '/openai/openai/deployments/openai%2Fm/chat/completions?api-version=2024-10-21'
  const body = { messages: [{ role: 'user', content: 'x' }] }
  const stub = await send(azure, body, submitted)
  expect(stub).toMatchObject({ status: 200, json: { object: 'chat.completion', choices: [] } })
  await rig.ended(`/v1/async/jobs/${stub.json.id}`)
  expect((await send(azure, {}, { 'x-bf-async-id': stub.json.id })).json).toMatchObject({
    choices: [{ message }],
  })
})

/** Done at once whatever the headers say, as in Bifrost: work with files, and with what is stored. */
const atOnce =
  /^(?:file|upload|batch|container)_|^chat_(?:list|retrieve|update|delete|messages)$|^list_models$/

describe('every other operation', () => {
  const others = Object.entries<EndpointFacts>(ENDPOINTS).filter(
    ([name]) => !atOnce.test(name) && !jobs.some(([endpoint]) => endpoint === name),
  )
  test.each(others)('%s says that it cannot be a job', async (_, { method, path }) => {
    rig.upstream.clear()
    const at = path.replace(/\{\w+(?:\.\.\.)?\}/g, 'x')
    const answer = await fetch(`${rig.gateway.url}/openai/v1${at}`, {
      method,
      headers: { 'content-type': 'application/json', ...submitted },
      ...(method === 'POST' && { body: '{"model":"openai/m"}' }),
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      error: { message: 'async operation is not supported on this route' },
    })
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test('those without a route of their own say so, too', async () => {
    rig.upstream.clear()
    for (const headers of [submitted, { 'x-bf-async-id': crypto.randomUUID() }]) {
      const answer = await send('/openai/v1/vector_stores', {}, headers)
      expect(answer).toMatchObject({
        status: 400,
        json: { error: { message: 'async operation is not supported on this route' } },
      })
    }
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test.each(['rerank', 'ocr'])('%s of the contract is none of the gateway', async (name) => {
    expect(await send(`/v1/async/${name}`, { model: 'openai/m' })).toMatchObject({
      status: 400,
      json: {
        error: {
          code: 'unsupported_endpoint',
          message: `The gateway has no ${name} operation, and so no jobs of it.`,
        },
      },
    })
    expect(await rig.get(`/v1/async/${name}/${crypto.randomUUID()}`)).toMatchObject({ status: 404 })
  })
})
