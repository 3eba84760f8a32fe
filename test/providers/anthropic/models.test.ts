import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { classOf } from '#providers/anthropic/models.ts'

import { chunksOf, type Rig, startRig } from './rig.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

// prettier-ignore
const expected: Readonly<Record<string, string>> = {
  // thinking, sampling, forced tools, prefill, structured, later system, ceiling
  'claude-3-haiku-20240307':                          'none sampling forced prefill 4096',
  'claude-3-5-sonnet-20241022':                       'none sampling forced prefill 8192',
  'claude-3-7-sonnet-20250219':                       'budget sampling forced prefill 64000',
  'claude-3.7-sonnet':                                'budget sampling forced prefill 64000',
  'claude-opus-4-20250514':                           'budget sampling forced prefill 32000',
  'claude-opus-4-1':                                  'budget sampling forced prefill 32000',
  'claude-opus-4-1-20250805':                         'budget sampling forced prefill 32000',
  'claude-sonnet-4-0':                                'budget sampling forced prefill 64000',
  'claude-sonnet-4@20250514':                         'budget sampling forced prefill 64000',
  'claude-sonnet-4-5':                                'budget sampling forced prefill structured 64000',
  'claude-haiku-4-5-20251001':                        'budget sampling forced prefill structured 64000',
  'us.anthropic.claude-sonnet-4-5-20250929-v1:0':     'budget sampling forced prefill structured 64000',
  'claude-opus-4-6':                                  'optional sampling forced structured 128000',
  'claude-opus-4-7':                                  'optional forced structured 128000',
  'claude-opus-4-8':                                  'optional forced structured later 128000',
  'claude-opus-5':                                    'optional forced structured later 128000',
  'claude-sonnet-5-20260801':                         'optional forced structured later 128000',
  'claude-haiku-5-5':                                 'optional forced structured later 128000',
  'claude-opus-5-5':                                  'always structured later 128000',
  'global.anthropic.claude-opus-5-5-v1:0':            'always structured later 128000',
  'claude-sonnet-5-5@20260901':                       'always structured later 128000',
  'claude-fable-5-2':                                 'always structured later 128000',
  // What is not known is asked for nothing that a newer model refuses.
  'claude-opus-4-9':                                  'always structured 128000',
  'claude-opus-6':                                    'always structured 128000',
  'claude-sonnet-50':                                 'always structured 128000',
  'my-deployment':                                    'always structured 128000',
}

describe('the table', () => {
  for (const [model, words] of Object.entries(expected)) {
    test(model, () => {
      const is = classOf(model)
      const said = [
        is.thinking,
        is.sampling && 'sampling',
        is.forcedTools && 'forced',
        is.prefill && 'prefill',
        is.structured && 'structured',
        is.laterSystem && 'later',
        is.ceilingTokens,
      ]
      expect(said.filter(Boolean).join(' ')).toBe(words)
    })
  }
})

// prettier-ignore
const efforts: readonly (readonly [model: string, effort: string, sent: object])[] = [
  ['claude-haiku-4-5', 'none', { max_tokens: 16_384 }],
  ['claude-haiku-4-5', 'minimal', { max_tokens: 17_664, thinking: { type: 'enabled', budget_tokens: 1280 } }],
  ['claude-haiku-4-5', 'medium', { max_tokens: 35_584, thinking: { type: 'enabled', budget_tokens: 19_200 }, stream: true }],
  ['claude-haiku-4-5', 'max', { max_tokens: 64_000, thinking: { type: 'enabled', budget_tokens: 47_616 }, stream: true }],
  ['claude-opus-4-6', 'none', { max_tokens: 16_384, thinking: { type: 'disabled' } }],
  ['claude-opus-4-6', 'low', { max_tokens: 16_384, thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'low' } }],
  ['claude-opus-4-6', 'xhigh', { max_tokens: 32_768, thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'max' }, stream: true }],
  ['claude-opus-4-8', 'xhigh', { max_tokens: 32_768, thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'xhigh' }, stream: true }],
  ['claude-opus-5-5', 'minimal', { max_tokens: 16_384, thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'low' } }],
  ['claude-opus-5-5', 'none', { max_tokens: 16_384, output_config: { effort: 'low' } }],
  ['claude-sonnet-5-5', 'none', { max_tokens: 16_384, thinking: { type: 'between_tools' } }],
  ['claude-sonnet-5-5', 'low', { max_tokens: 16_384, thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'low' } }],
  ['claude-opus-9', 'high', { max_tokens: 4096, thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'high' } }],
]

