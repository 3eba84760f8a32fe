import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { playback } from '../../helpers/upstream.ts'
import { assemble, behaviours, chunksOf, essence, readFixture, type Rig, startRig } from './rig.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const events = { 'content-type': 'text/event-stream; charset=utf-8' }
const streamed = { stream: true, stream_options: { include_usage: true } }

async function whole(name: string): Promise<any> {
  rig.upstream.reply({ json: JSON.parse(readFixture(`${name}.json`)) })
  const { status, json } = await rig.ask({})
  expect(status).toBe(200)
  return essence(json)
}

async function stream(name: string, size: 'whole' | 'line' | 'byte'): Promise<any[]> {
  rig.upstream.reply({ headers: events, chunks: playback(readFixture(`${name}.sse`), size) })
  const { status, text } = await rig.ask(streamed)
  expect(status).toBe(200)
  return chunksOf(text)
}

describe('a stream adds up to the whole answer', () => {
  for (const name of behaviours()) {
    for (const size of ['whole', 'line', 'byte'] as const) {
      test(`${name}, by ${size}`, async () => {
        expect(assemble(await stream(name, size))).toEqual(await whole(name))
      })
    }
  }
})

describe('a whole answer', () => {
  test('is text with its usage', async () => {
    expect(await whole('text')).toEqual({
      id: 'chatcmpl-msg_01Text',
      model: 'claude-opus-5-5',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Hello, wörld 👋! How can I help?',
            refusal: null,
          },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 25,
        completion_tokens: 15,
        total_tokens: 40,
        prompt_tokens_details: {
          cached_tokens: 0,
          cached_read_tokens: 0,
          cache_write_tokens: 0,
          cached_write_tokens: 0,
        },
        completion_tokens_details: { reasoning_tokens: 0 },
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
      },
      service_tier: 'default',
    })
  })

  test('counts what was cached as part of the prompt', async () => {
    const { usage } = await whole('cache-usage')
    expect(usage).toMatchObject({
      prompt_tokens: 1212,
      completion_tokens: 4,
      total_tokens: 1216,
      prompt_tokens_details: { cached_tokens: 900, cache_write_tokens: 300 },
      cache_creation: { ephemeral_5m_input_tokens: 300 },
    })
  })

  test('numbers parallel calls from 0, whatever blocks stand before them', async () => {
    const chunks = await stream('parallel-tools', 'whole')
    const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? [])
    expect(calls.filter(({ id }) => id !== undefined)).toEqual([
      {
        index: 0,
        id: 'toolu_01A',
        type: 'function',
        function: { name: 'get_weather', arguments: '' },
      },
      {
        index: 1,
        id: 'toolu_01B',
        type: 'function',
        function: { name: 'get_time', arguments: '' },
      },
    ])
    const { choices } = await whole('parallel-tools')
    expect(choices[0].finish_reason).toBe('tool_calls')
    expect(choices[0].message.tool_calls[0].function.arguments).toBe('{"city":"Zürich","unit":"c"}')
  })

  test('has arguments even where the model gave none', async () => {
    const { choices } = await whole('empty-arguments')
    expect(choices[0].message).toMatchObject({
      content: null,
      tool_calls: [
        { function: { arguments: '{}' } },
        { function: { arguments: '{"zone":"UTC"}' } },
      ],
    })
  })

  test('keeps every thought with its signature, withheld ones too', async () => {
    const { choices, usage } = await whole('thinking-tools')
    expect(choices[0].message.reasoning).toBe('The user wants the weather. I should call the tool.')
    expect(choices[0].message.reasoning_details).toEqual([
      {
        type: 'reasoning.text',
        index: 0,
        text: 'The user wants the weather. I should call the tool.',
        signature: 'EqoBCkYIChgCKkBsig+A==',
        format: 'anthropic-claude-v1',
      },
      {
        type: 'reasoning.encrypted',
        index: 1,
        data: 'EmwKAhgBEgyRedacted==',
        format: 'anthropic-claude-v1',
      },
      {
        type: 'reasoning.text',
        index: 2,
        text: '',
        signature: 'EqoBCkYIChgCKkBsig+B==',
        format: 'anthropic-claude-v1',
      },
    ])
    expect(usage.completion_tokens_details.reasoning_tokens).toBe(55)
  })

  test('gives the reason of a refusal', async () => {
    const { choices } = await whole('refusal')
    expect(choices[0]).toMatchObject({
      finish_reason: 'content_filter',
      message: {
        content: null,
        refusal: 'This request asks for something that I do not help with.',
      },
    })
  })

  test('says why it stopped', async () => {
    expect((await whole('length')).choices[0].finish_reason).toBe('length')
    const stopped = (await whole('stop-sequence')).choices[0]
    expect(stopped).toMatchObject({ finish_reason: 'stop', stop_sequence: 'three' })
    const paused = (await whole('pause-turn')).choices[0]
    expect(paused).toMatchObject({ finish_reason: 'stop', stop_reason: 'pause_turn' })
    expect(paused.message.tool_calls).toBeUndefined()
    expect(paused.message.provider_content).toHaveLength(1)
  })

  test('names its sources at their places in the text', async () => {
    const { choices, usage } = await whole('web-search')
    const { message } = choices[0]
    expect(message.content).toBe('I will search. The zoo opens at nine. Bring a hat.')
    const [{ url_citation: cited }] = message.annotations
    expect(cited).toMatchObject({ url: 'https://zoo.example/hours', title: 'Hours' })
    expect(message.content.slice(cited.start_index, cited.end_index)).toBe('The zoo opens at nine')
    expect(message.citations).toMatchObject([{ type: 'char_location', cited_text: 'hat' }])
    expect(message.provider_content).toMatchObject([
      { type: 'server_tool_use', input: { query: 'zoo opening hours' } },
      { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1' },
    ])
    expect(message.tool_calls).toBeUndefined()
    expect(usage.server_tool_use.web_search_requests).toBe(1)
  })
})

