import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { playback } from '../../helpers/upstream.ts'
import {
  assemble,
  behaviours,
  chunksOf,
  play,
  question,
  readAnswer,
  readFixture,
  type Rig,
  startRig,
} from './rig.ts'

// What the vendor says, as callers get it.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

const streamed = { stream: true, stream_options: { include_usage: true } }
const format = 'google-gemini-v1'

async function whole(name: string): Promise<any> {
  rig.upstream.reply({ json: readAnswer(name) })
  const { status, json } = await rig.ask({})
  expect(status).toBe(200)
  return json
}

function call(id: unknown, name: string, input: string, signature?: string) {
  const google = { thought_signature: signature }
  return {
    id,
    type: 'function',
    function: { name, arguments: input },
    ...(signature && { extra_content: { google } }),
  }
}

const signed = (index: number, data: string, id?: string) => ({
  type: 'reasoning.encrypted',
  index,
  ...(id && { id }),
  data,
  format,
})
const thought = (text: string) => ({ type: 'reasoning.text', index: 0, text, format })
const cited = (url: string, title: string | undefined, start: number, end: number) => ({
  type: 'url_citation',
  url_citation: { url, ...(title && { title }), start_index: start, end_index: end },
})
const png = readAnswer('image').candidates[0].content.parts[1].inlineData.data
const picture = (index: number, signature?: string) => ({
  type: 'image_url',
  index,
  image_url: { url: `data:image/png;base64,${png}` },
  ...(signature && { extra_content: { google: { thought_signature: signature } } }),
})
const token = (text: string, logprob: number) => ({
  token: text,
  logprob,
  bytes: [...Buffer.from(text)],
})

interface Expected {
  readonly reason: string
  readonly message: object
  readonly beside?: object
  /** prompt, completion, and reasoning tokens. */
  readonly usage?: readonly [number, number, number]
  readonly logprobs?: object
}

const made = expect.stringMatching(/^call_[0-9A-Z]{26}$/)
const weather = [
  call('c1a', 'weather', '{"city":"Tromsø","days":2}', 'U2lnbmVkQ2FsbDE='),
  call('c1b', 'weather', '{"city":"Bodø"}'),
]
const bridge = 'Die Brücke 🌉 steht in Köln. Sie ist alt.'

