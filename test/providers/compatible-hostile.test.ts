import { afterAll, beforeAll, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { VENDORS } from '#providers/vendors.ts'

import { startFamily } from './compatible-rig.ts'
import type { FamilyRig } from './compatible-rig.ts'
import { post } from './play.ts'

// Whatever a caller writes goes out as valid JSON or is refused with a 400, and whatever a vendor answers is no fault
// of ours.

let rig: FamilyRig
beforeAll(async () => {
  rig = await startFamily()
})
afterAll(() => rig[Symbol.asyncDispose]())

const anything = fc.jsonValue({ maxDepth: 3 })
const words = fc.constantFrom('', 'a', 'é\n"\\', '{}', '\u0000', '🌈')
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 4, arbitrary: value }, anything)

const call = fc.record(
  {
    id: maybe(fc.constantFrom('call_1', 'Abc123xyz', '')),
    type: fc.constantFrom('function', 'custom'),
    function: fc.record({ name: words, arguments: maybe(words) }),
    extra_content: anything,
  },
  { requiredKeys: [] },
)
const part = fc.oneof(
  fc.record({ type: fc.constant('text'), text: words }),
  fc.record({ type: fc.constant('file'), file: fc.dictionary(words, words) }),
  fc.record({
    type: fc.constantFrom('input_audio', 'image_url', 'thinking'),
    input_audio: anything,
  }),
)
const message = fc.record(
  {
    role: fc.constantFrom(
      'system',
      'developer',
      'user',
      'assistant',
      'tool',
      'function',
      'toString',
    ),
    content: fc.oneof(words, fc.constant(null), fc.array(part, { maxLength: 3 })),
    name: words,
    refusal: fc.oneof(words, fc.constant(null)),
    reasoning: fc.oneof(words, fc.constant(null)),
    reasoning_content: words,
    reasoning_details: fc.array(
      fc.record({ type: words, text: anything, signature: anything, data: words }) as any,
      { maxLength: 2 },
    ),
    annotations: anything,
    tool_calls: fc.array(call, { maxLength: 3 }),
    tool_call_id: fc.constantFrom('call_1', 'x'),
    function_call: fc.dictionary(words, words),
    audio: fc.dictionary(words, words),
  },
  { requiredKeys: ['role'] },
)
const request = fc.record(
  {
    messages: fc.array(message, { maxLength: 4 }),
    tools: fc.array(
      fc.record({ type: fc.constant('function'), function: fc.record({ name: words }) }),
      { maxLength: 2 },
    ),
    functions: fc.array(fc.record({ name: words }), { maxLength: 2 }),
    tool_choice: fc.oneof(
      fc.constantFrom('auto', 'required', 'none'),
      fc.record({
        type: fc.constant('allowed_tools'),
        allowed_tools: fc.dictionary(words, anything),
      }),
      fc.record({ type: fc.constant('allowed_tools'), tools: fc.dictionary(words, anything) }),
    ),
    function_call: fc.oneof(words, fc.record({ name: words })),
    reasoning: fc.record({ effort: maybe(words), max_tokens: fc.nat() }, { requiredKeys: [] }),
    reasoning_effort: fc.constantFrom('none', 'minimal', 'xhigh', '__proto__', 'toString'),
    response_format: fc.record({
      type: fc.constantFrom('json_schema', 'json_object', 'text'),
      json_schema: fc.dictionary(fc.constantFrom('schema', 'name'), anything),
    }),
    stream_options: fc.record(
      { include_usage: fc.boolean(), include_obfuscation: fc.boolean(), x: anything },
      { requiredKeys: [] },
    ),
    extra_params: fc.dictionary(
      fc.constantFrom('a', 'reasoning', 'stream_options', 'tools'),
      anything,
    ),
    temperature: fc.constantFrom(0, 1, 0.5),
    max_tokens: fc.nat(),
    max_completion_tokens: fc.nat(),
    n: fc.constantFrom(1, 2),
    stream: fc.constant(false),
  },
  { requiredKeys: ['messages'] },
)

