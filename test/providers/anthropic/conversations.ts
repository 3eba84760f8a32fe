import type { MessageCreateParams } from '@anthropic-ai/sdk/resources/messages'

import { signatureOf } from '#providers/mock/anthropic-messages.ts'

// The same requests twice: as a caller of the gateway writes them, and as the vendor's SDK takes them.

/** Gone from the SDK's types with its latest version of the API. */
interface Sampling {
  readonly temperature?: number
  readonly top_p?: number
  readonly top_k?: number
}

export interface Pair {
  readonly request: Readonly<Record<string, unknown>>
  readonly params: MessageCreateParams & Sampling
  /** What the caller is told got lost. */
  readonly dropped?: readonly string[]
  readonly betas?: string
}

export const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
export const pdf = Buffer.from('%PDF-1.4\n%%EOF\n').toString('base64')
export const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    },
  },
} as const
export const weatherTool = {
  name: 'get_weather',
  description: 'Weather of a city',
  input_schema: {
    type: 'object' as const,
    properties: { city: { type: 'string' } },
    required: ['city'],
  },
}
const thought = 'Two cities, two calls.'
const signature = signatureOf(thought)
const ephemeral = { type: 'ephemeral' } as const
export const hello = { role: 'user', content: 'Hello there' } as const
const person = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1 },
    age: { type: 'integer', description: 'In years', minimum: 0, maximum: 150 },
    tags: { type: 'array', items: { type: 'string' }, maxItems: 3 },
  },
  required: ['name', 'age'],
}

