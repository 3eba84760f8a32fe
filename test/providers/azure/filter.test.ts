import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { AzureOpenAI, BadRequestError } from 'openai'

import { playback } from '../../helpers/upstream.ts'
import { contentOf, strictStream } from '../../pipeline/rig.ts'
import type { Rig } from './rig.ts'
import { startRig } from './rig.ts'

// What the content filter adds to answers must not break a client of OpenAI, and must not be lost.

const fixture = (name: string): Promise<string> =>
  Bun.file(join(import.meta.dir, `../../fixtures/azure/${name}.sse`)).text()

let rig: Rig
let client: AzureOpenAI
beforeAll(async () => {
  rig = await startRig()
  client = new AzureOpenAI({
    endpoint: `${rig.gateway.url}/openai`,
    apiKey: 'dummy',
    apiVersion: '2024-10-21',
    maxRetries: 0,
  })
})
afterAll(() => rig[Symbol.asyncDispose]())

const types = { 'content-type': 'text/event-stream' }
const messages = [{ role: 'user' as const, content: 'Hi' }]

describe.each(['filter-sync', 'filter-async'])('the stream of %s', (name) => {
  test.each(['whole', 'line', 'byte'] as const)('in pieces: %s', async (size) => {
    rig.upstream.reply({ headers: types, chunks: playback(await fixture(name), size) })
    const stream = await strictStream(
      await rig.chat('d', { stream: true, stream_options: { include_usage: true } }),
    )
    expect([contentOf(stream), stream.end]).toEqual(['Hello', 'done'])
    for (const { data } of stream.events) {
      expect([data.id, data.object, data.model]).toEqual([
        'chatcmpl-a1',
        'chat.completion.chunk',
        'gpt-6-luna-2026-05-01',
      ])
      for (const choice of data.choices) expect(choice.delta).toBeObject()
      if (data.choices.length === 0) expect(data.usage).toBeObject()
    }
    // What the filter found out about the prompt is in the first event, which has choices.
    expect(stream.events[0]?.data.choices).toHaveLength(1)
    expect(stream.events[0]?.data.prompt_filter_results).toEqual([
      { prompt_index: 0, content_filter_results: { hate: { filtered: false, severity: 'safe' } } },
    ])
    const offsets = stream.events.filter(({ data }) => data.choices[0]?.content_filter_offsets)
    expect(offsets).toHaveLength(name === 'filter-async' ? 2 : 0)
  })

  test('through the SDK', async () => {
    rig.upstream.reply({ headers: types, text: await fixture(name) })
    const stream = client.chat.completions.stream({ model: 'd', messages })
    const deltas: string[] = []
    stream.on('content', (delta) => deltas.push(delta))
    const final = await stream.finalChatCompletion()
    expect(final.choices[0]?.message.content).toBe('Hello')
    expect([final.id, deltas.join('')]).toEqual(['chatcmpl-a1', 'Hello'])
  })
})

test('events that need nothing keep their bytes', async () => {
  const plain =
    'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"\\u0061 \\"id\\":\\"\\""},"finish_reason":null }]}\n\n'
  const finish =
    'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
  rig.upstream.reply({ headers: types, text: `${plain}${plain}${finish}data: [DONE]\n\n` })
  const text = await (await rig.chat('d', { stream: true })).text()
  expect(text.startsWith(plain + plain)).toBe(true)
})

test('an answer that is whole keeps what the filter found', async () => {
  rig.upstream.reply({
    json: {
      id: 'c1',
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: null },
          finish_reason: 'content_filter',
          content_filter_results: { error: { code: 'content_filter_error', message: 'down' } },
        },
      ],
      prompt_filter_results: [{ prompt_index: 0 }],
    },
  })
  const answer: any = await client.chat.completions.create({ model: 'd', messages })
  expect(answer.choices[0].content_filter_results.error.code).toBe('content_filter_error')
  expect(answer.prompt_filter_results).toEqual([{ prompt_index: 0 }])
})