const expected: Record<string, Expected> = {
  text: {
    reason: 'stop',
    message: { content: 'Grüße aus Oslo 👋🏽 – all is "well".' },
    usage: [9, 12, 0],
  },
  'cache-usage': { reason: 'stop', message: { content: 'Cached.' }, usage: [2058, 7, 5] },
  thinking: {
    reason: 'stop',
    message: {
      content: 'Three.',
      reasoning: '**Counting**\n\nAlice has two sisters.',
      reasoning_details: [
        thought('**Counting**\n\nAlice has two sisters.'),
        signed(1, 'VGV4dFNpZ25hdHVyZQ=='),
      ],
    },
    usage: [20, 33, 31],
  },
  'parallel-tools': {
    reason: 'tool_calls',
    message: {
      content: null,
      reasoning_details: [signed(0, 'U2lnbmVkQ2FsbDE=', 'c1a')],
      tool_calls: weather,
    },
    usage: [80, 64, 40],
  },
  'tools-one-piece': {
    reason: 'tool_calls',
    message: {
      content: 'I will look.',
      reasoning_details: [signed(0, 'U2lnbmVkQ2FsbDE=', 'c1a')],
      tool_calls: weather,
    },
  },
  'empty-arguments': {
    reason: 'tool_calls',
    message: { content: null, tool_calls: [call(made, 'now', '{}'), call(made, 'later', '{}')] },
  },
  'thinking-tools': {
    reason: 'tool_calls',
    message: {
      content: null,
      reasoning: 'The weather has to be looked up.',
      reasoning_details: [
        thought('The weather has to be looked up.'),
        signed(1, 'U2lnbmVkQ2FsbDI=', 'c2'),
      ],
      tool_calls: [call('c2', 'weather', '{"city":"Oslo"}', 'U2lnbmVkQ2FsbDI=')],
    },
    usage: [80, 34, 22],
  },
  length: { reason: 'length', message: { content: 'Once upon a' } },
  'length-in-thought': { reason: 'length', message: { content: '' }, usage: [9, 64, 64] },
  safety: {
    reason: 'content_filter',
    message: {
      content: null,
      refusal: 'blocked: SAFETY (Dangerous content.)',
      extra_content: {
        google: { safety_ratings: readAnswer('safety').candidates[0].safetyRatings },
      },
    },
    beside: { native_finish_reason: 'SAFETY' },
  },
  'safety-late': {
    reason: 'content_filter',
    message: {
      content: 'First you',
      extra_content: {
        google: { safety_ratings: readAnswer('safety').candidates[0].safetyRatings },
      },
    },
    beside: { native_finish_reason: 'SAFETY' },
  },
  blocked: {
    reason: 'content_filter',
    message: { content: null, refusal: 'blocked: PROHIBITED_CONTENT' },
    beside: { native_finish_reason: 'PROHIBITED_CONTENT' },
    usage: [7, 0, 0],
  },
  schema: { reason: 'stop', message: { content: '{"name":"Ada","born":1815}' } },
  grounding: {
    reason: 'stop',
    message: {
      content: bridge,
      annotations: [
        cited('https://example.com/koeln', 'Köln', 0, 28),
        cited('https://example.com/koeln', 'Köln', 29, 41),
        cited('https://example.com/alt', undefined, 29, 41),
      ],
      extra_content: {
        google: {
          web_search_queries: ['brücke köln'],
          search_entry_point: { renderedContent: '<div>…</div>' },
        },
      },
    },
  },
  code: {
    reason: 'stop',
    message: {
      content: 'Let me compute. It is 42.',
      extra_content: {
        google: { parts: readAnswer('code').candidates[0].content.parts.slice(1, 3) },
      },
    },
  },
  image: {
    reason: 'stop',
    message: { content: 'Here: ', images: [picture(0, 'SW1hZ2VTaWc='), picture(1)] },
  },
  speech: {
    reason: 'stop',
    message: {
      content: '',
      audio: {
        id: 'audio_Rspeech01',
        data: expect.stringMatching(/^UklGR/),
        expires_at: expect.any(Number),
        transcript: '',
      },
    },
  },
  logprobs: {
    reason: 'stop',
    message: { content: 'Yes, ø' },
    logprobs: {
      content: [
        { ...token('Yes', -0.1), top_logprobs: [token('Yes', -0.1), token('no', -4.5)] },
        { ...token(', ø', -0.3), top_logprobs: [token(', ø', -0.3), token('no', -4.5)] },
      ],
      refusal: null,
    },
  },
  unknown: { reason: 'stop', message: { content: 'Fine.' } },
  citations: {
    reason: 'stop',
    message: {
      content: 'To be, or not to be',
      extra_content: {
        google: { citation_metadata: readAnswer('citations').candidates[0].citationMetadata },
      },
    },
  },
}

test('every recorded behaviour is looked at', () => {
  expect(behaviours().toSorted()).toEqual([...Object.keys(expected), 'malformed-call'].toSorted())
})