/** What is said, shown and remembered. */
export const conversations: Readonly<Record<string, Pair>> = {
  text: {
    request: {
      model: 'claude-haiku-4-5',
      messages: [{ role: 'system', content: 'Be brief.' }, hello],
      max_tokens: 100,
      temperature: 1.4,
      stop: ['END', ' '],
      user: 'user-17',
      service_tier: 'default',
    },
    params: {
      model: 'claude-haiku-4-5',
      system: 'Be brief.',
      messages: [hello],
      max_tokens: 100,
      temperature: 1,
      stop_sequences: ['END'],
      metadata: { user_id: 'user-17' },
      service_tier: 'standard_only',
    },
    dropped: ['stop'],
  },
  'tools-and-thoughts': {
    request: {
      model: 'claude-opus-5-5',
      messages: [
        { role: 'user', content: 'Weather in Bern and Basel?' },
        {
          role: 'assistant',
          content: 'I look it up.',
          reasoning_details: [
            {
              type: 'reasoning.text',
              index: 0,
              text: thought,
              signature,
              format: 'anthropic-claude-v1',
            },
            {
              type: 'reasoning.encrypted',
              index: 1,
              data: 'mocksig-r',
              format: 'anthropic-claude-v1',
            },
          ],
          tool_calls: [
            {
              id: 'toolu_1',
              type: 'function',
              function: { name: 'get_weather', arguments: '{"city":"Bern"}' },
            },
            {
              id: 'toolu_2',
              type: 'function',
              function: { name: 'get_weather', arguments: '{"city":"Basel"}' },
            },
          ],
        },
        { role: 'tool', tool_call_id: 'toolu_2', content: 'rain' },
        { role: 'tool', tool_call_id: 'toolu_1', content: [{ type: 'text', text: 'sun' }] },
        { role: 'user', content: 'And tomorrow?' },
      ],
      tools: [weather],
      reasoning_effort: 'medium',
      parallel_tool_calls: false,
      max_completion_tokens: 2000,
    },
    params: {
      model: 'claude-opus-5-5',
      max_tokens: 2000,
      messages: [
        { role: 'user', content: 'Weather in Bern and Basel?' },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: thought, signature },
            { type: 'redacted_thinking', data: 'mocksig-r' },
            { type: 'text', text: 'I look it up.' },
            { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: { city: 'Bern' } },
            { type: 'tool_use', id: 'toolu_2', name: 'get_weather', input: { city: 'Basel' } },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'toolu_1', content: 'sun' },
            { type: 'tool_result', tool_use_id: 'toolu_2', content: 'rain' },
            { type: 'text', text: 'And tomorrow?' },
          ],
        },
      ],
      tools: [weatherTool],
      tool_choice: { type: 'auto', disable_parallel_tool_use: true },
      thinking: { type: 'adaptive', display: 'summarized' },
      output_config: { effort: 'medium' },
    },
  },
  media: {
    request: {
      model: 'claude-opus-4-5',
      max_tokens: 50,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this?' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
            { type: 'image_url', image_url: { url: 'https://pictures.example/a.png' } },
            {
              type: 'file',
              file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` },
            },
            {
              type: 'file',
              file: {
                filename: 'n.txt',
                file_data: `data:text/plain;base64,${btoa('Some notes')}`,
              },
            },
            { type: 'file', file: { file_url: 'https://papers.example/b.pdf' } },
            { type: 'file', file: { file_id: 'file_011' } },
          ],
        },
      ],
    },
    params: {
      model: 'claude-opus-4-5',
      max_tokens: 50,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this?' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
            { type: 'image', source: { type: 'url', url: 'https://pictures.example/a.png' } },
            {
              type: 'document',
              source: { type: 'base64', media_type: 'application/pdf', data: pdf },
              title: 'a.pdf',
            },
            {
              type: 'document',
              source: { type: 'text', media_type: 'text/plain', data: 'Some notes' },
              title: 'n.txt',
            },
            { type: 'document', source: { type: 'url', url: 'https://papers.example/b.pdf' } },
            { type: 'document', source: { type: 'file', file_id: 'file_011' } },
          ],
        },
      ],
    },
  },
  schema: {
    request: {
      model: 'claude-opus-4-8',
      messages: [hello],
      max_tokens: 300,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'person', strict: true, schema: person },
      },
    },
    params: {
      model: 'claude-opus-4-8',
      messages: [hello],
      max_tokens: 300,
      output_config: {
        format: {
          type: 'json_schema',
          schema: {
            type: 'object',
            properties: {
              name: { type: 'string', description: 'Constraints: minLength: 1' },
              age: {
                type: 'integer',
                description: 'In years\n\nConstraints: minimum: 0; maximum: 150',
              },
              tags: {
                type: 'array',
                items: { type: 'string' },
                description: 'Constraints: maxItems: 3',
              },
            },
            required: ['name', 'age'],
            additionalProperties: false,
          },
        },
      },
    },
  },
  'schema-by-tool': {
    request: {
      model: 'claude-3-7-sonnet-latest',
      messages: [hello],
      max_tokens: 300,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'person', description: 'A person.', schema: person },
      },
    },
    params: {
      model: 'claude-3-7-sonnet-latest',
      messages: [hello],
      max_tokens: 300,
      tools: [
        { name: 'person', description: 'A person.', input_schema: { ...person, type: 'object' } },
      ],
      tool_choice: { type: 'tool', name: 'person' },
    },
  },
  cache: {
    request: {
      model: 'claude-opus-4-5',
      max_tokens: 100,
      messages: [
        {
          role: 'system',
          content: [
            { type: 'text', text: 'Rules', cache_control: { ...ephemeral, ttl: '1h' } },
            { type: 'text', text: 'More rules' },
          ],
        },
        { role: 'user', content: 'First', cache_control: ephemeral },
        { role: 'assistant', content: 'One' },
        { role: 'user', content: [{ type: 'text', text: 'Second', cache_control: ephemeral }] },
        { role: 'assistant', content: 'Two' },
        { role: 'user', content: [{ type: 'text', text: 'Third', cache_control: ephemeral }] },
      ],
      tools: [{ ...weather, cache_control: { ...ephemeral, ttl: '1h' } }],
    },
    dropped: ['messages[1].content.cache_control'],
    params: {
      model: 'claude-opus-4-5',
      max_tokens: 100,
      system: [
        { type: 'text', text: 'Rules', cache_control: { ...ephemeral, ttl: '1h' } },
        { type: 'text', text: 'More rules' },
      ],
      messages: [
        { role: 'user', content: 'First' },
        { role: 'assistant', content: 'One' },
        { role: 'user', content: [{ type: 'text', text: 'Second', cache_control: ephemeral }] },
        { role: 'assistant', content: 'Two' },
        { role: 'user', content: [{ type: 'text', text: 'Third', cache_control: ephemeral }] },
      ],
      tools: [{ ...weatherTool, cache_control: { ...ephemeral, ttl: '1h' } }],
    },
  },
}
