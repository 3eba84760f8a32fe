import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { startFamily } from './compatible-rig.ts'
import type { FamilyRig } from './compatible-rig.ts'

// What each vendor of the family is sent, byte for byte, where its quirks change more than one field. Vendors' pages as
// read in November 2026; the quirks themselves say which.

let rig: FamilyRig
beforeAll(async () => {
  rig = await startFamily()
})
afterAll(() => rig[Symbol.asyncDispose]())

interface Row {
  readonly vendor: string
  readonly what: string
  /** `m` where absent. */
  readonly model?: string
  /** Members of the request after its model. */
  readonly from: string
  /** Members of what is sent; `MODEL` is where the model stands, when it is not the first. */
  readonly to: string
  readonly dropped?: readonly string[]
}

const hi = '"messages":[{"role":"user","content":"hi"}]'
const tool = (name: string): string =>
  `{"type":"function","function":{"name":"${name}","parameters":{"x":1.0}}}`
const forced = '{"type":"function","function":{"name":"f"}}'
const allowed = (mode: string): string =>
  `{"type":"allowed_tools","allowed_tools":{"mode":"${mode}","tools":[${tool('b')}]}}`
const turns = (...between: string[]): string =>
  `"messages":[${['{"role":"user","content":"q"}', ...between, '{"role":"user","content":"z"}'].join(',')}]`
const said = (more: string): string => turns(`{"role":"assistant","content":"a"${more}}`)
const details =
  '"reasoning_details":[{"type":"reasoning.text","index":0,"text":"th"},{"type":"reasoning.text","index":1,"text":"ink"}]'
const sealed =
  '"reasoning_details":[{"type":"reasoning.encrypted","index":0,"data":"x","format":"anthropic-claude-v1"}]'

/** What answers in the name of vendors with dialects of their own have besides, and clients send back. */
const ofOthers =
  ',"provider_content":[{"type":"server_tool_use"}],"citations":[{"start":0}],"images":[],"extra_content":{"google":{}}'
const lostOfOthers = ['extra_content', 'provider_content', 'citations', 'images'].map(
  (name) => `messages[1].${name}`,
)