describe.each(Object.entries(expected))(
  '%s',
  (name, { reason, message, beside, usage, logprobs }) => {
    test('whole', async () => {
      const { id, model, choices, usage: counts, ...rest } = await whole(name)
      expect(choices).toEqual([
        {
          index: 0,
          message: { role: 'assistant', refusal: null, ...message },
          logprobs: logprobs ?? null,
          finish_reason: reason,
          ...beside,
        },
      ])
      expect(id).toBe(`chatcmpl-${readAnswer(name).responseId}`)
      expect(model).toBe(readAnswer(name).modelVersion)
      expect(rest.object).toBe('chat.completion')
      if (usage) {
        const [prompt, completion, reasoning] = usage
        expect(counts).toMatchObject({
          prompt_tokens: prompt,
          completion_tokens: completion,
          total_tokens: prompt + completion,
          completion_tokens_details: { reasoning_tokens: reasoning },
        })
      }
    })

    test.each(['whole', 'line', 'byte'] as const)('streamed, cut by %s', async (cut) => {
      const { id, model, choices, usage: counts } = await whole(name)
      play(rig.upstream, name, cut)
      const { status, text } = await rig.ask(streamed)
      expect(status).toBe(200)
      expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
      const answer = assemble(chunksOf(text))
      // Ids that the vendor does not give are made up anew each time.
      const same = (answers: any): any =>
        JSON.parse(
          JSON.stringify(answers)
            .replace(/"call_[0-9A-Z]{26}"/g, '"made"')
            .replace(/"expires_at":\d+/g, '"expires_at":0'),
        )
      expect(same(answer)).toEqual(same({ id, model, choices, usage: counts }))
    })
  },
)

test('usage tells what was cached, and what was neither read nor written as text', async () => {
  const { usage } = await whole('cache-usage')
  expect(usage).toMatchObject({
    prompt_tokens: 2058,
    completion_tokens: 7,
    prompt_tokens_details: { cached_tokens: 2000, audio_tokens: 32, image_tokens: 516 },
  })
  const drawn = await whole('image')
  expect(drawn.usage.completion_tokens_details).toMatchObject({ image_tokens: 1288 })
})

test('texts that clients join are said once', async () => {
  play(rig.upstream, 'thinking', 'whole')
  const { text } = await rig.ask(streamed)
  const details = chunksOf(text).flatMap(({ choices }) =>
    choices.flatMap(({ delta }: any) => delta.reasoning_details ?? []),
  )
  expect(details.map((detail: any) => detail.format)).toEqual([format, undefined, format])
  expect(details.map((detail: any) => detail.index)).toEqual([0, 0, 1])
})

describe('speech', () => {
  const samples = Buffer.from(Array.from({ length: 12 }, (_, at) => at))

  test('is a WAV file of what was spoken', async () => {
    const { data } = (await whole('speech')).choices[0].message.audio
    const file = Buffer.from(data, 'base64')
    expect(file.toString('latin1', 0, 4)).toBe('RIFF')
    expect(file.readUInt32LE(4)).toBe(file.length - 8)
    expect(file.toString('latin1', 8, 16)).toBe('WAVEfmt ')
    expect(file.readUInt32LE(24)).toBe(24_000)
    expect(file.readUInt32LE(28)).toBe(48_000)
    expect([file.readUInt16LE(20), file.readUInt16LE(22), file.readUInt16LE(34)]).toEqual([
      1, 1, 16,
    ])
    expect(file.readUInt32LE(40)).toBe(samples.length)
    expect(file.subarray(44)).toEqual(samples)
  })

  test('is bare samples for who asks for them', async () => {
    rig.upstream.reply({ json: readAnswer('speech') })
    const audio = { voice: 'Kore', format: 'pcm16' }
    const { json } = await rig.ask({ modalities: ['text', 'audio'], audio })
    expect(json.choices[0].message.audio.data).toBe(samples.toString('base64'))
  })
})

test('a caller who wants one call at a time gets the first', async () => {
  rig.upstream.reply({ json: readAnswer('parallel-tools') })
  const { json } = await rig.ask({ parallel_tool_calls: false })
  expect(json.choices[0].message.tool_calls).toEqual([weather[0]])
  expect(json.choices[0].finish_reason).toBe('tool_calls')
})

test('numbers of arguments keep their digits', async () => {
  const parts = '[{"functionCall":{"id":"c","name":"f","args":{"n":12345678901234567890}}}]'
  const text = `{"candidates":[{"content":{"parts":${parts}},"finishReason":"STOP"}]}`
  const headers = { 'content-type': 'application/json' }
  rig.upstream.reply({ text, headers })
  const { json } = await rig.ask({})
  expect(json.choices[0].message.tool_calls[0].function.arguments).toBe(
    '{"n":12345678901234567890}',
  )
  rig.upstream.reply({ sse: [text] })
  const answer = await rig.ask(streamed)
  expect(answer.text).toContain('{\\"n\\":12345678901234567890}')
  const { message } = json.choices[0]
  const result = { role: 'tool', tool_call_id: 'c', content: 'x' }
  await rig.ask({ messages: [question, message, result] })
  expect(rig.upstream.requests.at(-1)!.text()).toContain('{"n":12345678901234567890}')
})

