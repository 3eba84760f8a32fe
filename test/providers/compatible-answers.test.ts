import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import OpenAI from 'openai'

import { addDetail } from '#openai/answer/collector.ts'

import { playback } from '../helpers/upstream.ts'
import { strictly } from '../pipeline/rig.ts'
import { startFamily } from './compatible-rig.ts'
import type { FamilyRig } from './compatible-rig.ts'
import { CUTS, fixture, post, unaryFixture } from './play.ts'

// Recorded answers of the family, cut in every way: what a client puts together from the stream is what the whole
// answer says, and both are OpenAI's.

let rig: FamilyRig
beforeAll(async () => {
  rig = await startFamily()
})
afterAll(() => rig[Symbol.asyncDispose]())

const sse = 'text/event-stream'
const plain = { 'x-bf-extra-fields': 'false' }
const hi = [{ role: 'user' as const, content: 'hi' }]

type Cut = (typeof CUTS)[number]

async function streamed(vendor: string, bytes: string, cut: Cut, more = {}): Promise<string> {
  rig.upstream.clear()
  rig.upstream.reply({ headers: { 'content-type': sse }, chunks: playback(bytes, cut) })
  const body = { model: `${vendor}/m`, messages: hi, stream: true, ...more }
  return (await post(rig.gateway.url, '/chat/completions', body, plain)).text()
}

async function whole(vendor: string, body: unknown): Promise<{ status: number; json: any }> {
  rig.upstream.clear()
  rig.upstream.reply({ json: body })
  const request = { model: `${vendor}/m`, messages: hi }
  const response = await post(rig.gateway.url, '/chat/completions', request, plain)
  return { status: response.status, json: await response.json() }
}

const usageToo = { stream_options: { include_usage: true } }

/** Puts a stream together as clients in Python do it, who join any text that comes twice. */
function joined(stream: string): any {
  const strict = strictly(stream)
  expect(strict.end).toBe('done')
  const choice: any = { message: {}, finish_reason: null, logprobs: null }
  let usage: any
  strict.events.forEach(({ data }, at) => {
    expect(data.id).toBe(strict.events[0]!.data.id)
    expect(typeof data.created).toBe('number')
    expect(typeof data.model).toBe('string')
    if (data.usage) {
      // Usage comes alone, and last.
      expect([data.choices, at]).toEqual([[], strict.events.length - 1])
      usage = data.usage
    }
    for (const { delta, finish_reason: reason, logprobs } of data.choices) {
      addDelta(choice.message, delta)
      if (reason !== null && reason !== undefined) {
        expect(choice.finish_reason).toBeNull()
        choice.finish_reason = reason
      }
      if (logprobs) (choice.logprobs ??= []).push(...logprobs.content)
    }
  })
  return { ...choice, usage }
}

function addDelta(message: any, delta: any): void {
  for (const [name, value] of Object.entries<any>(delta)) {
    if (name === 'tool_calls') {
      for (const { index, ...piece } of value) {
        expect(Number.isInteger(index)).toBe(true)
        addDelta(((message.tool_calls ??= [])[index] ??= {}), piece)
      }
    } else if (name === 'reasoning_details') {
      for (const piece of value) addDetail((message.reasoning_details ??= []), piece)
    } else if (Array.isArray(value)) (message[name] ??= []).push(...value)
    else if (typeof value === 'string') message[name] = (message[name] ?? '') + value
    else if (typeof value === 'object' && value !== null) addDelta((message[name] ??= {}), value)
  }
}

/** What both forms of an answer have to agree on. */
function essence({ message, finish_reason, logprobs, usage }: any): any {
  const { content, token_id: _, ...rest } = message
  const told = Object.entries(rest).filter(([, value]) => value !== null)
  return {
    message: { ...Object.fromEntries(told), content: content || null },
    finish_reason,
    logprobs: logprobs?.content ?? logprobs ?? null,
    usage,
  }
}

