import { REDACTED, signatureOf } from '#providers/mock/bedrock-check.ts'

// Requests as callers write them; what the vendor is sent for each stands in the fixture of its name.

export const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

export const CLAUDE = 'eu.anthropic.claude-opus-4-6-echo-v1:0'
const fable = 'global.anthropic.claude-fable-5-2-echo-v1:0'
const old = 'anthropic.claude-3-haiku-20240307-json-v1:0'
const nova = 'us.amazon.nova-2-lite-echo-v1:0'
const oss = 'openai.gpt-oss-120b-echo-1:0'
const mistral = 'mistral.mistral-7b-instruct-echo-v0:2'
const llama = 'us.meta.llama4-maverick-17b-instruct-echo-v1:0'

const properties = { city: { type: 'string', minLength: 1 } }
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'Tells the weather.',
    parameters: { type: 'object', properties, required: ['city'] },
  },
}
const now = { type: 'function', function: { name: 'now' } }
const user = (content: unknown) => ({ role: 'user', content })
const ephemeral = { type: 'ephemeral' }
const called = (id: string, name: string, input: unknown, more = {}) => ({
  id,
  type: 'function',
  function: { name, arguments: input },
  ...more,
})
const result = (id: string, content: unknown, more = {}) => ({
  role: 'tool',
  tool_call_id: id,
  content,
  ...more,
})
const thought = 'Two places.'
const format = 'anthropic-claude-v1'
const schema = {
  name: 'answer',
  description: 'An answer.',
  strict: true,
  schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
}
const file = (filename: string, type: string, text: string) => ({
  type: 'file',
  file: { filename, file_data: `data:${type};base64,${Buffer.from(text).toString('base64')}` },
})

export interface Given extends Record<string, unknown> {
  readonly model: string
}