/** How earlier reasoning travels to a vendor that has a field for it. */
function replay(vendor: string, field: string, other: string): Row[] {
  const base = { vendor }
  return [
    {
      ...base,
      what: `${field} stays`,
      from: said(`,"${field}":"t"`),
      to: said(`,"${field}":"t"`),
    },
    {
      ...base,
      what: `${other} becomes ${field}`,
      from: said(`,"${other}" : "t\\u00e9"`),
      to: said(`,"${field}" : "t\\u00e9"`),
    },
    {
      ...base,
      what: 'one of both is enough',
      from: said(`,"${other}":"t","${field}":"t"`),
      to: said(`,"${field}":"t"`),
    },
    {
      ...base,
      what: 'details are told as text',
      from: said(`,${details}`),
      to: turns(`{"${field}":"think","role":"assistant","content":"a"}`),
    },
    {
      ...base,
      what: 'what another vendor sealed is not sent',
      from: said(`,"${other}":"t",${sealed}`),
      to: said(`,"${field}":"t"`),
      dropped: ['messages[1].reasoning_details'],
    },
    {
      ...base,
      what: 'what belongs to answers only is left out',
      from: said(',"refusal":null,"annotations":[{"type":"url_citation"}],"reasoning_details":[]'),
      to: said(''),
    },
    {
      ...base,
      what: 'what other vendors put into their answers is not sent',
      from: said(ofOthers),
      to: said(''),
      dropped: lostOfOthers,
    },
    {
      ...base,
      what: 'a refusal is what was said',
      from: turns('{"role":"assistant","content":null,"refusal":"no"}'),
      to: turns('{"role":"assistant","content":"no"}'),
    },
    {
      ...base,
      what: 'a signature on a call is lost',
      from: turns(
        '{"role":"assistant","content":"a","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}',
        '{"role":"tool","tool_call_id":"c1","content":"r"}',
      ),
      to: turns(
        '{"role":"assistant","content":"a","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]}',
        '{"role":"tool","tool_call_id":"c1","content":"r"}',
      ),
      dropped: ['messages[1].tool_calls[0].extra_content'],
    },
    {
      ...base,
      what: 'functions are tools',
      from: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}],"functions":[{"name":"f","x":1.0}],"function_call":{"name":"f"}`,
      to: `"tools":[{"type":"function","function":{"name":"f","x":1.0}}],"tool_choice":{"type":"function","function":{"name":"f"}},MODEL,"messages":[{"role":"user","content":"q"},{"tool_calls":[{"id":"call_of_message_1","type":"function","function":{"name":"f","arguments":"{}"}}],"role":"assistant","content":null},{"tool_call_id":"call_of_message_1","role":"tool","name":"f","content":"r"}]`,
    },
    {
      ...base,
      what: 'tools that are not allowed are not offered',
      from: `${hi},"tools":[${tool('a')}, ${tool('b')}],"tool_choice":${allowed('auto')}`,
      to: `${hi},"tools":[${tool('b')}],"tool_choice":"auto"`,
    },
  ]
}

const replays = [
  ...replay('groq', 'reasoning', 'reasoning_content'),
  ...replay('together', 'reasoning', 'reasoning_content'),
  ...replay('cerebras', 'reasoning', 'reasoning_content'),
  ...replay('xai', 'reasoning_content', 'reasoning'),
  ...replay('fireworks', 'reasoning_content', 'reasoning'),
  ...replay('nebius', 'reasoning_content', 'reasoning'),
  ...replay('parasail', 'reasoning_content', 'reasoning'),
  ...replay('sgl', 'reasoning_content', 'reasoning'),
]

const rows: readonly Row[] = [
  ...replays,
  // Mistral
  {
    vendor: 'mistral',
    what: 'only allowed tools, one of which must be called',
    from: `${hi},"tools":[${tool('a')},${tool('b')}],"tool_choice":${allowed('required')}`,
    to: `${hi},"tools":[${tool('b')}],"tool_choice":"any"`,
  },
  {
    vendor: 'mistral',
    what: 'a named tool stays an object',
    from: `${hi},"tool_choice": ${forced}`,
    to: `${hi},"tool_choice": ${forced}`,
  },
  {
    vendor: 'mistral',
    what: 'a temperature it refuses is its own to refuse',
    from: `${hi},"temperature":1.9`,
    to: `${hi},"temperature":1.9`,
  },
  {
    vendor: 'mistral',
    what: 'an assistant message at the end is the beginning of the answer',
    from: '"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"{"}]',
    to: '"messages":[{"role":"user","content":"q"},{"prefix":true,"role":"assistant","content":"{"}]',
  },
  {
    vendor: 'mistral',
    what: 'which the caller may say, too',
    from: '"messages":[{"role":"assistant","content":"{","prefix":false}]',
    to: '"messages":[{"role":"assistant","content":"{","prefix":false}]',
  },
  {
    vendor: 'mistral',
    what: 'ids of calls have nine letters and digits, those of results the same',
    from: turns(
      '{"role":"assistant","content":"","tool_calls":[{"id":"call_abcdefghijkl","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"Abc123xyz","type":"function","function":{"name":"f","arguments":"{}"}}]}',
      '{"role":"tool","name":"f","tool_call_id":"Abc123xyz","content":"1"}',
      '{"role":"tool","tool_call_id" : "call_abcdefghijkl","content":"2"}',
    ),
    to: turns(
      '{"role":"assistant","content":"","tool_calls":[{"id":"xL7KBiVI9","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"Abc123xyz","type":"function","function":{"name":"f","arguments":"{}"}}]}',
      '{"role":"tool","name":"f","tool_call_id":"Abc123xyz","content":"1"}',
      '{"role":"tool","tool_call_id" : "xL7KBiVI9","content":"2"}',
    ),
  },
  {
    vendor: 'mistral',
    what: 'files are documents, audio is bare',
    from: `"messages":[{"role":"user","content":[{"type":"text","text":"é"},{"type":"image_url","image_url":"data:image/png;base64,AA=="},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}},{"type":"file","file":{"file_data":"JVBE"}},{"type":"file","file":{"filename":"b.docx","file_data":"UEsD"}},{"type":"file","file":{"file_id":"f1"}},{"type":"file","file":{"file_url":"https://a.example/b.pdf"}},{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}]}]`,
    to: `"messages":[{"role":"user","content":[{"type":"text","text":"é"},{"type":"image_url","image_url":"data:image/png;base64,AA=="},{"type":"document_url","document_url":"data:application/pdf;base64,JVBE","document_name":"a.pdf"},{"type":"document_url","document_url":"data:application/pdf;base64,JVBE"},{"type":"document_url","document_url":"data:application/vnd.openxmlformats-officedocument.wordprocessingml.document;base64,UEsD","document_name":"b.docx"},{"type":"file","file_id":"f1"},{"type":"document_url","document_url":"https://a.example/b.pdf"},{"type":"input_audio","input_audio":"UklG"}]}]`,
  },
  {
    vendor: 'mistral',
    model: 'magistral-medium-latest',
    what: 'thoughts are parts of the content',
    from: said(',"reasoning":"t\\n","reasoning_content":"t\\n"'),
    to: turns(
      '{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"t\\n"}],"closed":true},{"type":"text","text":"a"}]}',
    ),
  },
  {
    vendor: 'mistral',
    model: 'mistral-small-latest',
    what: 'next to parts that are there',
    from: turns(
      `{"role":"assistant","content":[{"type":"text","text":"a", "x":1.0}],${details},"tool_calls":[]}`,
    ),
    to: turns(
      '{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"think"}],"closed":true},{"type":"text","text":"a", "x":1.0}],"tool_calls":[]}',
    ),
  },
  {
    vendor: 'mistral',
    model: 'mistral-large-latest',
    what: 'models that do not think are told of no thoughts',
    from: said(',"reasoning":"t"'),
    to: said(''),
    dropped: ['messages[1].reasoning'],
  },
  {
    vendor: 'mistral',
    model: 'codestral-latest',
    what: 'effort is nothing to models that never think',
    from: `${hi},"reasoning_effort":"low"`,
    to: hi,
    dropped: ['reasoning_effort'],
  },
  {
    vendor: 'mistral',
    model: 'codestral-latest',
    what: 'by whatever field it comes',
    from: `${hi},"reasoning":{"effort":"low","max_tokens":5}`,
    to: hi,
    dropped: ['reasoning.max_tokens', 'reasoning.effort'],
  },
  {
    vendor: 'mistral',
    what: 'usage comes unasked',
    from: `"stream_options":{"include_usage":true,"include_obfuscation":true},${hi}`,
    to: hi,
    dropped: ['stream_options.include_obfuscation'],
  },
  // Groq
  {
    vendor: 'groq',
    what: 'zero is almost zero',
    from: `${hi},"temperature" : 0.0`,
    to: `${hi},"temperature" : 1e-8`,
  },
  {
    vendor: 'groq',
    model: 'qwen/qwen3-32b',
    what: 'thoughts have a field of their own',
    from: `${hi},"reasoning_effort":"low"`,
    to: `"reasoning_format":"parsed",MODEL,${hi},"reasoning_effort":"default"`,
  },
  {
    vendor: 'groq',
    model: 'qwen/qwen3-32b',
    what: 'unless the caller decides',
    from: `${hi},"include_reasoning":false`,
    to: `${hi},"include_reasoning":false`,
  },
  {
    vendor: 'groq',
    model: 'openai/gpt-oss-120b',
    what: 'some models cannot be kept from thinking',
    from: `${hi},"reasoning_effort":"none"`,
    to: `${hi},"reasoning_effort":"low"`,
    dropped: ['reasoning_effort'],
  },
  {
    vendor: 'groq',
    model: 'openai/gpt-oss-120b',
    what: 'three steps of effort',
    from: `${hi},"reasoning_effort":"xhigh"`,
    to: `${hi},"reasoning_effort":"high"`,
  },
  // DeepSeek
  {
    vendor: 'deepseek',
    model: 'deepseek-v4-pro',
    what: 'thinking ignores sampling',
    from: `${hi},"temperature":0.2,"top_p":1,"presence_penalty":0,"logprobs":true`,
    to: hi,
    dropped: ['temperature', 'logprobs'],
  },
  {
    vendor: 'deepseek',
    model: 'deepseek-v4-pro',
    what: 'which counts when it does not think',
    from: `${hi},"temperature":0.2,"reasoning_effort":"none"`,
    to: `"thinking":{"type":"disabled"},MODEL,${hi},"temperature":0.2`,
  },
  {
    vendor: 'deepseek',
    model: 'deepseek-v4-pro',
    what: 'or when the caller says so in its own way',
    from: `${hi},"temperature":0.2,"thinking":{"type":"disabled"}`,
    to: `${hi},"temperature":0.2,"thinking":{"type":"disabled"}`,
  },
  {
    vendor: 'deepseek',
    model: 'deepseek-v4-pro',
    what: 'a forced tool is called without thinking',
    from: `${hi},"tool_choice":"required","reasoning_effort":"high"`,
    to: `"thinking":{"type":"disabled"},MODEL,${hi},"tool_choice":"required"`,
    dropped: ['reasoning_effort'],
  },
  {
    vendor: 'deepseek',
    model: 'deepseek-v4-pro',
    what: 'next to tools every answer has its thoughts, be they empty',
    from: `${turns('{"role":"assistant","content":"a"}', '{"role":"assistant","content":"b","reasoning":"t"}')},"tools":[${tool('f')}]`,
    to: `${turns('{"reasoning_content":"","role":"assistant","content":"a"}', '{"role":"assistant","content":"b","reasoning_content":"t"}')},"tools":[${tool('f')}]`,
  },
  {
    vendor: 'deepseek',
    model: 'deepseek-v4-pro',
    what: 'a schema is said in words',
    from: `${hi},"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","x":1.0}}}`,
    to: '"messages":[{"role":"system","content":"Answer with one JSON object that fits this JSON Schema, and with nothing else:\\n{\\"type\\":\\"object\\",\\"x\\":1.0}"},{"role":"user","content":"hi"}],"response_format":{"type":"json_object"}',
  },
  // xAI
  {
    vendor: 'xai',
    model: 'grok-4',
    what: 'models that think refuse penalties and stops',
    from: `${hi},"stop":"x","presence_penalty":1,"frequency_penalty":0`,
    to: hi,
    dropped: ['presence_penalty', 'stop'],
  },
  {
    vendor: 'xai',
    model: 'grok-4-fast-non-reasoning',
    what: 'others take them',
    from: `${hi},"stop":"x","presence_penalty":1`,
    to: `${hi},"stop":"x","presence_penalty":1`,
  },
  {
    vendor: 'xai',
    model: 'grok-4.7',
    what: 'newer ones know more effort',
    from: `${hi},"reasoning_effort":"xhigh"`,
    to: `${hi},"reasoning_effort":"xhigh"`,
  },
  // Cerebras, Together
  {
    vendor: 'cerebras',
    model: 'zai-glm-4.7',
    what: 'thinking is turned off by a field',
    from: `${hi},"reasoning_effort":"none"`,
    to: `"disable_reasoning":true,MODEL,${hi}`,
  },
  {
    vendor: 'cerebras',
    model: 'gpt-oss-120b',
    what: 'or not at all',
    from: `${hi},"reasoning_effort":"none"`,
    to: `${hi},"reasoning_effort":"low"`,
    dropped: ['reasoning_effort'],
  },
  {
    vendor: 'together',
    what: 'its own reasoning object stays',
    from: `${hi},"reasoning":{"enabled":true}`,
    to: `${hi},"reasoning":{"enabled":true}`,
  },
  // vLLM and Hugging Face
  {
    vendor: 'vllm',
    what: 'reasoning stays in the field it came by',
    from: turns(
      '{"role":"assistant","content":"a","reasoning_content":"t"}',
      '{"role":"assistant","content":"b","reasoning":"t"}',
    ),
    to: turns(
      '{"role":"assistant","content":"a","reasoning_content":"t"}',
      '{"role":"assistant","content":"b","reasoning":"t"}',
    ),
  },
  {
    vendor: 'vllm',
    what: 'its own parameters are its own',
    from: `${hi},"guided_json":{"a":1.0},"chat_template_kwargs":{"enable_thinking":false},"min_p":0.1`,
    to: `${hi},"guided_json":{"a":1.0},"chat_template_kwargs":{"enable_thinking":false},"min_p":0.1`,
  },
  {
    vendor: 'huggingface',
    what: 'no backend is told of thoughts',
    from: said(`,${details}`),
    to: said(''),
    dropped: ['messages[1].reasoning_details'],
  },
  // OpenAI
  ...['gpt-5', 'o3-mini', 'gpt-6-luna', 'gpt-4o-search-preview'].map((model) => ({
    vendor: 'openai',
    model,
    what: `${model} gets what was written, and refuses what it refuses`,
    from: `${hi},"max_tokens":5,"temperature":0.2,"presence_penalty":1,"logit_bias":{"1":2},"logprobs":true`,
    to: `${hi},"max_tokens":5,"temperature":0.2,"presence_penalty":1,"logit_bias":{"1":2},"logprobs":true`,
  })),
  {
    vendor: 'openai',
    model: 'gpt-4.1',
    what: 'members of our own making stay here',
    from: `${said(',"refusal":null,"annotations":[],"reasoning":"t"')},"temperature":0.2,"max_tokens":5,"top_k":4`,
    to: `${said(',"refusal":null,"annotations":[]')},"temperature":0.2,"max_tokens":5`,
    dropped: ['top_k', 'messages[1].reasoning'],
  },
  {
    vendor: 'openai',
    model: 'gpt-4.1',
    what: 'what other vendors put into their answers is not sent',
    from: said(ofOthers),
    to: said(''),
    dropped: lostOfOthers,
  },
  {
    vendor: 'openai',
    model: 'gpt-4.1',
    what: 'roles and functions are theirs',
    from: '"messages":[{"role":"developer","content":"a"},{"role":"system","content":"b"}],"functions":[{"name":"f"}],"function_call":"auto"',
    to: '"messages":[{"role":"developer","content":"a"},{"role":"system","content":"b"}],"functions":[{"name":"f"}],"function_call":"auto"',
  },
]

function whole(model: string, members: string): string {
  const own = `"model":"${model}"`
  return members.includes('MODEL') ? `{${members.replace('MODEL', own)}}` : `{${own},${members}}`
}

describe('a request goes out', () => {
  test.each(rows.map((row) => [row.vendor, row.what, row] as const))(
    'to %s: %s',
    async (vendor, _, row) => {
      const model = row.model ?? 'm'
      const text = whole(`${vendor}/${model}`, row.from)
      const { status, body, dropped, error } = await rig.sent(text)
      expect(error).toBeUndefined()
      expect([status, body]).toEqual([200, whole(model, row.to)])
      expect(dropped).toEqual([...(row.dropped ?? [])])
      if (!row.dropped) return
      const strict = await rig.sent(text, { headers: { 'x-bf-strict': 'true' } })
      expect([strict.status, strict.error.param, strict.body]).toEqual([
        400,
        row.dropped[0],
        undefined,
      ])
    },
  )

  test('the same id always becomes the same, and different ones do not meet', async () => {
    const ids = async (): Promise<string[]> => {
      const calls = Array.from(
        { length: 200 },
        (_, at) => `{"id":"call_${at}","type":"function","function":{"name":"f","arguments":"{}"}}`,
      )
      const text = `{"model":"mistral/m","messages":[{"role":"assistant","content":"","tool_calls":[${calls.join(',')}]},{"role":"user","content":"x"}]}`
      const { body } = await rig.sent(text)
      return JSON.parse(body!).messages[0].tool_calls.map(({ id }: { id: string }) => id)
    }
    const once = await ids()
    expect(new Set(once).size).toBe(200)
    expect(once.every((id) => /^[0-9A-Za-z]{9}$/.test(id))).toBe(true)
    expect(await ids()).toEqual(once)
  })

  test.each([
    ['deepseek', 'image_url', '{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}'],
    [
      'deepseek',
      'input_audio',
      '{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}',
    ],
  ])('%s reads no %s', async (vendor, _, part) => {
    const text = `{"model":"${vendor}/deepseek-v4-pro","messages":[{"role":"user","content":[{"type":"text","text":"x"},${part}]}]}`
    const { status, error, body } = await rig.sent(text)
    expect([status, error.param, error.code, body]).toEqual([
      400,
      'messages[0].content[1]',
      'unsupported_value',
      undefined,
    ])
  })

  test('a deprecated function call and its result have one id, which suits the vendor', async () => {
    const text = `{"model":"mistral/m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}]}`
    const { body } = await rig.sent(text)
    const [, call, result] = JSON.parse(body!).messages
    expect(call.tool_calls[0].id).toMatch(/^[0-9A-Za-z]{9}$/)
    expect(result).toMatchObject({ role: 'tool', tool_call_id: call.tool_calls[0].id })
  })
})