test('a prompt that is refused says why', async () => {
  const innererror = {
    code: 'ResponsibleAIPolicyViolation',
    content_filter_result: { violence: { filtered: true, severity: 'high' } },
  }
  rig.upstream.reply({
    status: 400,
    json: {
      error: {
        message: 'The response was filtered due to the prompt triggering the content policy.',
        type: null,
        param: 'prompt',
        code: 'content_filter',
        status: 400,
        innererror,
      },
    },
  })
  const refused = await client.chat.completions.create({ model: 'd', messages }).catch((e) => e)
  expect(refused).toBeInstanceOf(BadRequestError)
  expect([refused.code, refused.param, refused.type]).toEqual([
    'content_filter',
    'prompt',
    'invalid_request_error',
  ])
  expect(refused.error.innererror).toEqual(innererror)
})

const refusals: readonly [
  status: number,
  error: object | string,
  wanted: readonly [status: number, code: string | null, type: string],
][] = [
  [
    401,
    { code: '401', message: 'Access denied due to invalid subscription key.' },
    [401, 'invalid_api_key', 'authentication_error'],
  ],
  [
    401,
    { code: 'PermissionDenied', message: 'The principal lacks the action.' },
    [401, 'invalid_api_key', 'authentication_error'],
  ],
  [
    403,
    { code: 'AuthenticationTypeDisabled', message: 'Key based authentication is disabled.' },
    [403, 'permission_denied', 'permission_error'],
  ],
  [
    404,
    { code: 'DeploymentNotFound', message: 'The API deployment does not exist.' },
    [404, 'model_not_found', 'invalid_request_error'],
  ],
  [
    404,
    { code: '404', message: 'Resource not found' },
    [404, 'model_not_found', 'invalid_request_error'],
  ],
  [
    404,
    { code: null, message: "No file found with id 'file-1'." },
    [404, null, 'invalid_request_error'],
  ],
  [
    404,
    { code: 'NotFound', message: "Response with id 'resp_1' not found." },
    [404, null, 'invalid_request_error'],
  ],
  [
    404,
    { code: 'NotFound', message: 'The deployment of this batch does not exist.' },
    [404, 'model_not_found', 'invalid_request_error'],
  ],
  [
    400,
    { code: 'contentFilter', message: 'Your task failed as a result of our safety system.' },
    [400, 'content_filter', 'invalid_request_error'],
  ],
  [
    400,
    { code: 'x', message: 'filtered', inner_error: { code: 'ResponsibleAIPolicyViolation' } },
    [400, 'content_filter', 'invalid_request_error'],
  ],
  [
    400,
    { code: 'OperationNotSupported', message: 'The operation does not work with the model.' },
    [400, null, 'invalid_request_error'],
  ],
  [
    400,
    { code: 'context_length_exceeded', message: 'Too long', type: 'invalid_request_error' },
    [400, 'context_length_exceeded', 'invalid_request_error'],
  ],
  [
    400,
    { code: '400', message: 'filtered', innererror: { code: 'ResponsibleAIPolicyViolation' } },
    [400, 'content_filter', 'invalid_request_error'],
  ],
  [
    408,
    { code: 'Timeout', message: 'The operation was timeout.' },
    [504, 'upstream_timeout', 'timeout_error'],
  ],
  [
    424,
    { code: 'FailedDependency', message: 'The model failed.' },
    [502, 'provider_error', 'api_error'],
  ],
  [429, { code: '429', message: 'Too fast.' }, [429, 'rate_limit_exceeded', 'rate_limit_error']],
  [
    429,
    { code: 'too_many_requests', message: 'Too fast.' },
    [429, 'rate_limit_exceeded', 'rate_limit_error'],
  ],
  [
    429,
    { code: 'insufficient_quota', message: 'No quota.' },
    [429, 'insufficient_quota', 'rate_limit_error'],
  ],
  [500, { code: 'InternalServerError', message: 'Oops' }, [500, null, 'api_error']],
  [503, '', [503, null, 'api_error']],
]

test.each(refusals)('status %i with %j', async (status, error, wanted) => {
  const body = typeof error === 'string' ? error : JSON.stringify({ error })
  rig.upstream.reply(
    Array.from({ length: 6 }, () => ({
      status,
      text: body,
      headers: { 'content-type': 'application/json' },
    })),
  )
  const response = await rig.chat('d')
  rig.upstream.clear()
  const { error: answer }: any = await response.json()
  expect([response.status, answer.code, answer.type]).toEqual([...wanted])
  const own = typeof error === 'string' ? undefined : (error as { code: string }).code
  if (own !== undefined && own !== answer.code) expect(answer.provider_code).toBe(own)
})
