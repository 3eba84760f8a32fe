import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'
import { ask, assembled, CUTS, fixture, framesOf, play, playInTwo, unaryFixture } from '../play.ts'

// What the vendor says, as callers get it.

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({
    config: {
      providers: {
        cohere: {
          keys: [{ value: 'co-key-of-the-tests' }],
          network_config: { base_url: upstream.url },
        },
      },
    },
  })
})
beforeEach(() => upstream.clear())
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const request = { model: 'cohere/command-a', messages: [{ role: 'user', content: 'hi' }] }
const streamed = { ...request, stream: true, stream_options: { include_usage: true } }
const sse = 'text/event-stream'

async function unary(name: string): Promise<any> {
  upstream.reply({ json: unaryFixture(`cohere/${name}.json`) })
  const { status, json } = await ask(gateway.url, '/chat/completions', request)
  expect(status).toBe(200)
  return json
}

const thought = (index: number, text: string, id?: string) => ({
  type: 'reasoning.text',
  index,
  ...(id && { id }),
  text,
  format: 'cohere-v2',
})
const called = (id: string, name: string, input: string) => ({
  id,
  type: 'function',
  function: { name, arguments: input },
})

const answers: Record<string, { reason: string; message: object; logprobs?: object }> = {
  text: { reason: 'stop', message: { content: 'Grüße aus Oslo 👋🏽 – all is "well".' } },
  tools: {
    reason: 'tool_calls',
    message: {
      content: null,
      reasoning: 'I will look up the weather in both towns.',
      reasoning_details: [thought(0, 'I will look up the weather in both towns.', 'tool_plan')],
      tool_calls: [
        called('weather_kf3fwbt8x9h7', 'weather', '{"city": "Tromsø", "days": 2}'),
        called('weather_9nqrbxr7kmt1', 'weather', '{"city": "Bodø"}'),
      ],
    },
  },
  'tools-empty': {
    reason: 'tool_calls',
    message: {
      content: null,
      tool_calls: [called('now_1', 'now', '{}'), called('now_2', 'now', '{}')],
    },
  },
  reasoning: {
    reason: 'stop',
    message: {
      content: 'Three.',
      reasoning: 'Alice has 2 sisters; her brother has one more.',
      reasoning_details: [thought(0, 'Alice has 2 sisters; her brother has one more.')],
    },
  },
  'reasoning-tools': {
    reason: 'tool_calls',
    message: {
      content: null,
      reasoning: 'The weather has to be looked up.I will call the weather tool.',
      reasoning_details: [
        thought(0, 'The weather has to be looked up.'),
        thought(1, 'I will call the weather tool.', 'tool_plan'),
      ],
      tool_calls: [called('weather_a1', 'weather', '{"city":"Oslo"}')],
    },
  },
  length: { reason: 'length', message: { content: 'Once upon a' } },
  toxic: { reason: 'content_filter', message: { content: 'I' } },
  citations: {
    reason: 'stop',
    message: {
      content: '🐧 penguins like cold.',
      annotations: [
        {
          type: 'url_citation',
          url_citation: {
            url: 'https://example.com/birds',
            title: 'Birds',
            start_index: 3,
            end_index: 11,
          },
        },
        {
          type: 'url_citation',
          // What the vendor counts does not lead to the text it cites, so its numbers are passed on.
          url_citation: { url: 'https://example.com/ice', start_index: 15, end_index: 19 },
        },
      ],
      citations: (unaryFixture('cohere/citations.json') as any).message.citations,
    },
  },
  logprobs: {
    reason: 'stop',
    message: { content: '{"ok":true}' },
    logprobs: {
      content: [
        { token: '{"ok"', logprob: -0.75, bytes: [123, 34, 111, 107, 34], top_logprobs: [] },
        {
          token: ':true}',
          logprob: -0.125,
          bytes: [58, 116, 114, 117, 101, 125],
          top_logprobs: [],
        },
      ],
      refusal: null,
    },
  },
}

describe.each(Object.keys(answers))('%s', (name) => {
  const { reason, message, logprobs = null } = answers[name]!

  test('whole', async () => {
    const answer = await unary(name)
    const recorded = unaryFixture(`cohere/${name}.json`) as any
    expect(answer.choices).toEqual([
      {
        index: 0,
        message: { role: 'assistant', refusal: null, ...message },
        logprobs,
        finish_reason: reason,
      },
    ])
    expect(answer.id).toBe(`chatcmpl-${recorded.id}`)
    const { tokens, billed_units, cached_tokens = 0 } = recorded.usage
    expect(answer.usage).toMatchObject({
      prompt_tokens: tokens.input_tokens,
      completion_tokens: tokens.output_tokens,
      total_tokens: tokens.input_tokens + tokens.output_tokens,
      prompt_tokens_details: { cached_tokens },
      billed_units,
    })
  })

  test.each(CUTS)('streamed, cut by %s, it is the same answer', async (cut) => {
    const { choices, usage, id } = await unary(name)
    play(upstream, fixture(`cohere/${name}.sse`), sse, cut)
    const { status, text } = await ask(gateway.url, '/chat/completions', streamed)
    expect(status).toBe(200)
    expect(assembled(text)).toEqual({ choice: choices[0], usage })
    expect(framesOf(text)[0].id).toBe(id)
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })
})

