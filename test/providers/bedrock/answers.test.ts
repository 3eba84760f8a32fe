import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { playback } from '../../helpers/upstream.ts'
import { ask, assembled, CUTS, framesOf, post, unaryFixture } from '../play.ts'
import { startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { EVENT_STREAM, joined, message, messagesOf, recordedBytes, streamOf } from './streams.ts'

// What the vendor says, as callers get it.

let rig: Rig

beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig.stop())

const model = 'bedrock/us.anthropic.claude-opus-4-6-v1'
const request = { model, messages: [{ role: 'user', content: 'hi' }] }
const streamed = { ...request, stream: true, stream_options: { include_usage: true } }

async function unary(name: string): Promise<any> {
  rig.upstream.reply({
    json: unaryFixture(`bedrock/${name}.json`),
    headers: { 'x-amzn-requestid': '8f1f7bb4-5a1f' },
  })
  const { status, json } = await ask(rig.gateway.url, '/chat/completions', request)
  expect(status).toBe(200)
  return json
}

function play(bytes: Uint8Array, cut: (typeof CUTS)[number]): void {
  rig.upstream.reply({ headers: { 'content-type': EVENT_STREAM }, chunks: playback(bytes, cut) })
}

const format = 'anthropic-claude-v1'
const signature = 'EqQBCkgIBxABGAIiQL8vbW9jaw=='
const called = (id: string, name: string, input: string) => ({
  id,
  type: 'function',
  function: { name, arguments: input },
})

const answers: Record<string, { reason: string; message: object; beside?: object }> = {
  text: { reason: 'stop', message: { content: 'Hello, wörld 👋! How can I help?' } },
  'thinking-tools': {
    reason: 'tool_calls',
    message: {
      content: 'Let me look.',
      reasoning: 'Both places have to be looked up.',
      reasoning_details: [
        {
          type: 'reasoning.text',
          index: 0,
          text: 'Both places have to be looked up.',
          signature,
          format,
        },
      ],
      tool_calls: [
        called('tooluse_kZJMlvQmRJ6eAyJE5GIl7Q', 'weather', '{"city":"Tromsø","days":2}'),
        called('tooluse_H3m2K1', 'weather', '{"city":"Bodø"}'),
      ],
    },
  },
  'interleaved-tools': {
    reason: 'tool_calls',
    message: {
      content: null,
      tool_calls: [
        called('tooluse_1', 'first', '{"a":1}'),
        called('tooluse_2', 'second', '{"b":[2]}'),
      ],
    },
  },
  'empty-arguments': {
    reason: 'tool_calls',
    message: { content: null, tool_calls: [called('tooluse_now', 'now', '{}')] },
  },
  'tools-end-turn': {
    reason: 'tool_calls',
    message: { content: null, tool_calls: [called('a1B2c3D4e', 'weather', '{"city":"Oslo"}')] },
  },
  redacted: {
    reason: 'stop',
    message: {
      content: 'I would rather not say why.',
      reasoning_details: [
        {
          type: 'reasoning.encrypted',
          index: 0,
          data: 'RXUwQkNrWUlCaEFCR0FJaVFMOA==',
          format: 'bedrock-claude-v1',
        },
        { type: 'reasoning.text', index: 1, text: '', signature, format },
      ],
    },
  },
  guardrail: {
    reason: 'content_filter',
    message: { content: 'Sorry, I cannot talk about this.' },
    beside: { bedrock: { trace: expect.objectContaining({ guardrail: expect.anything() }) } },
  },
  length: { reason: 'length', message: { content: 'Once upon a' } },
  'stop-sequence': {
    reason: 'stop',
    message: { content: 'One two' },
    beside: { bedrock: { additionalModelResponseFields: { stop_sequence: 'END' } } },
  },
  'cache-usage': { reason: 'stop', message: { content: 'Again.' } },
  citations: {
    reason: 'stop',
    message: {
      content: 'So: It is cold.',
      annotations: [
        {
          type: 'url_citation',
          url_citation: {
            url: 'https://weather.example/oslo',
            title: 'Weather',
            start_index: 4,
            end_index: 15,
          },
        },
      ],
      citations: [expect.objectContaining({ title: 'Report', source: 'r1' })],
    },
  },
  image: {
    reason: 'stop',
    message: {
      content: 'Here.',
      images: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }],
    },
  },
  'server-tool': {
    reason: 'stop',
    message: {
      content: 'Cold.',
      provider_content: [
        {
          toolUse: {
            name: 'nova_grounding',
            toolUseId: 'tooluse_g1',
            type: 'server_tool_use',
            input: { query: 'oslo' },
          },
        },
        {
          toolResult: {
            toolUseId: 'tooluse_g1',
            type: 'nova_grounding_result',
            status: 'success',
            content: [{ json: { found: 1 } }],
          },
        },
      ],
    },
  },
  unknown: { reason: 'stop', message: { content: 'Flat.' } },
}