describe('an answer that is none', () => {
  test.each(['whole', 'stream'])('for a call the model got wrong: %s', async (form) => {
    if (form === 'whole') rig.upstream.reply({ json: readAnswer('malformed-call') })
    else play(rig.upstream, 'malformed-call', 'whole')
    const { status, json } = await rig.ask(form === 'whole' ? {} : streamed)
    expect(status).toBe(502)
    expect(json.error.message).toContain('Malformed function call')
    expect(json.error.code).toBe('provider_error')
  })

  test.each([
    ['nothing', {}],
    ['a list of nothing', []],
    ['no candidate', { candidates: [], usageMetadata: {} }],
    ['a candidate without a reason', { candidates: [{ content: { parts: [{ text: 'x' }] } }] }],
    ['odd shapes', { candidates: [null, 7, { content: 'x', index: 'a' }], usageMetadata: [1] }],
    ['text', 'hello'],
  ])('%s is a failure of the provider', async (_, json) => {
    rig.upstream.reply({ json })
    const { status, json: answer } = await rig.ask({})
    expect(status).toBe(502)
    expect(answer.error.type).toBe('api_error')
  })

  test.each([
    ['parts', { parts: [null, 'x', 7, { text: 5 }, { functionCall: 'f' }, { inlineData: [] }] }],
    ['a call without a name', { parts: [{ functionCall: { args: 'x' } }] }],
    ['no parts', { parts: 'none' }],
    ['no content', null],
  ])('odd %s do not break the gateway', async (_, content) => {
    const candidate = { content, finishReason: 'NOVEL', groundingMetadata: { groundingChunks: 7 } }
    rig.upstream.reply({ json: { candidates: [candidate] } })
    expect((await rig.ask({})).status).toBe(200)
    rig.upstream.reply({ sse: [JSON.stringify({ candidates: [candidate] })] })
    expect((await rig.ask(streamed)).status).toBe(200)
  })
})

describe('a failing stream', () => {
  test('that begins with the error has its status', async () => {
    play(rig.upstream, 'error-first', 'byte')
    const { status, json } = await rig.ask(streamed)
    expect(status).toBe(503)
    expect(json.error).toMatchObject({ code: 'overloaded', status: 'UNAVAILABLE' })
  })

  test.each(['whole', 'line', 'byte'] as const)(
    'that fails inside ends with it, by %s',
    async (cut) => {
      // The caller must have begun to read before the error comes, or it is a status.
      const bytes = readFixture('error-inside.sse')
      const mark = bytes.indexOf('data: [')
      const got = Promise.withResolvers<void>()
      rig.upstream.reply({
        headers: { 'content-type': 'text/event-stream' },
        chunks: [bytes.slice(0, mark), ...playback(bytes.slice(mark), cut)],
        gate: [undefined, got.promise],
      })
      const response = await fetch(`${rig.url}/openai/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({
          model: 'gemini/x',
          messages: [{ role: 'user', content: 'hi' }],
          ...streamed,
        }),
      })
      expect(response.status).toBe(200)
      got.resolve()
      const text = await response.text()
      expect(text).toContain('"content":" upon"')
      expect(text).toContain('The model is overloaded')
      expect(text).not.toContain('"finish_reason":"stop"')
    },
  )

  test.each(['whole', 'line', 'byte'] as const)(
    'that ends too early is an error, by %s',
    async (cut) => {
      play(rig.upstream, 'truncated', cut)
      const { text } = await rig.ask(streamed)
      expect(text).toContain('"error"')
      expect(text).toContain('upstream_truncated')
      expect(text).not.toContain('"finish_reason":"stop"')
    },
  )
})