const answers = [
  ['mistral', 'mistral-thinking'],
  ['mistral', 'mistral-tools'],
  ['mistral', 'mistral-length'],
  ['groq', 'groq-aside'],
  ['xai', 'xai-usage'],
  ['deepseek', 'deepseek-cache'],
  ['together', 'together-eos'],
  ['fireworks', 'fireworks-usage'],
  ['vllm', 'vllm-tools'],
  ['nebius', 'vllm-tools'],
  ['parasail', 'vllm-tools'],
  ['huggingface', 'vllm-tools'],
  ['sgl', 'vllm-tools'],
  ['vllm', 'vllm-index-zero'],
  ['vllm', 'vllm-nameless'],
  ['sgl', 'sgl-usage'],
] as const

/** What the gateway makes of them, beyond what the vendor wrote. */
const wanted: Record<string, { message?: object; finish?: string; usage?: object }> = {
  'mistral-thinking': {
    message: {
      role: 'assistant',
      content: 'It is four. 🌈',
      reasoning: 'Two and two — é.',
      reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'Two and two — é.' }],
      references: [{ type: 'reference', reference_ids: [1, 2] }],
    },
    finish: 'stop',
  },
  'mistral-tools': {
    message: {
      tool_calls: [
        {
          id: 'D681PevKs',
          type: 'function',
          function: { name: 'get_weather', arguments: '{"city":"Zürich","days":2}' },
        },
        { id: 'Abc123xyz', type: 'function', function: { name: 'now', arguments: '{}' } },
      ],
    },
    finish: 'tool_calls',
  },
  'mistral-length': { finish: 'length' },
  'groq-aside': { usage: { total_tokens: 23, prompt_tokens_details: { cached_tokens: 8 } } },
  'xai-usage': { usage: { prompt_tokens: 32, completion_tokens: 103, total_tokens: 135 } },
  'deepseek-cache': { usage: { prompt_tokens_details: { cached_tokens: 64 } } },
  'together-eos': { finish: 'stop', message: { content: 'Héllo' } },
  'fireworks-usage': { usage: { total_tokens: 11 } },
  'vllm-tools': {
    message: {
      role: 'assistant',
      reasoning_content: 'Hm.',
      tool_calls: [
        {
          id: 'functions.get_weather:0',
          type: 'function',
          function: { name: 'get_weather', arguments: '{"city":"Köln"}' },
        },
        {
          id: 'functions.now:1',
          type: 'function',
          function: { name: 'now', arguments: '{}' },
        },
      ],
    },
    finish: 'tool_calls',
  },
  'vllm-index-zero': { finish: 'tool_calls' },
  'vllm-nameless': { message: { role: 'assistant', content: 'Hi you' }, finish: 'stop' },
  'sgl-usage': { usage: { completion_tokens_details: { reasoning_tokens: 7 } } },
}

describe.each(answers)('%s: %s', (vendor, name) => {
  test('the whole answer is OpenAI’s', async () => {
    const { status, json } = await whole(vendor, unaryFixture(`compatible/${name}.json`))
    expect(status).toBe(200)
    expect(typeof json.id).toBe('string')
    expect(json.object).toBe('chat.completion')
    const { message, finish, usage } = wanted[name]!
    expect(json.choices[0].message).toMatchObject(message ?? {})
    if (finish !== undefined) expect(json.choices[0].finish_reason).toBe(finish)
    expect(json.usage).toMatchObject(usage ?? {})
  })

  test.each([...CUTS])('the stream says the same, cut by %s', async (cut) => {
    const { json } = await whole(vendor, unaryFixture(`compatible/${name}.json`))
    const bytes = fixture(`compatible/${name}.sse`)
    const stream = joined(await streamed(vendor, bytes, cut, usageToo))
    const { usage } = json
    expect(essence(stream)).toEqual(essence({ ...json.choices[0], usage }))
  })

  test('usage that was not asked for stays away', async () => {
    const text = await streamed(vendor, fixture(`compatible/${name}.sse`), 'whole')
    expect(strictly(text).events.some(({ data }) => data.choices.length === 0)).toBe(false)
  })

  test('the openai SDK puts it together', async () => {
    const client = new OpenAI({ baseURL: `${rig.gateway.url}/openai/v1`, apiKey: 'x' })
    rig.upstream.clear()
    const chunks = playback(fixture(`compatible/${name}.sse`), 'line')
    rig.upstream.reply({ headers: { 'content-type': sse }, chunks })
    const stream = client.chat.completions.stream({
      model: `${vendor}/m`,
      messages: hi,
      ...usageToo,
    })
    const { choices, usage } = await stream.finalChatCompletion()
    const { json } = await whole(vendor, unaryFixture(`compatible/${name}.json`))
    expect(choices[0]!.finish_reason).toBe(json.choices[0].finish_reason)
    expect(choices[0]!.message.content || null).toBe(json.choices[0].message.content || null)
    expect(usage?.total_tokens).toBe(json.usage.total_tokens)
    const ids = choices[0]!.message.tool_calls?.map(({ id }) => id)
    expect(ids).toEqual(json.choices[0].message.tool_calls?.map(({ id }: any) => id))
  })
})

