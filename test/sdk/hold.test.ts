import { expect, setDefaultTimeout, test } from 'bun:test'

import OpenAI, { APIError } from 'openai'

import { RAW, startRawUpstream } from '../helpers/upstream.ts'
import { chatChunk, startRig, USAGE, usageChunk } from '../pipeline/rig.ts'
import type { Rig } from '../pipeline/rig.ts'
import { failureOf } from './rig.ts'

// What OpenAI's SDK makes of a stream whose headers have gone ahead of its provider.

setDefaultTimeout(30_000)

const model = 'openai/gpt-x'
const messages = [{ role: 'user' as const, content: 'hi' }]
const client = { stream_header_hold_in_seconds: 0.02, stream_keep_alive_in_seconds: 0.03 }
const error = { message: 'too fast', type: 'requests', code: 'rate_limit_exceeded', param: 'model' }

const sdk = ({ gateway }: Rig): OpenAI =>
  new OpenAI({ apiKey: 'none', baseURL: `${gateway.url}/openai/v1`, maxRetries: 0 })

async function collect(stream: AsyncIterable<unknown>, seen: unknown[] = []): Promise<unknown[]> {
  for await (const item of stream) seen.push(item)
  return seen
}

test('its helper makes one message of what comes late', async () => {
  await using rig = await startRig({ client })
  const gate = Promise.withResolvers<void>()
  const finish = chatChunk('', { finish: 'stop' })
  const first = chatChunk('late').replace('{"content"', '{"role":"assistant","content"')
  rig.upstream.reply({
    sse: [first, finish, usageChunk, '[DONE]'],
    gate: [gate.promise],
  })
  const include = { stream_options: { include_usage: true } }
  const stream = sdk(rig).chat.completions.stream({ model, messages, ...include })
  stream.on('connect', () => gate.resolve())
  const { choices, usage } = await stream.finalChatCompletion()
  expect([choices[0]!.message.content, usage]).toMatchObject(['late', USAGE])
})

test.each<[string, (openai: OpenAI) => PromiseLike<AsyncIterable<unknown>>]>([
  ['chat', (openai) => openai.chat.completions.create({ model, messages, stream: true })],
  ['completions', (openai) => openai.completions.create({ model, prompt: 'hi', stream: true })],
  ['responses', (openai) => openai.responses.create({ model, input: 'hi', stream: true })],
  ['images', (openai) => openai.images.generate({ model, prompt: 'hi', stream: true })],
])('it raises a late refusal: %s', async (_, create) => {
  await using rig = await startRig({ client })
  const gate = Promise.withResolvers<void>()
  rig.upstream.reply({ status: 429, json: { error }, gate: gate.promise })
  const stream = await create(sdk(rig))
  gate.resolve()
  const seen: unknown[] = []
  const raised = await failureOf(collect(stream, seen))
  expect(seen).toEqual([])
  expect(raised).toBeInstanceOf(APIError)
  expect(raised).toMatchObject({ code: error.code, type: error.type, param: error.param })
  expect(raised.message).toContain(error.message)
})

test('it takes headers that are here for the end of its wait for them', async () => {
  await using raw = await startRawUpstream(RAW.silent)
  await using rig = await startRig({ client, baseUrl: raw.url })
  const { data, response, request_id } = await sdk(rig)
    .chat.completions.create({ model, messages, stream: true })
    .withResponse()
  expect([response.status, request_id]).toEqual([200, response.headers.get('x-request-id')])
  data.controller.abort()
  await raw.closed
  expect(await rig.settled()).toMatchObject({ kind: 'client_closed' })
})
