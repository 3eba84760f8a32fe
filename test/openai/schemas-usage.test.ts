import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { mirrorAt, mirrorCachedTokens } from '#openai/mirror.ts'
import { readUsage, type Usage } from '#openai/usage.ts'

const nothing: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  totalTokens: 0,
  cachedTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  audioInputTokens: 0,
  audioOutputTokens: 0,
  imageInputTokens: 0,
  imageOutputTokens: 0,
  acceptedPredictionTokens: 0,
  rejectedPredictionTokens: 0,
  audioSeconds: undefined,
  costUsd: undefined,
}

const chat = {
  prompt_tokens: 100,
  completion_tokens: 20,
  total_tokens: 120,
  prompt_tokens_details: {
    cached_tokens: 60,
    cache_write_tokens: 5,
    audio_tokens: 3,
    image_tokens: 4,
  },
  completion_tokens_details: {
    reasoning_tokens: 7,
    audio_tokens: 2,
    accepted_prediction_tokens: 1,
    rejected_prediction_tokens: 9,
  },
}

describe('readUsage', () => {
  test.each<[string, unknown, Partial<Usage>]>([
    [
      'chat',
      chat,
      {
        inputTokens: 100,
        outputTokens: 20,
        totalTokens: 120,
        cachedTokens: 60,
        cacheWriteTokens: 5,
        audioInputTokens: 3,
        imageInputTokens: 4,
        reasoningTokens: 7,
        audioOutputTokens: 2,
        acceptedPredictionTokens: 1,
        rejectedPredictionTokens: 9,
      },
    ],
    [
      'responses',
      {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 3 },
        total_tokens: 15,
      },
      { inputTokens: 10, outputTokens: 5, totalTokens: 15, cachedTokens: 4, reasoningTokens: 3 },
    ],
    [
      'the names of Bifrost',
      {
        prompt_tokens: 9,
        prompt_tokens_details: { cached_read_tokens: 2, cached_write_tokens: 3 },
      },
      { inputTokens: 9, totalTokens: 9, cachedTokens: 2, cacheWriteTokens: 3 },
    ],
    ['embeddings', { prompt_tokens: 8, total_tokens: 8 }, { inputTokens: 8, totalTokens: 8 }],
    [
      'images',
      {
        input_tokens: 9,
        output_tokens: 1000,
        input_tokens_details: { image_tokens: 5 },
        output_tokens_details: { image_tokens: 1000 },
      },
      {
        inputTokens: 9,
        outputTokens: 1000,
        totalTokens: 1009,
        imageInputTokens: 5,
        imageOutputTokens: 1000,
      },
    ],
    [
      'transcription by tokens',
      {
        type: 'tokens',
        input_tokens: 9,
        output_tokens: 1,
        total_tokens: 10,
        input_token_details: { audio_tokens: 8 },
      },
      { inputTokens: 9, outputTokens: 1, totalTokens: 10, audioInputTokens: 8 },
    ],
    ['transcription by length', { type: 'duration', seconds: 2.5 }, { audioSeconds: 2.5 }],
    ['a total alone', { total_tokens: 8 }, { inputTokens: 8, totalTokens: 8 }],
    [
      'a total and one part',
      { total_tokens: 8, completion_tokens: 3 },
      { inputTokens: 5, outputTokens: 3, totalTokens: 8 },
    ],
    [
      'cache hits on the top level',
      { prompt_tokens: 9, prompt_cache_hit_tokens: 4 },
      { inputTokens: 9, totalTokens: 9, cachedTokens: 4 },
    ],
    ['zeros', { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }, {}],
    [
      'a price',
      { prompt_tokens: 1, cost: 0.25 },
      { inputTokens: 1, totalTokens: 1, costUsd: 0.25 },
    ],
    ['a price in parts', { cost: { input_tokens_cost: 1, total_cost: 2 } }, { costUsd: 2 }],
    [
      'null details',
      { prompt_tokens: 1, prompt_tokens_details: null },
      { inputTokens: 1, totalTokens: 1 },
    ],
    [
      'one impossible count among good ones',
      {
        prompt_tokens: 5,
        completion_tokens: -1,
        total_tokens: Number.NaN,
        prompt_tokens_details: { cached_tokens: 1.5 },
        cost: -3,
      },
      { inputTokens: 5, totalTokens: 5 },
    ],
  ])('%s', (_, usage, expected) => {
    expect(readUsage(usage)).toEqual({ ...nothing, ...expected })
  })

  test.each([
    [undefined],
    [null],
    [5],
    ['prompt_tokens'],
    [[]],
    [{}],
    [{ prompt_tokens: -1 }],
    [{ prompt_tokens: Number.NaN, total_tokens: Infinity }],
    [{ prompt_tokens: '5' }],
    [{ prompt_tokens: 2 ** 60 }],
    [{ prompt_tokens_details: { cached_tokens: 5 } }],
    [{ seconds: 5 }],
  ])('says nothing: %j', (usage) => {
    expect(readUsage(usage)).toBeUndefined()
  })

  test('never throws and never counts below zero', () => {
    const value = fc.oneof(fc.double(), fc.integer(), fc.jsonValue(), fc.constant(undefined))
    const details = fc.oneof(value, fc.record({ cached_tokens: value, audio_tokens: value }))
    const usage = fc.record({
      prompt_tokens: value,
      input_tokens: value,
      output_tokens: value,
      total_tokens: value,
      prompt_tokens_details: details,
      output_tokens_details: details,
      cost: value,
    })
    fc.assert(
      fc.property(usage, (given) => {
        for (const number of Object.values(readUsage(given) ?? {})) {
          if (number !== undefined) expect(number).toBeGreaterThanOrEqual(0)
        }
      }),
    )
  })
})