describe('an answer that failed', () => {
  test.each([
    ['mistral', 'mistral-error', 'The model stopped with an error.'],
    ['deepseek', 'deepseek-exhausted', 'The provider ran out of resources half-way.'],
    ['groq', 'groq-error', 'The model is over capacity'],
    ['vllm', 'vllm-error', 'The decoder prompt is longer than the maximum context length'],
  ])('%s: %s', async (vendor, name, message) => {
    for (const cut of CUTS) {
      const text = await streamed(vendor, fixture(`compatible/${name}.sse`), cut)
      const { end, events } = strictly(text)
      expect([end, events.at(-1)!.data.error.message]).toEqual(['error', message])
      const said = events.slice(0, -1).map(({ data }) => data.choices[0].delta.content ?? '')
      expect(said.join('')).not.toBe('')
    }
    if (name === 'groq-error') return
    const { status, json } = await whole(vendor, unaryFixture(`compatible/${name}.json`))
    expect(json.error.message).toBe(message)
    expect(status).toBe(name === 'vllm-error' ? 400 : 503)
  })
})

describe('Responses by chat are read with the same eyes', () => {
  test.each([
    ['mistral', 'mistral-thinking', 'It is four. 🌈', 'completed', 55],
    ['mistral', 'mistral-length', 'Once upon', 'incomplete', 55],
    ['groq', 'groq-aside', 'Hi', 'completed', 23],
    ['deepseek', 'deepseek-cache', 'Ja!', 'completed', 100],
    ['together', 'together-eos', 'Héllo', 'completed', 14],
    ['sgl', 'sgl-usage', 'Hi', 'completed', 32],
  ])('%s: %s', async (vendor, name, text, status, total) => {
    const body = { model: `${vendor}/m`, input: 'hi' }
    rig.upstream.clear()
    rig.upstream.reply({ json: unaryFixture(`compatible/${name}.json`) })
    const unary: any = await (await post(rig.gateway.url, '/responses', body)).json()
    for (const cut of CUTS) {
      const chunks = playback(fixture(`compatible/${name}.sse`), cut)
      rig.upstream.reply({ headers: { 'content-type': sse }, chunks })
      const response = await post(rig.gateway.url, '/responses', { ...body, stream: true })
      const last = strictly(await response.text()).events.at(-1)!.data.response
      for (const { output, status: told, usage } of [unary, last]) {
        const message = output.find(({ type }: any) => type === 'message')
        expect([message.content[0].text, told, usage.total_tokens]).toEqual([text, status, total])
      }
      expect(last.usage).toEqual(unary.usage)
    }
  })
})

