// The rows of the fidelity matrix: what a caller may ask for, each with a request that asks for it and one that does
// not. What becomes of it at a provider is seen from outside: in what the provider was sent, and in what came back.

export interface Feature {
  /** As the table names it. */
  readonly name: string
  /** Where a loss or a refusal of it must be declared; any of these, or a place below one of them. */
  readonly params: readonly string[]
  /** The request with the feature. */
  readonly asked: Readonly<Record<string, unknown>>
  /** The same request without it. */
  readonly plain: Readonly<Record<string, unknown>>
  /** Text that has to be in what the provider gets, when the feature is carried. */
  readonly mark?: string
  /** The gateway changes nothing of the request: what counts is the answer. */
  readonly inAnswer?: (answer: any) => boolean
  /** Behaviour of the mock that the feature needs, where the model's name must not decide it. */
  readonly fault?: string
}

const text = (content: unknown, more: object = {}) => ({ role: 'user', content, ...more })
const hi = [text('hi')]
const base = { messages: hi, max_completion_tokens: 2000 }

function param(name: string, value: unknown, mark?: string, field = name): Feature {
  return {
    name,
    params: [field],
    plain: base,
    asked: { ...base, [field]: value },
    ...(mark !== undefined && { mark }),
  }
}

const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const pdf = 'JVBERi0xLjQKJUVPRgo='

function part(name: string, value: object, mark: string): Feature {
  return {
    name,
    params: ['messages'],
    plain: base,
    asked: { ...base, messages: [text([{ type: 'text', text: 'hi' }, value])] },
    mark,
  }
}

const tool = {
  type: 'function',
  function: {
    name: 'weather_mark',
    description: 'Tells the weather.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const second = { type: 'function', function: { ...tool.function, name: 'time_mark' } }
const withTools = { ...base, tools: [tool, second] }
const call = {
  id: 'call_mark1',
  type: 'function',
  function: { name: 'weather_mark', arguments: '{"city":"Oslo-mark"}' },
}
const history = [
  text('weather?'),
  { role: 'assistant', content: null, tool_calls: [call] },
  { role: 'tool', tool_call_id: 'call_mark1', content: 'sunny-mark' },
]
const schema = {
  type: 'object',
  properties: { schema_mark: { type: 'string' } },
  required: ['schema_mark'],
  additionalProperties: false,
}

/** What a conversation may hold. */
export const CONTENT: readonly Feature[] = [
  {
    name: 'system message',
    params: ['messages'],
    plain: base,
    asked: { ...base, messages: [{ role: 'system', content: 'system-mark' }, ...hi] },
    mark: 'system-mark',
  },
  {
    name: 'developer message',
    params: ['messages'],
    plain: base,
    asked: { ...base, messages: [{ role: 'developer', content: 'developer-mark' }, ...hi] },
    mark: 'developer-mark',
  },
  {
    name: 'system message later on',
    params: ['messages'],
    plain: base,
    asked: {
      ...base,
      messages: [
        text('one'),
        { role: 'assistant', content: 'two' },
        { role: 'system', content: 'later-mark' },
        text('three'),
      ],
    },
    mark: 'later-mark',
  },
  {
    name: 'name of a speaker',
    params: ['messages'],
    plain: base,
    asked: { ...base, messages: [text('hi', { name: 'name-mark' })] },
    mark: 'name-mark',
  },
  part(
    'image, inline',
    { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
    png,
  ),
  part(
    'PDF, inline',
    { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` } },
    pdf,
  ),
  part(
    'audio',
    { type: 'input_audio', input_audio: { data: 'UklGRmF1ZGlv', format: 'wav' } },
    'UklGRmF1ZGlv',
  ),
  {
    name: 'cache marker',
    params: ['messages'],
    plain: base,
    asked: {
      ...base,
      messages: [text([{ type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }])],
    },
  },
]

/** Calling tools. */
export const TOOLS: readonly Feature[] = [
  { name: 'tools', params: ['tools'], plain: base, asked: withTools, mark: 'weather_mark' },
  {
    name: 'tool calls and results in the history',
    params: ['messages'],
    plain: withTools,
    asked: { ...withTools, messages: history },
    mark: 'sunny-mark',
  },
  {
    name: 'tool_choice: required',
    params: ['tool_choice'],
    plain: withTools,
    asked: { ...withTools, tool_choice: 'required' },
  },
  {
    name: 'tool_choice: one function',
    params: ['tool_choice'],
    plain: withTools,
    asked: { ...withTools, tool_choice: { type: 'function', function: { name: 'weather_mark' } } },
  },
  {
    name: 'tool_choice: none',
    params: ['tool_choice'],
    plain: withTools,
    asked: { ...withTools, tool_choice: 'none' },
  },
  {
    name: 'parallel_tool_calls: false',
    params: ['parallel_tool_calls'],
    plain: withTools,
    asked: { ...withTools, parallel_tool_calls: false },
  },
  {
    name: 'strict tools',
    params: ['tools'],
    plain: { ...base, tools: [tool] },
    asked: { ...base, tools: [{ ...tool, function: { ...tool.function, strict: true } }] },
  },
  {
    name: 'custom tools',
    params: ['tools'],
    plain: base,
    asked: { ...base, tools: [{ type: 'custom', custom: { name: 'custom_mark' } }] },
    mark: 'custom_mark',
  },
]

/** Form of the answer. */
export const FORMAT: readonly Feature[] = [
  param('response_format: json_object', { type: 'json_object' }, undefined, 'response_format'),
  param(
    'response_format: json_schema',
    { type: 'json_schema', json_schema: { name: 'thing', schema, strict: true } },
    'schema_mark',
    'response_format',
  ),
  param('stop', ['stop-mark'], 'stop-mark'),
  param('verbosity', 'low'),
  param('modalities: audio', ['text', 'audio'], undefined, 'modalities'),
  param('prediction', { type: 'content', content: 'prediction-mark' }, 'prediction-mark'),
]

/** Sampling, limits and bookkeeping. */
export const SETTINGS: readonly Feature[] = [
  param('max_completion_tokens', 1237, '1237'),
  {
    ...param('max_tokens', 1237, '1237'),
    plain: { messages: hi },
    asked: { messages: hi, max_tokens: 1237 },
  },
  param('temperature', 0.375, '0.375'),
  param('top_p', 0.625, '0.625'),
  param('top_k', 37, '37'),
  param('n', 2),
  param('seed', 424242, '424242'),
  param('frequency_penalty', 0.125, '0.125'),
  param('presence_penalty', 0.1875, '0.1875'),
  param('logit_bias', { 50415: 7 }, '50415'),
  param('logprobs', true),
  {
    ...param('top_logprobs', 3),
    plain: { ...base, logprobs: true },
    asked: { ...base, logprobs: true, top_logprobs: 3 },
  },
  param('reasoning_effort', 'high'),
  param('user', 'user-mark', 'user-mark'),
  param('safety_identifier', 'safety-mark', 'safety-mark'),
  param('metadata', { tag: 'metadata-mark' }, 'metadata-mark'),
  param('service_tier', 'priority'),
  param('store', true),
  param('prompt_cache_key', 'cache-key-mark', 'cache-key-mark'),
  param('web_search_options', { search_context_size: 'low' }),
]
