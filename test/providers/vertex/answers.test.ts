import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { playback } from '../../helpers/upstream.ts'
import { contentOf, strictStream } from '../../pipeline/rig.ts'
import type { Rig } from './rig.ts'
import { startRig } from './rig.ts'

// What this home adds to the answers of its dialects, and the two forms of its refusals.

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ network: { max_retries: 0 } })
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

const fixture = (name: string): Promise<string> =>
  Bun.file(join(import.meta.dir, '../../fixtures/vertex', name)).text()

describe.each([
  ['claude-sonnet-4-5', 'claude'],
  ['gemini-2.5-flash', 'gemini'],
  ['meta/llama-4-maverick', 'open'],
])('%s', (model, name) => {
  test.each(['whole', 'line', 'byte'] as const)('a stream in pieces: %s', async (size) => {
    rig.upstream.reply({
      headers: { 'content-type': 'text/event-stream' },
      chunks: playback(await fixture(`${name}.sse`), size),
    })
    const stream = await strictStream(
      await rig.chat(model, { stream: true, stream_options: { include_usage: true } }),
    )
    rig.upstream.reply({ json: JSON.parse(await fixture(`${name}.json`)) })
    const whole: any = await (await rig.chat(model)).json()
    expect([contentOf(stream), stream.end]).toEqual(['Hello there', 'done'])
    expect(whole.choices[0].message.content).toBe('Hello there')
    const usage = stream.events.findLast(({ data }) => data.usage)?.data.usage
    expect(usage).toEqual(whole.usage)
    expect([usage.prompt_tokens, usage.completion_tokens]).toEqual([9, 4])
    const finish = stream.events.flatMap(({ data }) => data.choices).findLast(Boolean)
    expect([finish.finish_reason, whole.choices[0].finish_reason]).toEqual(['stop', 'stop'])
  })
})

const google = (code: number, status: string, more: object = {}) => ({
  error: { code, message: 'said so', status, ...more },
})
const claude = (type: string, message = 'said so') => ({ type: 'error', error: { type, message } })

const refusals: readonly [model: string, status: number, body: unknown, wanted: unknown[]][] = [
  ['gemini-2.5-flash', 403, google(403, 'PERMISSION_DENIED'), [403, 'permission_denied']],
  ['gemini-2.5-flash', 404, [google(404, 'NOT_FOUND')], [404, 'model_not_found']],
  ['claude-x', 429, google(429, 'RESOURCE_EXHAUSTED'), [429, 'rate_limit_exceeded']],
  ['claude-x', 400, claude('invalid_request_error'), [400, null]],
  [
    'claude-x',
    400,
    claude('invalid_request_error', 'prompt is too long: 9 > 8'),
    [400, 'context_length_exceeded'],
  ],
  ['claude-x', 529, claude('overloaded_error'), [503, 'overloaded']],
  ['meta/llama', 400, [google(400, 'INVALID_ARGUMENT')], [400, null]],
  ['meta/llama', 503, google(503, 'UNAVAILABLE'), [503, 'overloaded']],
]

test.each(refusals)('%s: status %i', async (model, status, body, wanted) => {
  rig.upstream.reply({ status, json: body })
  const response = await rig.chat(model)
  const { error }: any = await response.json()
  expect([response.status, error.code]).toEqual(wanted as [number, string | null])
  expect(error.message).toMatch(/said so|too long/)
})

test.each(['gemini-2.5-flash', 'claude-x', 'meta/llama'])(
  '%s: half a page of HTML',
  async (model) => {
    rig.upstream.reply({ status: 502, text: '<html><body>Bad' })
    const response = await rig.chat(model)
    expect([response.status, ((await response.json()) as any).error.type]).toEqual([
      502,
      'api_error',
    ])
  },
)

test('pictures by URL are fetched for Claude, under the rules for addresses', async () => {
  const response = await rig.send('/chat/completions', {
    model: 'vertex/claude-x',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is it?' },
          { type: 'image_url', image_url: { url: `${rig.tokens.url}/cat.png` } },
        ],
      },
    ],
  })
  const { error }: any = await response.json()
  expect([response.status, error.code]).toEqual([400, 'invalid_image_url'])
  expect(rig.upstream.requests).toHaveLength(0)
})