const models: Record<string, readonly string[]> = {
  openai: ['gpt-5', 'gpt-4.1', 'gpt-4o-search-preview'],
  mistral: ['magistral-medium-latest', 'mistral-large-latest'],
  deepseek: ['deepseek-v4-pro', 'deepseek-chat'],
  groq: ['qwen/qwen3-32b', 'openai/gpt-oss-20b'],
  cerebras: ['zai-glm-4.7', 'gpt-oss-120b'],
}
const targets = VENDORS.filter(
  ({ byResponses, name }) => !byResponses || name === 'openai',
).flatMap(({ name }) => (models[name] ?? ['m']).map((model) => `${name}/${model}`))

test('any request goes out whole, or not at all', async () => {
  const passthrough = { 'x-bf-passthrough-extra-params': 'true' }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...targets),
      request,
      fc.boolean(),
      fc.constantFrom(undefined, ' ', '\n\t'),
      async (model, body, passes, space) => {
        const text = JSON.stringify({ ...body, model }, null, space)
        const { status, body: sent } = await rig.sent(text, passes ? { headers: passthrough } : {})
        expect([200, 400]).toContain(status)
        if (status === 400) expect(sent).toBeUndefined()
        else {
          const parsed = JSON.parse(sent!)
          expect(parsed.extra_params).toBeUndefined()
          const keys = [...sent!.matchAll(/"(?:messages|model|tools|tool_choice)"\s*:/g)].length
          expect(keys).toBeGreaterThan(1)
        }
      },
    ),
    { numRuns: 1500 },
  )
}, 60_000)

const odd = fc.oneof(anything, fc.constantFrom('', null, 0, [], {}))
const answerCall = fc.record(
  {
    index: fc.oneof(fc.nat(3), fc.constantFrom(-1, 1.5, null, 1e9)),
    id: odd,
    type: odd,
    function: fc.oneof(odd, fc.record({ name: odd, arguments: odd }, { requiredKeys: [] })),
  },
  { requiredKeys: [] },
)
const said = fc.record(
  {
    role: odd,
    content: fc.oneof(
      odd,
      fc.array(
        fc.record({ type: fc.constantFrom('thinking', 'text', 'x'), text: odd, thinking: odd }),
      ),
    ),
    tool_calls: fc.oneof(odd, fc.array(answerCall, { maxLength: 3 })),
    function_call: odd,
    reasoning: odd,
  },
  { requiredKeys: [] },
)
const choice = fc.oneof(
  odd,
  fc.record(
    {
      index: fc.oneof(fc.nat(2), odd),
      delta: fc.oneof(odd, said),
      message: fc.oneof(odd, said),
      finish_reason: fc.oneof(
        odd,
        fc.constantFrom('stop', 'eos', 'error', 'toString', 'model_length'),
      ),
      logprobs: fc.oneof(odd, fc.record({ tokens: odd, token_logprobs: odd, top_logprobs: odd })),
    },
    { requiredKeys: [] },
  ),
)
const answer = fc.record(
  {
    id: odd,
    object: fc.oneof(odd, fc.constantFrom('error', 'chat.completion.chunk')),
    created: odd,
    model: odd,
    choices: fc.oneof(odd, fc.array(choice, { maxLength: 2 })),
    usage: fc.oneof(
      odd,
      fc.record({ prompt_tokens: odd, completion_tokens: odd, completion_tokens_details: odd }),
    ),
    x_groq: fc.oneof(odd, fc.record({ usage: odd, error: odd }, { requiredKeys: [] })),
    message: odd,
  },
  { requiredKeys: [] },
)

test('any answer is read without a fault of ours', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...targets),
      fc.array(answer, { maxLength: 4 }),
      fc.boolean(),
      async (model, answers, streams) => {
        rig.upstream.clear()
        const events = answers.map((value) => JSON.stringify(value))
        rig.upstream.reply(streams ? { sse: [...events, '[DONE]'] } : { json: answers[0] ?? {} })
        const response = await post(rig.gateway.url, '/chat/completions', {
          model,
          messages: [{ role: 'user', content: 'x' }],
          stream: streams,
        })
        const text = await response.text()
        expect(response.status).not.toBe(500)
        expect(text).not.toContain('internal_error')
        if (response.headers.get('content-type')?.includes('json')) JSON.parse(text)
      },
    ),
    { numRuns: 1500 },
  )
}, 60_000)