describe.each(Object.keys(answers))('%s', (name) => {
  const { reason, message: expected, beside } = answers[name]!

  test('whole', async () => {
    const answer = await unary(name)
    const { usage } = unaryFixture(`bedrock/${name}.json`) as any
    const { cacheReadInputTokens: cached = 0, cacheWriteInputTokens: cacheWrite = 0 } = usage
    expect(answer.id).toBe('chatcmpl-8f1f7bb4-5a1f')
    expect(answer.choices).toEqual([
      {
        index: 0,
        message: { role: 'assistant', refusal: null, ...expected },
        logprobs: null,
        finish_reason: reason,
        ...beside,
      },
    ])
    const input = usage.inputTokens + cached + cacheWrite
    expect(answer.usage).toMatchObject({
      prompt_tokens: input,
      completion_tokens: usage.outputTokens,
      total_tokens: input + usage.outputTokens,
      prompt_tokens_details: { cached_tokens: cached, cache_write_tokens: cacheWrite },
    })
  })

  test.each(CUTS)('streamed, cut by %s, it is the same answer', async (cut) => {
    const { choices, usage } = await unary(name)
    play(streamOf(name), cut)
    const { status, text } = await ask(rig.gateway.url, '/chat/completions', streamed)
    expect(status).toBe(200)
    const { bedrock, ...choice } = choices[0]
    expect(assembled(text)).toEqual({ choice, usage })
    const last = framesOf(text).findLast(({ choices: [one] }) => one?.finish_reason).choices[0]
    expect(last.bedrock).toEqual(bedrock)
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(rig.upstream.requests.at(-1)!.path).toEndWith('/converse-stream')
  })
})

test('the recorded bytes are the recorded answer', async () => {
  const { choices } = await unary('thinking-tools')
  play(recordedBytes('thinking-tools'), 'byte')
  const { text } = await ask(rig.gateway.url, '/chat/completions', streamed)
  expect(assembled(text).choice).toEqual(choices[0])
})

test('thoughts of models that sign nothing have no mark of whose they are', async () => {
  const said = { ...request, model: 'bedrock/deepseek.r1-v1:0' }
  rig.upstream.reply({ json: unaryFixture('bedrock/reasoning-unsigned.json') })
  const { json } = await ask(rig.gateway.url, '/chat/completions', said)
  expect(json.choices[0].message).toMatchObject({
    content: 'Three.',
    reasoning: 'Count them. Three.',
    reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'Count them. Three.' }],
  })
  play(streamOf('reasoning-unsigned'), 'whole')
  const { text } = await ask(rig.gateway.url, '/chat/completions', { ...streamed, ...said })
  expect(assembled(text).choice).toEqual(json.choices[0])
})

test('the service tier is that of the answer', async () => {
  const answer = unaryFixture('bedrock/text.json') as object
  rig.upstream.reply({ json: { ...answer, serviceTier: { type: 'flex' } } })
  const { json } = await ask(rig.gateway.url, '/chat/completions', request)
  expect(json.service_tier).toBe('flex')
})