export const conversations: Record<string, Given> = {
  text: {
    model: CLAUDE,
    messages: [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'system',
        content: [
          { type: 'text', text: 'One.' },
          { type: 'text', text: ' ' },
        ],
      },
      user('Grüße 👋🏽'),
      user([
        { type: 'text', text: '' },
        { type: 'text', text: 'Anyone?' },
      ]),
      { role: 'assistant', content: 'Hi.' },
      { role: 'system', content: 'Be briefer.' },
      user([{ type: 'text', text: 'And now?' }]),
    ],
    max_completion_tokens: 100,
    temperature: 1.5,
    top_k: 40,
    stop: ['END', 'STOP'],
    n: 1,
    service_tier: 'priority',
    user: 'user-1',
    metadata: { team: 'search' },
  },
  streamed: {
    model: CLAUDE,
    messages: [user('hi')],
    stream: true,
    stream_options: { include_usage: true },
  },
  tools: {
    model: CLAUDE,
    messages: [
      user('Weather in Tromsø and Bodø?'),
      {
        role: 'assistant',
        content: 'Let me see.',
        reasoning_details: [
          { type: 'reasoning.text', index: 0, text: 'Two', format },
          { type: 'reasoning.text', index: 0, text: ' places.', format },
          { type: 'reasoning.text', index: 0, signature: signatureOf(thought), format },
          { type: 'reasoning.encrypted', index: 1, data: REDACTED, format: 'bedrock-claude-v1' },
        ],
        tool_calls: [
          called('tooluse_1', 'weather', '{"city": "Tromsø"}'),
          called('an id that is not one of theirs', 'now', ''),
          called('tooluse_3', 'weather', { city: 'Bodø' }),
        ],
      },
      result('an id that is not one of theirs', ''),
      result('tooluse_1', '{"degrees":-7}', { is_error: true }),
      result('tooluse_3', [
        { type: 'text', text: '-2' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
      ]),
      user('And?'),
    ],
    tools: [weather, now],
    tool_choice: 'auto',
    parallel_tool_calls: false,
  },
  strict: {
    model: CLAUDE,
    messages: [user('Now?')],
    tools: [{ ...weather, function: { ...weather.function, strict: true } }],
  },
  required: {
    model: CLAUDE,
    messages: [user('Now?')],
    tools: [weather, now],
    tool_choice: 'required',
    parallel_tool_calls: false,
  },
  named: {
    model: CLAUDE,
    messages: [user('Now?')],
    tools: [weather, now],
    tool_choice: { type: 'function', function: { name: 'now' } },
  },
  allowed: {
    model: CLAUDE,
    messages: [user('Now?')],
    tools: [weather, now],
    tool_choice: {
      type: 'allowed_tools',
      allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'now' } }] },
    },
  },
  none: { model: CLAUDE, messages: [user('Now?')], tools: [now], tool_choice: 'none' },
  'none-after-calls': {
    model: CLAUDE,
    messages: [
      user('Now?'),
      { role: 'assistant', content: null, tool_calls: [called('a', 'now', '{}')] },
      result('a', '12:00'),
    ],
    tools: [now],
    tool_choice: 'none',
  },
  'calls-without-tools': {
    model: CLAUDE,
    messages: [
      user('Now?'),
      {
        role: 'assistant',
        content: null,
        tool_calls: [called('a', 'now', '{}'), called('b', 'a tool of old', '{}')],
      },
      result('a', '12:00'),
      result('b', 'gone'),
    ],
  },
  custom: {
    model: CLAUDE,
    messages: [
      user('Run it.'),
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c', type: 'custom', custom: { name: 'shell', input: 'ls -l' } }],
      },
      result('c', 'nothing'),
    ],
    tools: [{ type: 'custom', custom: { name: 'shell', description: 'Runs a command.' } }],
  },
  cache: {
    model: CLAUDE,
    messages: [
      { role: 'system', content: [{ type: 'text', text: 'Long.', cache_control: ephemeral }] },
      user([
        { type: 'text', text: 'Longer.', cache_control: { type: 'ephemeral', ttl: '1h' } },
        { type: 'text', text: 'Short.' },
      ]),
    ],
    tools: [{ ...now, cache_control: ephemeral }],
  },
  files: {
    model: CLAUDE,
    messages: [
      user([
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}`, detail: 'auto' } },
        { type: 'image_url', image_url: { url: 's3://bucket/cat.jpg' } },
        file('Q3 report: final_v2.pdf', 'application/pdf', '%PDF-1.4'),
        file('Q3 report: final_v2.pdf', 'application/pdf', '%PDF-1.5'),
        file('data.csv', 'application/octet-stream', 'a,b'),
        file('x.json', 'application/json', '{}'),
      ]),
    ],
  },
  schema: {
    model: CLAUDE,
    messages: [user('Give me JSON.')],
    response_format: { type: 'json_schema', json_schema: schema },
  },
  'schema-by-tool': {
    model: old,
    messages: [user('Give me JSON.')],
    response_format: { type: 'json_schema', json_schema: schema },
  },
  'schema-by-words': {
    model: llama,
    messages: [user('Give me JSON.')],
    response_format: { type: 'json_schema', json_schema: { ...schema, strict: false } },
  },
  json: {
    model: llama,
    messages: [user('Give me JSON.')],
    response_format: { type: 'json_object' },
  },
  thinking: { model: CLAUDE, messages: [user('Think.')], reasoning_effort: 'high' },
  unthinking: { model: CLAUDE, messages: [user('Do not.')], reasoning_effort: 'none' },
  'thinking-always': { model: fable, messages: [user('Think.')], reasoning_effort: 'xhigh' },
  'thinking-nova': { model: nova, messages: [user('Think.')], reasoning_effort: 'low', top_k: 9 },
  'thinking-oss': { model: oss, messages: [user('Think.')], reasoning_effort: 'minimal' },
  mistral: {
    model: mistral,
    messages: [
      user('Now?'),
      { role: 'assistant', content: null, tool_calls: [called('tooluse_12', 'now', '{}')] },
      result('tooluse_12', '12:00'),
    ],
    tools: [now],
    top_p: 0.9,
  },
  own: {
    model: CLAUDE,
    messages: [user('hi')],
    guardrailConfig: { guardrailIdentifier: 'g', guardrailVersion: '1', trace: 'enabled' },
    performanceConfig: { latency: 'optimized' },
    promptVariables: { name: { text: 'Ann' } },
    requestMetadata: { app: 'x' },
    additionalModelRequestFields: { metadata: { user_id: 'mine' }, top_k: 5 },
    additionalModelResponseFieldPaths: ['/stop_sequence'],
    anthropic_beta: 'context-1m-2025-08-07',
    thinking: { type: 'enabled', budget_tokens: 2000 },
    max_tokens: 4000,
    user: 'theirs',
  },
}
