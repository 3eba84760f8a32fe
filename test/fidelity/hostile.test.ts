import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'
import { NATIVE, providersAt } from './places.ts'

// Whatever a caller writes, and whatever a provider answers: no fault of ours, no hang, and an envelope that says whose
// fault it is.

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({ config: { providers: providersAt(upstream.url) } })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const scalar = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
)
const anything = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(fc.string(), scalar),
)
const words = fc.constantFrom('', 'a', ' ', 'hi there', '{}', '[1]', '\u0000', '\ud800', '🌈')
const callId = fc.constantFrom('call_1', 'call_2', 'x'.repeat(200), 'a b/c', '')

const part = fc.oneof(
  fc.record({ type: fc.constant('text'), text: words }),
  fc.record({ type: fc.constant('image_url'), image_url: fc.record({ url: words }) }),
  fc.record({
    type: fc.constant('image_url'),
    image_url: fc.record({
      url: fc.constantFrom(
        'data:image/png;base64,iVBORw0KGgo=',
        'data:;base64,AA==',
        'data:image/tiff;base64,AAAA',
        'data:text/html,<b>',
        'http://127.0.0.1:1/a.png',
        'http://169.254.169.254/latest/meta-data',
        'gs://bucket/a.png',
        'https://[::1]/x',
      ),
    }),
  }),
  fc.record({ type: fc.constant('input_audio'), input_audio: anything }),
  fc.record({ type: fc.constant('file'), file: anything }),
  fc.record({ type: fc.constantFrom('file', 'refusal', 'thinking', 'video'), file: anything }),
)
const content = fc.oneof(words, fc.array(part as fc.Arbitrary<unknown>, { maxLength: 3 }))
const call = fc.record(
  {
    id: callId,
    type: fc.constantFrom('function', 'custom', 'other'),
    function: fc.record({
      name: fc.constantFrom('f', 'a-b.c', 'ü', 'x'.repeat(80)),
      arguments: fc.oneof(words, fc.constant('{"a":[1,{"b":null}]}'), fc.dictionary(words, scalar)),
    }),
    extra_content: anything,
  },
  { requiredKeys: [] },
)
const detail = fc.record(
  {
    type: fc.constantFrom('reasoning.text', 'reasoning.encrypted', 'reasoning.summary', 'x'),
    text: words,
    signature: words,
    data: words,
    index: fc.integer(),
    format: fc.constantFrom('anthropic-claude-v1', 'google-gemini-v1', 'openai-responses-v1', ''),
  },
  { requiredKeys: [] },
)
const message = fc.record(
  {
    role: fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool', 'function', 'ghost'),
    content,
    name: words,
    tool_call_id: callId,
    tool_calls: fc.array(call, { maxLength: 3 }),
    reasoning_details: fc.array(detail, { maxLength: 2 }),
    reasoning_content: words,
    cache_control: anything,
  },
  { requiredKeys: ['role'] },
)
const request = fc.record(
  {
    messages: fc.array(message, { maxLength: 5 }),
    stream: fc.boolean(),
    tools: fc.array(
      fc.record({
        type: fc.constantFrom('function', 'custom', 'web_search'),
        function: fc.record(
          { name: words, parameters: anything, strict: fc.boolean(), description: words },
          { requiredKeys: ['name'] },
        ),
      }),
      { maxLength: 2 },
    ),
    tool_choice: fc.oneof(words, fc.dictionary(words, scalar)),
    response_format: fc.record({
      type: fc.constantFrom('text', 'json_object', 'json_schema'),
      json_schema: fc.record({ name: words, schema: fc.dictionary(fc.string(), scalar) }),
    }),
    reasoning_effort: fc.constantFrom('none', 'minimal', 'low', 'high', 'max', 'strange'),
    max_tokens: fc.integer(),
    temperature: fc.double({ noNaN: true, noDefaultInfinity: true }),
    top_p: fc.double({ noNaN: true, noDefaultInfinity: true }),
    stop: fc.oneof(words, fc.array(words, { maxLength: 6 })),
    n: fc.integer({ min: -1, max: 3 }),
    thinking: anything,
    extra_params: fc.dictionary(fc.string(), scalar),
    web_search_options: fc.dictionary(fc.string(), scalar),
    metadata: fc.dictionary(fc.string(), scalar),
    user: words,
  },
  { requiredKeys: ['messages'] },
)

async function send(path: string, body: object): Promise<{ status: number; text: string }> {
  const response = await fetch(`${gateway.url}/openai/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-bf-passthrough-extra-params': 'true' },
    body: JSON.stringify(body),
  })
  return { status: response.status, text: await response.text() }
}

describe.each(NATIVE)('$provider', ({ provider, model }) => {
  test('never answers a caller’s mistake with a fault of ours', async () => {
    await fc.assert(
      fc.asyncProperty(request, async (body) => {
        const { status, text } = await send('/chat/completions', {
          ...body,
          model: `${provider}/${model}`,
        })
        expect(`${status} ${text}`).not.toMatch(/^5|internal_error|cannot be read/)
      }),
      { numRuns: 150 },
    )
  }, 60_000)

  test('answers for whatever the provider sends instead of an answer', async () => {
    const json = fc.oneof(
      fc.json({ maxDepth: 3 }),
      fc
        .dictionary(
          fc.constantFrom(
            'content',
            'candidates',
            'output',
            'message',
            'usage',
            'error',
            'id',
            'type',
            'stopReason',
          ),
          fc.jsonValue({ maxDepth: 3 }),
        )
        .map((value) => JSON.stringify(value)),
    )
    await fc.assert(
      fc.asyncProperty(json, fc.boolean(), async (text, stream) => {
        upstream.clear()
        upstream.reply({ text, headers: { 'content-type': 'application/json' } })
        const asked = { messages: [{ role: 'user', content: 'hi' }], stream }
        const { status, text: answer } = await send('/chat/completions', {
          ...asked,
          model: `${provider}/${model}`,
        })
        expect(`${status} ${answer}`).not.toMatch(
          /"is_bifrost_error":true,"status_code":500|internal_error/,
        )
        if (status !== 200) expect(JSON.parse(answer).error.message).toBeString()
      }),
      { numRuns: 100 },
    )
    upstream.clear()
  }, 60_000)
})