describe('other operations', () => {
  test.each([
    [
      'mistral',
      '/embeddings',
      '"input":"x","dimensions":5,"user":"u"',
      '"input":"x","output_dimension":5',
      ['user'],
    ],
    [
      'nebius',
      '/images/generations',
      '"prompt":"p","size":"1024x512","output_format":"jpeg"',
      '"prompt":"p","response_extension":"jpg"',
      [],
    ],
    ['together', '/images/generations', '"prompt":"p","size":"64x32"', '"prompt":"p"', []],
    [
      'xai',
      '/images/generations',
      '"prompt":"p","size":"64x32","n":2',
      '"prompt":"p","n":2',
      ['size'],
    ],
    [
      'xai',
      '/responses',
      '"input":"x","safety_identifier":"s","store":false',
      '"input":"x","store":false',
      ['safety_identifier'],
    ],
    ['perplexity', '/responses', '"input":"x","store":false', '"input":"x","store":false', []],
  ] as const)('%s %s', async (vendor, path, from, to, dropped) => {
    const { body, dropped: lost } = await rig.sent(`{"model":"${vendor}/m",${from}}`, { path })
    const sides = { nebius: '"width":1024,"height":512,', together: '"width":64,"height":32,' }
    const added = (sides as Record<string, string>)[vendor] ?? ''
    expect([body, lost]).toEqual([`{${added}"model":"m",${to}}`, [...dropped]])
  })

  test('a model by the name it had', async () => {
    const { body } = await rig.sent('{"model":"perplexity/sonar","input":"x"}', {
      path: '/responses',
    })
    expect(body).toBe('{"model":"perplexity/sonar","input":"x"}')
  })
})

describe('nothing is changed', () => {
  const everything = `{ "model" : "m","messages":[{"role":"developer","content":"d","x":1.0},{"role":"assistant","content":"a","refusal":null,"annotations":[],"reasoning":"r",${details},"tool_calls":[{"id":"call_long_enough","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{}}]},{"role":"tool","tool_call_id":"call_long_enough","name":"f","content":"r"}],"temperature":0,"n":2,"reasoning":{"effort":"low","max_tokens":5},"tool_choice":${allowed('auto')},"functions":[],"logit_bias":{"1":1.0},"metadata":{},"max_tokens":5,"seed":1,"top_k":3 }`

  test.each([
    ['openrouter', 'openrouter/m'],
    ['a model of OpenAI that is not known', 'openai/m'],
    ['a server that is reached as OpenAI', 'elsewhere/m'],
  ])('for %s', async (_, model) => {
    const { body, dropped } = await rig.sent(everything.replace('"m"', `"${model}"`))
    expect([body, dropped]).toEqual([everything, []])
  })
})