describe('a stream that fails', () => {
  test.each(CUTS)('before it has said anything has a status (%s)', async (cut) => {
    play(upstream, fixture('cohere/error-before.sse'), sse, cut)
    const { status, json } = await ask(gateway.url, '/chat/completions', streamed)
    expect(status).toBe(500)
    expect(json.error).toMatchObject({ message: 'the model could not be reached' })
  })

  test.each(CUTS)('in its middle ends with the error (%s)', async (cut) => {
    const bytes = fixture('cohere/error-inside.sse')
    const recorded = { bytes, contentType: sse, cut, mark: 'event: content-end' }
    const { status, text } = await playInTwo(upstream, recorded, gateway.url, streamed)
    expect(status).toBe(200)
    const frames = framesOf(text)
    expect(frames.at(-1).error.message).toBe('generation timed out')
    expect(frames.at(-1).status_code).toBe(504)
    expect(text).toContain('"content":"Half an"')
  })

  test.each(CUTS)('for want of its end is told from a whole one (%s)', async (cut) => {
    play(upstream, fixture('cohere/truncated.sse'), sse, cut)
    const { text } = await ask(gateway.url, '/chat/completions', streamed)
    expect(framesOf(text).at(-1).error.code).toBe('upstream_truncated')
    expect(text).not.toContain('"finish_reason":"stop"')
  })

  test('with an error body where an event should be', async () => {
    play(upstream, 'data: {"message":"internal server error","id":"1"}\n\n', sse)
    const { status, json } = await ask(gateway.url, '/chat/completions', streamed)
    expect(status).toBe(502)
    expect(json.error.message).toBe('internal server error')
  })
})

test.each([
  ['nothing', {}],
  ['a list', []],
  ['no message', { id: 'x', finish_reason: 'COMPLETE' }],
  ['calls without names', { message: { tool_calls: [{ id: 'a' }] }, finish_reason: 'COMPLETE' }],
])('%s for an answer is a bad gateway', async (_name, json) => {
  upstream.reply({ json })
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect(answer.status).toBe(502)
  expect(answer.json.error.code).toBe('bad_gateway')
})

test('an error in a whole answer is an error', async () => {
  upstream.reply({ json: { message: 'out of order', id: '1' } })
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect([answer.status, answer.json.error.message]).toEqual([502, 'out of order'])
})

test.each([
  ['odd members', { message: { content: [null, 7, { type: 'x' }], citations: 3 }, usage: [] }],
  ['content as text', { message: { content: '' }, logprobs: 'x', finish_reason: 9 }],
])('%s of an answer break nothing', async (_name, json) => {
  upstream.reply({ json })
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect(answer.status).toBe(200)
  expect(answer.json.choices[0]).toMatchObject({ message: { content: '' }, finish_reason: 'stop' })
})

// [status, body, outward status, code]
const refusals: readonly [number, object, number, string | null][] = [
  [400, { message: 'invalid request: k must be at most 500' }, 400, null],
  [400, { message: 'too many tokens: the limit is 256000' }, 400, 'context_length_exceeded'],
  [401, { message: 'invalid api token' }, 401, 'invalid_api_key'],
  [402, { message: 'please add a payment method' }, 429, 'insufficient_quota'],
  [403, { message: 'no access' }, 403, null],
  [404, { message: "model 'command-z' not found" }, 404, 'model_not_found'],
  [422, { message: "unknown field: parameter 'x'", id: 'abc' }, 422, null],
  [429, { message: 'Trial keys are limited to 1000 calls / month' }, 429, 'insufficient_quota'],
  [429, { message: 'Please wait and try again later' }, 429, 'rate_limit_exceeded'],
  [498, { message: 'invalid token' }, 401, 'invalid_api_key'],
  [500, { message: 'internal server error' }, 500, null],
  [503, { message: 'service unavailable' }, 503, null],
]

test.each(refusals)('a refusal with %d %j is passed on', async (status, json, outward, code) => {
  // However often it is tried.
  const reply = { status, json, headers: { 'retry-after': '0' } }
  upstream.reply([reply, reply, reply, reply, reply, reply])
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect(answer.status).toBe(outward)
  expect(answer.json.error).toMatchObject({ message: (json as any).message, code })
  expect(answer.json.is_bifrost_error).toBe(false)
})