describe('a stream that fails', () => {
  test.each(CUTS)('before it has said anything has a status (%s)', async (cut) => {
    play(streamOf('error-first'), cut)
    const { status, json } = await ask(rig.gateway.url, '/chat/completions', streamed)
    expect(status).toBe(429)
    expect(json.error).toMatchObject({
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
      message: 'Too many requests, please wait before trying again.',
    })
  })

  test.each(CUTS)('in its middle ends with the error (%s)', async (cut) => {
    const [begin, said, failed] = messagesOf('error-inside')
    const first = playback(joined([begin!, said!]), cut)
    const got = Promise.withResolvers<void>()
    rig.upstream.reply({
      headers: { 'content-type': EVENT_STREAM },
      chunks: [...first, ...playback(failed!, cut)],
      gate: [...first.map(() => undefined), got.promise],
    })
    const response = await post(rig.gateway.url, '/chat/completions', streamed)
    got.resolve()
    const text = await response.text()
    expect(response.status).toBe(200)
    expect(text).toContain('"content":"Half an"')
    expect(framesOf(text).at(-1).error).toMatchObject({
      message: 'The model stopped unexpectedly.',
      code: 'provider_error',
      originalStatusCode: 500,
    })
  })

  test('for want of its end is told', async () => {
    for (const cut of CUTS) {
      play(streamOf('truncated'), cut)
      const { text } = await ask(rig.gateway.url, '/chat/completions', streamed)
      expect(framesOf(text).at(-1).error.code).toBe('upstream_truncated')
      expect(text).not.toContain('"finish_reason":"stop"')
    }
  })

  test.each(CUTS)('only to say what it used is whole (%s)', async (cut) => {
    play(streamOf('no-metadata'), cut)
    const { text } = await ask(rig.gateway.url, '/chat/completions', streamed)
    expect(text).toContain('"finish_reason":"stop"')
    expect(text).toEndWith('data: [DONE]\n\n')
    play(streamOf('no-metadata'), cut)
    const { text: items } = await ask(rig.gateway.url, '/responses', {
      model: request.model,
      input: 'Hi',
      stream: true,
    })
    expect(items).toContain('event: response.completed')
  })

  test('inside its last message is told from a whole one', async () => {
    play(streamOf('text').subarray(0, -1), 'whole')
    const { text } = await ask(rig.gateway.url, '/chat/completions', streamed)
    expect(framesOf(text).at(-1).error.code).toBe('upstream_truncated')
  })

  test.each([
    ['a wrong prelude', 9],
    ['a wrong payload', 100],
    ['a wrong checksum', 139],
  ])('by %s is a bad gateway', async (_name, at) => {
    const bytes = streamOf('text')
    bytes[at] = bytes[at]! ^ 4
    play(bytes, 'whole')
    const { status, json } = await ask(rig.gateway.url, '/chat/completions', streamed)
    expect([status, json.error.code]).toEqual([502, 'bad_gateway'])
  })

  test('by a payload that is no JSON object', async () => {
    play(message('messageStart', 'text'), 'whole')
    const { status, json } = await ask(rig.gateway.url, '/chat/completions', streamed)
    expect([status, json.error.code]).toEqual([502, 'bad_gateway'])
  })
})

test('a model that broke down is the provider’s failure', async () => {
  rig.upstream.reply({ json: unaryFixture('bedrock/malformed-output.json') })
  const { status, json } = await ask(rig.gateway.url, '/chat/completions', request)
  expect([status, json.error.code]).toEqual([502, 'provider_error'])
  play(streamOf('malformed-output'), 'byte')
  const { text } = await ask(rig.gateway.url, '/chat/completions', streamed)
  expect(text).toContain('"code":"provider_error"')
})

test.each([
  ['nothing', {}],
  ['a list', []],
  ['half an answer', { output: { message: { content: [{ text: 'x' }] } } }],
  [
    'an operation that is not known',
    { Output: { __type: 'com.amazon.coral.service#UnknownOperationException' }, Version: '1.0' },
  ],
  ['an error', { message: 'no' }],
])('%s for an answer is the provider’s failure', async (_name, json) => {
  rig.upstream.reply({ json })
  const answer = await ask(rig.gateway.url, '/chat/completions', request)
  expect(answer.status).toBeGreaterThanOrEqual(500)
  expect(answer.json.error.type).toBe('api_error')
})

test.each([
  ['content that is no list', { output: { message: { content: 'x' } }, stopReason: 'end_turn' }],
  [
    'blocks that are none',
    { output: { message: { content: [null, 7, [], { text: 5 }] } }, stopReason: 'end_turn' },
  ],
  [
    'calls without anything',
    { output: { message: { content: [{ toolUse: {} }] } }, stopReason: 'tool_use', usage: 'much' },
  ],
  [
    'thoughts of odd shapes',
    {
      output: {
        message: {
          content: [{ reasoningContent: {} }, { reasoningContent: { reasoningText: 3 } }],
        },
      },
      stopReason: 'end_turn',
      usage: { inputTokens: 'x' },
    },
  ],
])('%s are passed over', async (_name, json) => {
  rig.upstream.reply({ json })
  const answer = await ask(rig.gateway.url, '/chat/completions', request)
  expect(answer.status).toBe(200)
})
