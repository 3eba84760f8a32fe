import type { GenerateContentParameters } from '@google/genai'

import { signatureOf } from '#providers/mock/gemini-check.ts'

import { middle, modern, old, question } from './rig.ts'

// The same requests twice: as a caller of the gateway writes them, and as the vendor's SDK takes them.

export interface Pair {
  readonly request: Readonly<Record<string, unknown>>
  readonly params: GenerateContentParameters
  /** What the caller is told got lost. */
  readonly dropped?: readonly string[]
}

export const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
export const pdf = Buffer.from('%PDF-1.4\n%%EOF\n').toString('base64')
const sound = Buffer.from('RIFF....WAVE').toString('base64')

const place = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: ['integer', 'null'] } },
  required: ['city'],
  additionalProperties: false,
}
export const weather = {
  type: 'function',
  function: { name: 'get_weather', description: 'Weather of a city', parameters: place },
} as const
export const clock = { type: 'function', function: { name: 'now' } } as const
const declared = {
  functionDeclarations: [
    { name: 'get_weather', description: 'Weather of a city', parametersJsonSchema: place },
    { name: 'now' },
  ],
}
const contents = [{ role: 'user', parts: [{ text: 'Hello there' }] }]

const oslo = signatureOf('get_weather', { city: 'Oslo' })
export const unsigned = 'skip_thought_signature_validator'
const called = (id: string, city: string, more: object = {}) => ({
  id,
  type: 'function',
  function: { name: 'get_weather', arguments: JSON.stringify({ city }) },
  ...more,
})
const call = (id: string, city: string, thoughtSignature?: string) => ({
  functionCall: { id, name: 'get_weather', args: { city } },
  ...(thoughtSignature && { thoughtSignature }),
})
const result = (id: string, response: Record<string, unknown>) => ({
  functionResponse: { id, name: 'get_weather', response },
})
const person = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1 },
    kind: { const: 'person' },
    age: { type: ['integer', 'null'], format: 'uint8' },
    friend: { $ref: '#/$defs/friend' },
    level: { enum: [1, 2] },
  },
  required: ['name', 'kind', 'age', 'friend', 'level'],
  additionalProperties: false,
  $defs: {
    friend: {
      anyOf: [
        { type: 'object', properties: { friend: { $ref: '#/$defs/friend' } } },
        { type: 'null' },
      ],
    },
  },
}
const { $schema: _, ...rest } = person
const personHere = {
  ...rest,
  properties: { ...rest.properties, kind: { enum: ['person'] } },
}
const personConverted = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1 },
    kind: { type: 'string', enum: ['person'] },
    age: { type: 'integer', nullable: true },
    friend: {
      type: 'object',
      nullable: true,
      properties: { friend: { type: 'object' } },
    },
    level: { type: 'string', enum: ['1', '2'] },
  },
  required: ['name', 'kind', 'age', 'friend', 'level'],
}
const format = {
  type: 'json_schema',
  json_schema: { name: 'person', strict: true, schema: person },
}

