import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'
import { ask, assembled, CUTS, fixture, framesOf, play, playInTwo, unaryFixture } from '../play.ts'

// What the server says, as callers get it.

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({
    config: { providers: { ollama: { network_config: { base_url: upstream.url } } } },
  })
})
beforeEach(() => upstream.clear())
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const request = { model: 'ollama/qwen3:8b', messages: [{ role: 'user', content: 'hi' }] }
const streamed = { ...request, stream: true, stream_options: { include_usage: true } }
const ndjson = 'application/x-ndjson'

async function unary(name: string): Promise<any> {
  upstream.reply({ json: unaryFixture(`ollama/${name}.json`) })
  const { status, json } = await ask(gateway.url, '/chat/completions', request)
  expect(status).toBe(200)
  return withoutIds(json)
}

/** Ids that the gateway makes up differ from answer to answer. */
function withoutIds<T>(answer: T): T {
  return JSON.parse(JSON.stringify(answer).replace(/"call_[0-9A-Z]{26}"/g, '"call_new"'))
}

const thought = (text: string) => ({
  reasoning: text,
  reasoning_details: [{ type: 'reasoning.text', index: 0, text }],
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
      tool_calls: [
        called('call_k2w1a9', 'weather', '{"city":"Tromsø","days":2}'),
        called('call_x9d3f7', 'weather', '{"city":"Bodø"}'),
      ],
    },
  },
  'tools-empty': {
    reason: 'tool_calls',
    message: { content: null, tool_calls: [called('call_e1', 'now', '{}')] },
  },
  'tools-old': {
    reason: 'tool_calls',
    message: {
      content: null,
      tool_calls: [
        called('call_new', 'weather', '{"city":"Oslo","id":12345678901234567890}'),
        called('call_new', 'now', '{}'),
      ],
    },
  },
  reasoning: {
    reason: 'stop',
    message: { content: 'Three.', ...thought('Alice has 2 sisters; her brother has one more.') },
  },
  'reasoning-tools': {
    reason: 'tool_calls',
    message: {
      content: null,
      ...thought('The weather has to be looked up.'),
      tool_calls: [called('call_r1', 'weather', '{"city":"Oslo"}')],
    },
  },
  length: { reason: 'length', message: { content: 'Once upon a' } },
  cached: { reason: 'stop', message: { content: 'Again.' } },
  logprobs: {
    reason: 'stop',
    message: { content: '{"ok":true}' },
    logprobs: {
      content: [
        {
          token: '{"ok"',
          logprob: -0.25,
          bytes: [123, 34, 111, 107, 34],
          top_logprobs: [{ token: '{', logprob: -1.5, bytes: [123] }],
        },
        { token: ':true}', logprob: -0.125, bytes: null, top_logprobs: [] },
      ],
      refusal: null,
    },
  },
}

describe.each(Object.keys(answers))('%s', (name) => {
  const { reason, message, logprobs = null } = answers[name]!

  test('whole', async () => {
    const answer = await unary(name)
    const recorded = unaryFixture(`ollama/${name}.json`) as any
    expect(answer.choices).toEqual([
      {
        index: 0,
        message: { role: 'assistant', refusal: null, ...message },
        logprobs,
        finish_reason: reason,
      },
    ])
    expect(answer.model).toBe('qwen3:8b')
    const { prompt_eval_count = 0, eval_count, total_duration } = recorded
    expect(answer.usage).toMatchObject({
      prompt_tokens: prompt_eval_count,
      completion_tokens: eval_count,
      total_tokens: prompt_eval_count + eval_count,
      total_duration,
    })
  })

  test.each(CUTS)('streamed, cut by %s, it is the same answer', async (cut) => {
    const { choices, usage } = await unary(name)
    play(upstream, fixture(`ollama/${name}.ndjson`), ndjson, cut)
    const { status, text } = await ask(gateway.url, '/chat/completions', streamed)
    expect(status).toBe(200)
    expect(withoutIds(assembled(text))).toEqual({ choice: choices[0], usage })
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(upstream.requests.at(-1)!.json().stream).toBe(true)
  })
})

test('calls without ids get some, no two alike', async () => {
  upstream.reply({ json: unaryFixture('ollama/tools-old.json') })
  const { json } = await ask(gateway.url, '/chat/completions', request)
  const ids = json.choices[0].message.tool_calls.map(({ id }: { id: string }) => id)
  expect(new Set(ids).size).toBe(2)
})

