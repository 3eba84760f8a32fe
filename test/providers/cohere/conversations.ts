// Requests as callers write them; what the vendor is sent for each stands in the fixture of its name.

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
      additionalProperties: false,
    },
    strict: true,
  },
}
const now = { type: 'function', function: { name: 'now' } }
const user = (content: unknown) => ({ role: 'user', content })
const called = (id: string, name: string, input: string) => ({
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
    temperature: 0.5,
    top_p: 1,
    top_k: 40,
    seed: 9007199254740993n,
    stop: 'END',
    frequency_penalty: 0.5,
    presence_penalty: 0,
    logprobs: true,
    n: 1,
  },
  streamed: { messages: [user('hi')], stream: true, stream_options: { include_usage: true } },
  tools: {
    messages: [
      user('Weather in Tromsø and Bodø?'),
      {
        role: 'assistant',
        content: null,
        reasoning: 'I will look it up.',
        reasoning_details: [
          { type: 'reasoning.text', index: 0, text: 'Two towns.', format: 'cohere-v2' },
          {
            type: 'reasoning.text',
            index: 1,
            id: 'tool_plan',
            text: 'I will look it up.',
            format: 'cohere-v2',
          },
        ],
        tool_calls: [
          called('weather_1', 'weather', '{"city": "Tromsø", "big": 12345678901234567890}'),
          called('now_1', 'now', ''),
        ],
      },
      { role: 'tool', tool_call_id: 'weather_1', content: '{"degrees":-7}' },
      {
        role: 'tool',
        tool_call_id: 'now_1',
        content: [
          { type: 'text', text: '12:00' },
          { type: 'text', text: 'UTC' },
        ],
      },
    ],
    tools: [weather],
    tool_choice: 'required',
    parallel_tool_calls: true,
  },
  named: {
    messages: [user('Now?')],
    tools: [weather, now],
    tool_choice: { type: 'function', function: { name: 'now' } },
  },
  none: { messages: [user('Now?')], tools: [now], tool_choice: 'none' },
  image: {
    messages: [
      user([
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}`, detail: 'low' } },
        { type: 'image_url', image_url: { url: 'https://example.com/cat.png' } },
        {
          type: 'file',
          file: { filename: 'notes.txt', file_data: 'data:text/plain;base64,R3LDvMOfZQ==' },
        },
      ]),
    ],
  },
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
  thinking: {
    messages: [user('Think.')],
    reasoning_effort: 'high',
    max_completion_tokens: 1000,
  },
  unthinking: { messages: [user('Do not think.')], reasoning_effort: 'none' },
  own: {
    messages: [
      user('Penguins?'),
      {
        role: 'assistant',
        content: 'Birds.',
        citations: [{ start: 0, end: 5, text: 'Birds', sources: [] }],
      },
      user('Really?'),
    ],
    documents: [{ id: 'a', data: { text: 'Penguins are birds.' } }],
    citation_options: { mode: 'FAST' },
    safety_mode: 'CONTEXTUAL',
    thinking: { type: 'enabled', token_budget: 77 },
  },
}