describe('mirrorCachedTokens', () => {
  test.each([
    [
      '{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"x":1}',
      '{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4,"cached_read_tokens":4,"audio_tokens":0},"x":1}',
    ],
    [
      '{"input_tokens_details":{"cache_write_tokens":12,"cached_tokens":0}}',
      '{"input_tokens_details":{"cache_write_tokens":12,"cached_write_tokens":12,"cached_tokens":0,"cached_read_tokens":0}}',
    ],
    [
      '{"prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":23,"z":0}}',
      '{"prompt_tokens_details":{"cached_tokens":1,"cached_read_tokens":1,"cache_write_tokens":23,"cached_write_tokens":23,"z":0}}',
    ],
    [
      '{\n  "prompt_tokens_details" : {\n    "cached_tokens" : 4\n  }\n}',
      '{\n  "prompt_tokens_details" : {\n    "cached_tokens" : 4,"cached_read_tokens":4\n  }\n}',
    ],
    [
      '{"prompt_tokens_details":{"cached_tokens":1},"input_tokens_details":{"cached_tokens":2}}',
      '{"prompt_tokens_details":{"cached_tokens":1,"cached_read_tokens":1},"input_tokens_details":{"cached_tokens":2,"cached_read_tokens":2}}',
    ],
    [
      '{"note":"prompt_tokens_details","prompt_tokens_details":{"n":"}\\"","d":{"cached_tokens":9},"cached_tokens":4}}',
      '{"note":"prompt_tokens_details","prompt_tokens_details":{"n":"}\\"","d":{"cached_tokens":9},"cached_tokens":4,"cached_read_tokens":4}}',
    ],
    [
      '{"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5,"cached_read_tokens":3}}',
      '{"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5,"cached_write_tokens":5,"cached_read_tokens":3}}',
    ],
  ])('%s', (text, expected) => {
    expect(mirrorCachedTokens(text)).toBe(expected)
    expect(mirrorCachedTokens(expected)).toBe(expected)
  })

  test.each([
    '{"prompt_tokens":9}',
    '{"cached_tokens":4}',
    '{"completion_tokens_details":{"cached_tokens":4}}',
    '{"prompt_tokens_details":{"cached_tokens":4,"cached_read_tokens":3}}',
    '{"prompt_tokens_details":{"cached_tokens":null}}',
    '{"prompt_tokens_details":{"cached_tokens":1.5}}',
    '{"prompt_tokens_details":{"cached_tokens":-1}}',
    '{"prompt_tokens_details":{"cached_tokens":1e3}}',
    '{"prompt_tokens_details":{"cached_tokens":"4"}}',
    '{"prompt_tokens_details":{"deeper":{"cached_tokens":4}}}',
    '{"prompt_tokens_details":null,"x":{"cached_tokens":4}}',
    '{"note":"\\"prompt_tokens_details\\":{\\"cached_tokens\\":4}"}',
    '{"note\\"prompt_tokens_details":{"cached_tokens":4}}',
    '{"prompt_tokens_details":{"cached_tokens":4',
    '{"prompt_tokens_details":{"cached_tokens":',
    '{"prompt_tokens_details":{"cached_tokens',
    '{"prompt_tokens_details":{"a":"cached_tokens"}}',
    'null',
    '',
  ])('leaves alone: %s', (text) => {
    expect(mirrorCachedTokens(text)).toBe(text)
  })

  test('adds the two names to any usage and changes nothing else', () => {
    const name = fc.constantFrom(
      'cached_tokens',
      'cache_write_tokens',
      'cached_read_tokens',
      'a',
      '}"{',
    )
    const value = fc.oneof(fc.nat(), fc.jsonValue({ maxDepth: 2 }))
    const details = fc.oneof(fc.dictionary(name, value), fc.jsonValue({ maxDepth: 1 }))
    const key = fc.constantFrom('prompt_tokens_details', 'input_tokens_details')
    const usage = fc.tuple(fc.dictionary(fc.string(), value), key, details)
    const indent = fc.constantFrom(undefined, 1, '\t')
    fc.assert(
      fc.property(usage, indent, ([around, where, inside], space) => {
        const given = { ...around, [where]: inside }
        const wanted = { ...given, [where]: withMirrors(inside) }
        const text = JSON.stringify(given, null, space)
        const mirrored = mirrorCachedTokens(text)
        expect(JSON.parse(mirrored)).toEqual(JSON.parse(JSON.stringify(wanted)))
        const cached = (inside as { cached_tokens?: unknown } | null)?.cached_tokens
        const found = mirrorAt(text, cached)
        if (found) expect(withCopy(text, found)).toBe(mirrored)
      }),
      { numRuns: 500 },
    )
  })
})