test('a budget is below the limit, and never smaller than the vendor takes', async () => {
  const some = fc.option(fc.integer({ min: 1, max: 200_000 }), { nil: undefined })
  const request = fc.record({
    model: fc.constantFrom('claude-haiku-4-5', 'claude-opus-4-1', 'claude-3-7-sonnet'),
    max_completion_tokens: some,
    reasoning_max_tokens: some,
    reasoning_effort: fc.constantFrom(undefined, 'minimal', 'low', 'high', 'max'),
  })
  await fc.assert(
    fc.asyncProperty(request, async (asked) => {
      const { max_tokens: limit, thinking } = (await rig.sent(asked)).json()
      expect(limit).toBeGreaterThanOrEqual(asked.max_completion_tokens ?? 1)
      if (!thinking) return
      expect(thinking.budget_tokens).toBeWithin(1024, limit)
    }),
    { numRuns: 100 },
  )
})

test('what is cached is counted as such, whole and streamed', async () => {
  const marked = (text: string) => [{ type: 'text', text, cache_control: { type: 'ephemeral' } }]
  const messages = [
    { role: 'system', content: marked('x'.repeat(400)) },
    { role: 'user', content: marked('y'.repeat(800)) },
    { role: 'user', content: 'And now?' },
  ]
  const whole = await rig.ask({ messages })
  const { usage } = whole.json
  expect(usage.prompt_tokens_details).toMatchObject({ cached_tokens: 107, cache_write_tokens: 207 })
  expect(usage.prompt_tokens).toBe(107 + 207 + 9)
  const stream = await rig.ask({ messages, stream: true, stream_options: { include_usage: true } })
  expect(chunksOf(stream.text).at(-1).usage).toEqual(usage)
})

describe('effort', () => {
  for (const [model, effort, wanted] of efforts) {
    test(`${effort} for ${model}`, async () => {
      const sent = await rig.sent({ model, reasoning_effort: effort })
      const { model: _, messages: __, ...rest } = sent.json()
      expect(rest).toEqual(wanted)
    })
  }

  test('a summary alone shows what a model thinks that thinks anyway', async () => {
    const sent = await rig.sent({ model: 'claude-opus-5-5', reasoning: { summary: 'auto' } })
    expect(sent.json().thinking).toEqual({ type: 'adaptive', display: 'summarized' })
  })

  test('a number of tokens is a budget where there are budgets, and declared where not', async () => {
    const request = { reasoning: { max_tokens: 3000 }, max_tokens: 2000 }
    const sent = await rig.sent({ model: 'claude-haiku-4-5', ...request })
    expect(sent.json()).toMatchObject({ max_tokens: 5000, thinking: { budget_tokens: 3000 } })
    const { dropped } = await rig.ask({ model: 'claude-opus-4-8', ...request })
    expect(dropped).toEqual(['reasoning.max_tokens'])
  })
})

test('the list of models has the windows of the models', async () => {
  const response = await fetch(`${rig.url}/openai/v1/models`)
  const { data } = (await response.json()) as { data: any[] }
  expect(data.find(({ id }) => id === 'anthropic/tools')).toMatchObject({
    object: 'model',
    created: 1_767_225_600,
    owned_by: 'anthropic',
    display_name: 'Mock tools',
    context_window: 200_000,
    max_output_tokens: 64_000,
  })
})

test('one model is asked for by its name', async () => {
  rig.upstream.clear()
  rig.upstream.reply({
    json: { type: 'model', id: 'claude-opus-5-5', created_at: '2026-07-01T00:00:00Z' },
  })
  const response = await fetch(`${rig.url}/openai/v1/models/anthropic%2Fclaude-opus-5-5`)
  expect(await response.json()).toMatchObject({ object: 'model', created: 1_782_864_000 })
  expect(rig.upstream.requests[0]!.path).toBe('/v1/models/claude-opus-5-5')
  expect(rig.upstream.requests[0]!.headers.get('anthropic-version')).toBe('2023-06-01')
})

test('tokens are counted by the vendor', async () => {
  rig.upstream.clear()
  const response = await fetch(`${rig.url}/openai/v1/responses/input_tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'anthropic/claude-haiku-4-5',
      input: 'How long is this?',
      instructions: 'Be brief.',
    }),
  })
  expect(await response.json()).toMatchObject({ object: 'response.input_tokens', input_tokens: 20 })
  const [sent] = rig.upstream.requests
  expect(sent!.path).toBe('/v1/messages/count_tokens')
  expect(Object.keys(sent!.json())).toEqual(['model', 'system', 'messages'])
})