test('lists come in one piece, since clients cannot add them up', async () => {
  const chunks = await stream('web-search', 'whole')
  for (const name of ['annotations', 'citations', 'provider_content']) {
    expect(chunks.filter(({ choices }) => choices[0]?.delta[name])).toHaveLength(1)
  }
})

describe('a stream that fails', () => {
  const play = (name: string, size: 'whole' | 'line' | 'byte' = 'whole') => {
    rig.upstream.reply({ headers: events, chunks: playback(readFixture(`${name}.sse`), size) })
    return rig.ask(streamed)
  }

  for (const size of ['whole', 'line', 'byte'] as const) {
    test(`before anything was said has a status, by ${size}`, async () => {
      const { status, json } = await play('error-first', size)
      expect(status).toBe(503)
      expect(json.error).toMatchObject({ message: 'Overloaded', code: 'overloaded' })
    })

    test(`in its midst ends with an error event, by ${size}`, async () => {
      const all = readFixture('error-inside.sse')
      const cut = all.indexOf('event: error')
      const begun = playback(all.slice(0, cut), size)
      const { promise: answered, resolve } = Promise.withResolvers<void>()
      // The error may only leave once the caller has the beginning of the answer.
      rig.upstream.reply({
        headers: events,
        chunks: [...begun, ...playback(all.slice(cut), size)],
        gate: [...begun.map(() => undefined), answered],
      })
      const { status, text } = await rig.ask(streamed, {}, resolve)
      expect(status).toBe(200)
      const chunks = chunksOf(text)
      expect(chunks.at(-1).error).toMatchObject({ message: 'Overloaded', code: 'overloaded' })
      expect(chunks.every(({ choices }) => !choices?.[0]?.finish_reason)).toBe(true)
    })

    test(`by ending early is not taken for whole, by ${size}`, async () => {
      const { status, text } = await play('truncated', size)
      expect(status).toBe(200)
      expect(chunksOf(text).at(-1).error.code).toBe('upstream_truncated')
    })
  }

  test('is no whole answer either', async () => {
    rig.upstream.reply({ headers: events, text: readFixture('truncated.sse') })
    const truncated = await rig.ask({ max_tokens: 60_000 })
    expect(truncated.status).toBe(502)
    rig.upstream.reply({ headers: events, text: readFixture('error-inside.sse') })
    const failed = await rig.ask({ max_tokens: 60_000 })
    expect(failed.status).toBe(503)
    expect(failed.json.error.message).toBe('Overloaded')
  })
})

describe('an answer whose end marker alone is missing', () => {
  const all = readFixture('text.sse')
  const unmarked = all.slice(0, all.indexOf('event: message_stop'))

  test('is whole when it was said why the model stopped', async () => {
    expect(unmarked).toContain('"stop_reason":"end_turn"')
    rig.upstream.reply({ headers: events, text: unmarked })
    const { text } = await rig.ask(streamed)
    expect(text).toEndWith('data: [DONE]\n\n')
    expect(assemble(chunksOf(text))).toEqual(await whole('text'))
    rig.upstream.reply({ headers: events, text: unmarked })
    const collected = await rig.ask({ max_tokens: 60_000 })
    expect([collected.status, collected.json.choices[0].finish_reason]).toEqual([200, 'stop'])
  })

  test('is not when its connection broke', async () => {
    const { promise: answered, resolve } = Promise.withResolvers<void>()
    const gate = [undefined, answered]
    rig.upstream.reply({ headers: events, chunks: [unmarked], gate, reset: true })
    const { text } = await rig.ask(streamed, {}, resolve)
    expect(chunksOf(text).at(-1).error.code).toBe('provider_connection_reset')
  })
})

test('what follows the end of a stream is not said', async () => {
  const said = readFixture('text.sse')
  const more = said.slice(said.indexOf('event: content_block_start'))
  rig.upstream.reply({ headers: events, text: said + more })
  const { text } = await rig.ask(streamed)
  expect(assemble(chunksOf(text))).toEqual(await whole('text'))
})

test('a long answer is asked for as a stream and given whole', async () => {
  rig.upstream.clear()
  rig.upstream.reply({ headers: events, text: readFixture('thinking-tools.sse') })
  const { status, json } = await rig.ask({ max_tokens: 60_000 })
  expect(status).toBe(200)
  expect(rig.upstream.requests[0]!.json().stream).toBe(true)
  expect(essence(json)).toEqual(await whole('thinking-tools'))
})

test('what is no message is reported as the provider’s mistake', async () => {
  for (const json of [{}, [], null, { content: 'text' }, 'text', { type: 'message' }]) {
    rig.upstream.reply({ json })
    expect((await rig.ask({})).status).toBe(502)
  }
})

test('blocks of unexpected shapes do no harm', async () => {
  const content = [
    null,
    7,
    {},
    { type: 'text' },
    { type: 'tool_use' },
    { type: 'thinking' },
    { type: 'text', text: 3, citations: [null, 4] },
  ]
  rig.upstream.reply({ json: { content, usage: 'much', stop_reason: 4 } })
  const { status, json } = await rig.ask({})
  expect(status).toBe(200)
  expect(json.choices[0].finish_reason).toBe('tool_calls')
})