const withCopy = (text: string, { at, copy }: { at: number; copy: string }): string =>
  text.slice(0, at) + copy + text.slice(at)

describe('mirrorAt', () => {
  const answer = (details: string): string =>
    `{"choices":[{"message":{"content":"say \\"cached_tokens\\":4"}}],"usage":{"prompt_tokens_details":${details}}}`

  test.each([
    ['{"cached_tokens":4}', '{"cached_tokens":4,"cached_read_tokens":4}'],
    ['{\n  "cached_tokens" : 4\n}', '{\n  "cached_tokens" : 4,"cached_read_tokens":4\n}'],
    [
      '{"audio_tokens":4,"cached_tokens":4}',
      '{"audio_tokens":4,"cached_tokens":4,"cached_read_tokens":4}',
    ],
  ])('knows at once what %s comes to', (details, expected) => {
    const text = answer(details)
    expect(withCopy(text, mirrorAt(text, 4)!)).toBe(answer(expected))
  })

  test.each([
    ['two of them', '{"cached_tokens":4,"d":{"cached_tokens":4}}'],
    ['a longer name', '{"not\\"cached_tokens":4}'],
    ['another count', '{"cached_tokens":40}'],
    ['no whole count', '{"cached_tokens":4e0}'],
    ['a name that is there', '{"cached_tokens":4,"cached_read_tokens":3}'],
    ['something to mirror besides', '{"cached_tokens":4,"cache_write_tokens":3}'],
    ['a value of that name', '{"a":"cached_tokens","b":4}'],
  ])('says nothing of %s', (_, details) => {
    expect(mirrorAt(answer(details), 4)).toBeUndefined()
  })
})

function withMirrors(details: unknown): unknown {
  if (typeof details !== 'object' || details === null || Array.isArray(details)) return details
  const fields = details as Readonly<Record<string, unknown>>
  const mirror = (from: string, to: string) => {
    const text = JSON.stringify(fields[from])
    return text !== undefined && /^\d+$/.test(text) && !(to in fields) ? { [to]: fields[from] } : {}
  }
  return {
    ...fields,
    ...mirror('cached_tokens', 'cached_read_tokens'),
    ...mirror('cache_write_tokens', 'cached_write_tokens'),
  }
}
