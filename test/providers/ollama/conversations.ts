// Requests as callers write them; what the server is sent for each stands in the fixture of its name.

export const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'Tells the weather.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    },
  },
}
const now = { type: 'function', function: { name: 'now' } }
const user = (content: unknown) => ({ role: 'user', content })
const called = (id: string, name: string, input: unknown) => ({
  id,
  type: 'function',
  function: { name, arguments: input },
})

export const conversations: Record<string, Record<string, unknown> & { seed?: bigint }> = {
  text: {
    messages: [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'system',
        content: [
          { type: 'text', text: 'One.' },
          { type: 'text', text: 'Two.' },
        ],
      },
      user('Grüße 👋🏽'),
      { role: 'assistant', content: 'Hi.' },
      user([{ type: 'text', text: 'And now?' }]),
    ],
    max_completion_tokens: 100,
    temperature: 0,
    top_p: 0.9,
    top_k: 40,
    seed: 9007199254740993n,
    stop: 'END',
    frequency_penalty: -0.5,
    presence_penalty: 1.5,
    logprobs: true,
    top_logprobs: 2,
    n: 1,
  },
  streamed: { messages: [user('hi')], stream: true, stream_options: { include_usage: true } },
  tools: {
    messages: [
      user('Weather in Tromsø and Bodø?'),
      {
        role: 'assistant',
        content: null,
        reasoning: 'Two towns.',
        reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'Two towns.' }],
        tool_calls: [
          called('call_1', 'weather', '{"city": "Tromsø", "big": 12345678901234567890}'),
          called('call_2', 'now', ''),
          called('call_3', 'weather', { city: 'Bodø' }),
        ],
      },
      { role: 'tool', tool_call_id: 'call_2', content: '12:00' },
      { role: 'tool', tool_call_id: 'call_1', content: '{"degrees":-7}' },
      {
        role: 'tool',
        tool_call_id: 'call_3',
        content: [
          { type: 'text', text: '-2' },
          { type: 'text', text: 'snow' },
        ],
      },
    ],
    tools: [weather, now],
    tool_choice: 'auto',
  },
  none: { messages: [user('Now?')], tools: [now], tool_choice: 'none' },
  image: {
    messages: [
      user([
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}`, detail: 'auto' } },
        { type: 'text', text: 'And this?' },
        { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
        {
          type: 'file',
          file: { filename: 'notes.txt', file_data: 'data:text/plain;base64,R3LDvMOfZQ==' },
        },
      ]),
    ],
  },
  json: { messages: [user('Give me JSON.')], response_format: { type: 'json_object' } },
  schema: {
    messages: [user('Give me JSON.')],
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: 'answer',
        description: 'An answer.',
        strict: true,
        schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
      },
    },
  },
  thinking: { messages: [user('Think.')], reasoning_effort: 'xhigh' },
  unthinking: { messages: [user('Do not think.')], reasoning_effort: 'none' },
  own: {
    messages: [user('hi')],
    keep_alive: '10m',
    num_ctx: 8192,
    min_p: 0.05,
    repeat_penalty: 1.1,
    think: true,
    temperature: 0.5,
    options: { num_gpu: 1, temperature: 0.7 },
  },
}