describe('usage', () => {
  test('that comes in both places is told once', async () => {
    const text = await streamed(
      'groq',
      fixture('compatible/groq-usage-twice.sse'),
      'byte',
      usageToo,
    )
    expect(joined(text).usage.total_tokens).toBe(23)
  })

  const xai = (usage: object) => ({
    id: 'x',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [],
    usage,
  })
  test.each([
    [
      'thoughts left out of both',
      {
        prompt_tokens: 5,
        completion_tokens: 2,
        completion_tokens_details: { reasoning_tokens: 3 },
      },
      [5, 5, 10],
    ],
    [
      'cached input left out too',
      {
        prompt_tokens: 5,
        completion_tokens: 2,
        total_tokens: 20,
        completion_tokens_details: { reasoning_tokens: 3 },
      },
      [15, 5, 20],
    ],
    [
      'nothing left out',
      {
        prompt_tokens: 5,
        completion_tokens: 5,
        total_tokens: 10,
        completion_tokens_details: { reasoning_tokens: 3 },
      },
      [5, 5, 10],
    ],
  ])('of xai: %s', async (_, given, counts) => {
    const { json } = await whole('xai', xai(given))
    const { prompt_tokens, completion_tokens, total_tokens } = json.usage
    expect([prompt_tokens, completion_tokens, total_tokens ?? 10]).toEqual(counts)
  })
})

describe('what needs nothing keeps its bytes', () => {
  const odd =
    '{ "id":"x","object":"chat.completion" ,"created":1.0,"model":"m","big":1152921504606846976,"choices":[{"index":0,"message":{"role":"assistant","content":"\\u00e9","z":-0.0},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2} }\n'
  const vendors = ['openai', 'openrouter', 'cerebras', 'mistral', 'vllm', 'xai', 'together', 'groq']
  test.each(vendors)('%s: a whole answer', async (vendor) => {
    rig.upstream.clear()
    rig.upstream.reply({ text: odd, headers: { 'content-type': 'application/json' } })
    const request = { model: `${vendor}/m`, messages: hi }
    const response = await post(rig.gateway.url, '/chat/completions', request, plain)
    expect(await response.text()).toBe(odd)
  })

  const frame = (more: string): string =>
    `data: {"id":"x", "object":"chat.completion.chunk","created":1.0,"model":"m","choices":[${more}]}\n\n`
  const stream =
    frame('{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}') +
    ': PROCESSING\n\n' +
    frame('{"index":0,"delta":{"content":"\\u00e9 1.50"},"finish_reason":null,"native":1.0}') +
    frame('{"index":0,"delta":{},"finish_reason":"stop"}') +
    'data: [DONE]\n\n'
  test.each(vendors)('%s: a stream', async (vendor) => {
    for (const cut of CUTS) expect(await streamed(vendor, stream, cut)).toBe(stream)
  })

  test('several choices stay apart', async () => {
    const two =
      frame(
        '{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null},{"index":1,"delta":{"role":"assistant","content":"b"},"finish_reason":null}',
      ) +
      frame('{"index":1,"delta":{},"finish_reason":"stop"}') +
      frame('{"index":0,"delta":{},"finish_reason":"stop"}') +
      'data: [DONE]\n\n'
    expect(await streamed('mistral', two, 'byte', { n: 2 })).toBe(two)
  })
})

test('a bare list of models is a list', async () => {
  rig.upstream.clear()
  const models = '[{"id":"org/a","object":"model","created":1.0,"x":{}} , {"id":"org/b"}]\n'
  rig.upstream.reply({ text: models, headers: { 'content-type': 'application/json' } })
  const response = await fetch(`${rig.gateway.url}/openai/v1/models?provider=together`, {
    headers: plain,
  })
  const { object, data } = (await response.json()) as any
  expect(object).toBe('list')
  expect(data.map(({ id }: any) => id)).toEqual(['together/org/a', 'together/org/b'])
})

test('every recording is played', () => {
  const played = [
    ...answers.map(([, name]) => name),
    ...['mistral-error', 'deepseek-exhausted', 'groq-error', 'vllm-error', 'groq-usage-twice'],
  ]
  const recorded = readdirSync(join(import.meta.dir, '../fixtures/compatible'))
  const names = new Set(recorded.map((file) => file.replace(/\.\w+$/, '')))
  expect([...names].toSorted()).toEqual([...new Set<string>(played)].toSorted())
})