test('a stream whose last line has no end is whole', async () => {
  play(upstream, fixture('ollama/text.ndjson').trimEnd(), ndjson)
  const { text } = await ask(gateway.url, '/chat/completions', streamed)
  expect(text).toContain('"finish_reason":"stop"')
})

describe('a stream that fails', () => {
  test.each(CUTS)('before it has said anything has a status (%s)', async (cut) => {
    play(upstream, fixture('ollama/error-before.ndjson'), ndjson, cut)
    const { status, json } = await ask(gateway.url, '/chat/completions', streamed)
    expect(status).toBe(500)
    expect(json.error.message).toContain('out of memory')
  })

  test.each(CUTS)('in its middle ends with the error (%s)', async (cut) => {
    const bytes = fixture('ollama/error-inside.ndjson')
    const recorded = { bytes, contentType: ndjson, cut, mark: '{"error"' }
    const { status, text } = await playInTwo(upstream, recorded, gateway.url, streamed)
    expect(status).toBe(200)
    expect(framesOf(text).at(-1).error.message).toContain('unexpected EOF')
    expect(text).toContain('"content":"Half an"')
  })

  test.each(CUTS)('for want of its end is told from a whole one (%s)', async (cut) => {
    play(upstream, fixture('ollama/truncated.ndjson'), ndjson, cut)
    const { text } = await ask(gateway.url, '/chat/completions', streamed)
    expect(framesOf(text).at(-1).error.code).toBe('upstream_truncated')
    expect(text).not.toContain('"finish_reason":"stop"')
  })

  test('with a line that is no JSON', async () => {
    play(upstream, '{"model":"m","mess\n', ndjson)
    const { status, json } = await ask(gateway.url, '/chat/completions', streamed)
    expect([status, json.error.code]).toEqual([502, 'bad_gateway'])
  })
})

test.each([
  ['nothing', {}],
  ['a list', []],
  ['half an answer', { message: { content: 'x' }, done: false }],
  ['calls without names', { message: { tool_calls: [{ function: {} }] }, done: true }],
])('%s for an answer is a bad gateway', async (_name, json) => {
  upstream.reply({ json })
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect([answer.status, answer.json.error.code]).toEqual([502, 'bad_gateway'])
})

test.each([
  ['odd members', { message: { content: 7, tool_calls: 'x', thinking: [] }, logprobs: {} }],
  ['odd tokens', { message: {}, logprobs: [3], done_reason: {} }],
])('%s of an answer break nothing', async (_name, json) => {
  upstream.reply({ json: { ...json, done: true } })
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect(answer.status).toBe(200)
  expect(answer.json.choices[0]).toMatchObject({ message: { content: '' }, finish_reason: 'stop' })
})

test('an error in a whole answer is an error', async () => {
  upstream.reply({ json: { error: "model 'x' not found" } })
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect([answer.status, answer.json.error.code]).toEqual([404, 'model_not_found'])
})

// [status, what the server says, code, param]
const refusals: readonly [number, string, string | null, string | null][] = [
  [400, 'option "stop" must be of type array', null, null],
  [
    400,
    'registry.ollama.ai/library/gemma:2b does not support tools',
    'unsupported_parameter',
    'tools',
  ],
  [400, '"gemma:2b" does not support thinking', 'unsupported_parameter', 'reasoning_effort'],
  [400, '"gemma:2b" does not support vision', 'unsupported_parameter', 'messages'],
  [400, 'the input length exceeds the context length', 'context_length_exceeded', null],
  [401, 'unauthorized', 'invalid_api_key', null],
  [403, 'this model requires a subscription', 'permission_denied', null],
  [404, "model 'llama9' not found, try pulling it first", 'model_not_found', null],
  [429, 'you have reached your hourly usage limit', 'rate_limit_exceeded', null],
  [500, 'llama runner process has terminated', null, null],
  [502, 'upstream error', null, null],
  [503, 'server busy, please try again. maximum pending requests exceeded', 'overloaded', null],
]

test.each(refusals)('a refusal with %d "%s" is passed on', async (status, error, code, param) => {
  const reply = { status, json: { error }, headers: { 'retry-after': '0' } }
  // However often it is tried.
  upstream.reply([reply, reply, reply, reply, reply, reply])
  const answer = await ask(gateway.url, '/chat/completions', request)
  expect(answer.status).toBe(status)
  expect(answer.json.error).toMatchObject({ message: error, code, param })
  expect(answer.json.is_bifrost_error).toBe(false)
})