export const pairs: Readonly<Record<string, Pair>> = {
  text: { request: {}, params: { model: modern, contents } },

  roles: {
    request: {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'developer', content: [{ type: 'text', text: 'Be kind.' }] },
        { role: 'user', content: 'One', name: 'ada' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'two' },
            { type: 'text', text: '' },
          ],
        },
        { role: 'assistant', content: 'Three', refusal: null },
        { role: 'system', content: 'Be quick.' },
        { role: 'user', content: 'four' },
      ],
    },
    params: {
      model: modern,
      contents: [
        { role: 'user', parts: [{ text: 'One' }, { text: 'two' }] },
        { role: 'model', parts: [{ text: 'Three' }] },
        { role: 'user', parts: [{ text: 'four' }] },
      ],
      config: {
        systemInstruction: {
          parts: [{ text: 'Be brief.' }, { text: 'Be kind.' }, { text: 'Be quick.' }],
        },
      },
    },
    dropped: ['messages[2].name'],
  },

  'between-assistants': {
    request: {
      messages: [
        { role: 'assistant', content: 'Welcome!' },
        { role: 'user', content: '' },
        { role: 'assistant', content: 'So' },
      ],
    },
    params: {
      model: modern,
      contents: [
        { role: 'user', parts: [{ text: ' ' }] },
        { role: 'model', parts: [{ text: 'Welcome!' }] },
        { role: 'user', parts: [{ text: ' ' }] },
        { role: 'model', parts: [{ text: 'So' }] },
        { role: 'user', parts: [{ text: 'Continue.' }] },
      ],
    },
  },

  sampling: {
    request: {
      model: old,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      max_tokens: 100,
      stop: ['END', 'STOP'],
      seed: 7,
      frequency_penalty: 0.5,
      presence_penalty: -0.5,
      logprobs: true,
      top_logprobs: 2,
      n: 1,
      reasoning_effort: 'none',
    },
    params: {
      model: old,
      contents,
      config: {
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        maxOutputTokens: 100,
        stopSequences: ['END', 'STOP'],
        seed: 7,
        frequencyPenalty: 0.5,
        presencePenalty: -0.5,
        responseLogprobs: true,
        logprobs: 2,
      },
    },
  },

  'what-is-lost': {
    request: {
      max_completion_tokens: 100,
      stop: 'END',
      seed: 2 ** 40,
      frequency_penalty: 0.5,
      presence_penalty: 0,
      logit_bias: { 50256: -100 },
      verbosity: 'low',
      store: true,
      user: 'u1',
      metadata: { a: 'b' },
      service_tier: 'flex',
      prompt_cache_key: 'k',
      messages: [
        {
          role: 'user',
          content: [{ type: 'text', text: 'Hello there', cache_control: { type: 'ephemeral' } }],
        },
      ],
      google: { novel: 1 },
      reasoning_max_tokens: 99,
    },
    params: {
      model: modern,
      contents,
      config: {
        maxOutputTokens: 100,
        stopSequences: ['END'],
        serviceTier: 'flex' as never,
        thinkingConfig: { includeThoughts: true },
      },
    },
    dropped: [
      ...['seed', 'frequency_penalty', 'logit_bias', 'verbosity', 'store', 'user', 'metadata'],
      ...['prompt_cache_key', 'messages[0].content[0].cache_control', 'google.novel'],
      'reasoning_max_tokens',
    ],
  },

  media: {
    request: {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Compare' },
            {
              type: 'image_url',
              image_url: { url: `data:image/png;base64,${png}`, detail: 'low' },
            },
            { type: 'input_audio', input_audio: { data: sound, format: 'wav' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: pdf } },
            {
              type: 'file',
              file: {
                filename: 'a.json',
                file_data: `data:application/json;base64,${Buffer.from('{}').toString('base64')}`,
              },
            },
            { type: 'file', file: { file_id: 'files/abc-123' } },
            { type: 'image_url', image_url: { url: 'https://www.youtube.com/watch?v=x' } },
          ],
        },
      ],
    },
    params: {
      model: modern,
      contents: [
        {
          role: 'user',
          parts: [
            { text: 'Compare' },
            { inlineData: { mimeType: 'image/png', data: png } },
            { inlineData: { mimeType: 'audio/wav', data: sound } },
            { inlineData: { mimeType: 'application/pdf', data: pdf } },
            { text: 'a.json:\n{}' },
            {
              fileData: {
                fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/abc-123',
              },
            },
            { fileData: { fileUri: 'https://www.youtube.com/watch?v=x' } },
          ],
        },
      ],
      config: { mediaResolution: 'MEDIA_RESOLUTION_LOW' as never },
    },
  },

  tools: {
    request: { tools: [weather, clock], tool_choice: 'auto' },
    params: {
      model: modern,
      contents,
      config: {
        tools: [declared],
        toolConfig: { functionCallingConfig: { mode: 'AUTO' as never } },
      },
    },
  },

  'tools-strict': {
    request: {
      tools: [{ ...weather, function: { ...weather.function, strict: true } }, clock],
    },
    params: {
      model: modern,
      contents,
      config: {
        tools: [declared],
        toolConfig: { functionCallingConfig: { mode: 'VALIDATED' as never } },
      },
    },
  },

  'tools-named': {
    request: {
      tools: [weather, clock],
      tool_choice: { type: 'function', function: { name: 'now' } },
    },
    params: {
      model: modern,
      contents,
      config: {
        tools: [declared],
        toolConfig: {
          functionCallingConfig: { mode: 'ANY' as never, allowedFunctionNames: ['now'] },
        },
      },
    },
  },

  'tools-allowed': {
    request: {
      tools: [weather, clock],
      tool_choice: {
        type: 'allowed_tools',
        allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'now' } }] },
      },
    },
    params: {
      model: modern,
      contents,
      config: {
        tools: [declared],
        toolConfig: {
          functionCallingConfig: { mode: 'VALIDATED' as never, allowedFunctionNames: ['now'] },
        },
      },
    },
  },

  'tools-of-old': {
    request: { model: old, tools: [weather, clock], tool_choice: 'required' },
    params: {
      model: old,
      contents,
      config: {
        tools: [
          {
            functionDeclarations: [
              {
                name: 'get_weather',
                description: 'Weather of a city',
                parameters: {
                  type: 'object',
                  properties: {
                    city: { type: 'string' },
                    days: { type: 'integer', nullable: true },
                  },
                  required: ['city'],
                } as never,
              },
              { name: 'now' },
            ],
          },
        ],
        toolConfig: { functionCallingConfig: { mode: 'ANY' as never } },
      },
    },
  },

  'tool-history': {
    request: {
      tools: [weather, clock],
      messages: [
        question,
        {
          role: 'assistant',
          content: 'Two cities.',
          tool_calls: [
            called('call_1', 'Oslo', { extra_content: { google: { thought_signature: oslo } } }),
            called('call_2', 'Rome'),
          ],
        },
        { role: 'tool', tool_call_id: 'call_2', content: 'warm' },
        { role: 'tool', tool_call_id: 'call_1', content: '{"degrees":12345678901234567890}' },
        { role: 'user', content: 'And?' },
        {
          role: 'assistant',
          content: null,
          reasoning: 'It says.',
          reasoning_details: [
            { type: 'reasoning.text', index: 0, text: 'It says.', format: 'google-gemini-v1' },
            {
              type: 'reasoning.encrypted',
              index: 1,
              id: 'call_3',
              data: oslo,
              format: 'google-gemini-v1',
            },
          ],
          tool_calls: [called('call_3', 'Oslo')],
        },
        { role: 'tool', tool_call_id: 'call_3', content: '[1,2]', is_error: true },
      ],
    },
    params: {
      model: modern,
      contents: [
        ...contents,
        {
          role: 'model',
          parts: [{ text: 'Two cities.' }, call('call_1', 'Oslo', oslo), call('call_2', 'Rome')],
        },
        {
          role: 'user',
          parts: [
            result('call_1', { degrees: Number('12345678901234567890') }),
            result('call_2', { output: 'warm' }),
          ],
        },
        { role: 'user', parts: [{ text: 'And?' }] },
        { role: 'model', parts: [call('call_3', 'Oslo', oslo)] },
        { role: 'user', parts: [result('call_3', { error: [1, 2] })] },
      ],
      config: { tools: [declared] },
    },
  },

  'foreign-history': {
    request: {
      tools: [weather],
      messages: [
        question,
        {
          role: 'assistant',
          content: null,
          reasoning_details: [
            {
              type: 'reasoning.text',
              index: 0,
              text: 'Hm.',
              signature: 'abc',
              format: 'anthropic-claude-v1',
            },
          ],
          tool_calls: [
            called('toolu_1', 'Oslo'),
            {
              id: 'toolu_2',
              type: 'function',
              function: { name: 'get_weather', arguments: '{oh' },
            },
          ],
        },
        {
          role: 'tool',
          tool_call_id: 'toolu_1',
          content: [
            { type: 'text', text: 'see' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
          ],
        },
        { role: 'tool', tool_call_id: 'toolu_2', content: '' },
      ],
    },
    params: {
      model: modern,
      contents: [
        ...contents,
        {
          role: 'model',
          parts: [
            call('toolu_1', 'Oslo', unsigned),
            { functionCall: { id: 'toolu_2', name: 'get_weather', args: { arguments: '{oh' } } },
          ],
        },
        {
          role: 'user',
          parts: [
            {
              functionResponse: {
                id: 'toolu_1',
                name: 'get_weather',
                response: { output: 'see' },
                parts: [{ inlineData: { mimeType: 'image/png', data: png } }],
              },
            },
            result('toolu_2', { output: '' }),
          ],
        },
      ],
      config: {
        tools: [{ functionDeclarations: [declared.functionDeclarations[0]!] }],
      },
    },
    dropped: ['messages[1].reasoning_details'],
  },

  schema: {
    request: { response_format: format, tools: [clock] },
    params: {
      model: modern,
      contents,
      config: {
        tools: [{ functionDeclarations: [{ name: 'now' }] }],
        responseMimeType: 'application/json',
        responseJsonSchema: personHere,
      },
    },
  },

  'schema-of-old': {
    request: { model: old, response_format: format },
    params: {
      model: old,
      contents,
      config: { responseMimeType: 'application/json', responseSchema: personConverted },
    },
  },

  'schema-in-words': {
    request: { model: middle, response_format: { type: 'json_object' }, tools: [clock] },
    params: {
      model: middle,
      contents,
      config: {
        tools: [{ functionDeclarations: [{ name: 'now' }] }],
        systemInstruction: {
          parts: [
            {
              text: 'When you answer without calling a function, answer with one JSON object and nothing else.',
            },
          ],
        },
      },
    },
    dropped: ['response_format'],
  },

  'thinking-budget': {
    request: { model: middle, reasoning_effort: 'medium' },
    params: {
      model: middle,
      contents,
      config: { thinkingConfig: { thinkingBudget: 8192, includeThoughts: true } },
    },
  },

  'thinking-level': {
    request: { reasoning: { effort: 'high' } },
    params: {
      model: modern,
      contents,
      config: { thinkingConfig: { thinkingLevel: 'HIGH' as never, includeThoughts: true } },
    },
  },

  extensions: {
    request: {
      reasoning_effort: 'low',
      safety_settings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
      extra_body: {
        google: { thinking_config: { thinking_level: 'low', include_thoughts: true } },
      },
    },
    params: {
      model: modern,
      contents,
      config: {
        safetySettings: [
          { category: 'HARM_CATEGORY_HARASSMENT' as never, threshold: 'BLOCK_NONE' as never },
        ],
        thinkingConfig: { thinkingLevel: 'low' as never, includeThoughts: true },
      },
    },
    dropped: ['reasoning_effort'],
  },

  cached: {
    request: {
      cached_content: 'cachedContents/abc',
      messages: [{ role: 'system', content: 'Known.' }, question],
      tools: [clock],
    },
    params: { model: modern, contents, config: { cachedContent: 'cachedContents/abc' } },
    dropped: ['messages[0]', 'tools'],
  },

  speech: {
    request: {
      model: 'gemini-2.5-flash-preview-tts',
      modalities: ['text', 'audio'],
      audio: { voice: 'Kore', format: 'wav' },
    },
    params: {
      model: 'gemini-2.5-flash-preview-tts',
      contents,
      config: {
        responseModalities: ['AUDIO'],
        speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: 'Kore' } } },
      },
    },
  },

  picture: {
    request: {
      model: 'gemini-3-pro-image',
      modalities: ['text', 'image'],
      image_config: { aspect_ratio: '16:9', image_size: '2K' },
      messages: [
        question,
        {
          role: 'assistant',
          content: 'Here: ',
          images: [
            {
              type: 'image_url',
              image_url: { url: `data:image/png;base64,${png}` },
              extra_content: { google: { thought_signature: 'SW1n' } },
            },
          ],
          extra_content: {
            google: { parts: [{ executableCode: { language: 'PYTHON', code: '1' } }] },
          },
        },
        { role: 'user', content: 'Bluer.' },
      ],
    },
    params: {
      model: 'gemini-3-pro-image',
      contents: [
        ...contents,
        {
          role: 'model',
          parts: [
            { executableCode: { language: 'PYTHON' as never, code: '1' } },
            { text: 'Here: ' },
            { inlineData: { mimeType: 'image/png', data: png }, thoughtSignature: 'SW1n' },
          ],
        },
        { role: 'user', parts: [{ text: 'Bluer.' }] },
      ],
      config: {
        responseModalities: ['TEXT', 'IMAGE'],
        imageConfig: { aspectRatio: '16:9', imageSize: '2K' },
      },
    },
  },

  search: {
    request: { web_search_options: { search_context_size: 'low' }, tools: [clock] },
    params: {
      model: modern,
      contents,
      config: {
        tools: [{ functionDeclarations: [{ name: 'now' }] }, { googleSearch: {} }],
        toolConfig: { includeServerSideToolInvocations: true },
      },
    },
    dropped: ['web_search_options.search_context_size'],
  },

  gemma: {
    request: {
      model: 'gemma-3-27b-it',
      messages: [{ role: 'system', content: 'Be brief.' }, question],
    },
    params: {
      model: 'gemma-3-27b-it',
      contents: [{ role: 'user', parts: [{ text: 'Be brief.' }, { text: 'Hello there' }] }],
    },
  },
}
