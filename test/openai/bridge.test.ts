import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { GatewayError } from '#core/errors.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import { chatChunkReader, readChatCompletion } from '#openai/answer/read-chat.ts'
import { readResponse, responseEventReader } from '#openai/answer/read-responses.ts'
import { responsesStreamWriter, responsesWholeWriter } from '#openai/answer/responses-stream.ts'
import { createThinkSplitter } from '#openai/answer/think-tags.ts'
import { toChatRequest } from '#openai/bridge/chat-request.ts'
import { toResponsesRequest } from '#openai/bridge/responses-request.ts'
import { seal, unseal } from '#openai/bridge/seal.ts'
import { readConversation } from '#openai/conversation/read.ts'

const origin = { provider: 'groq', model: 'qwen/qwen3-32b' }

function bridge(body: object): ReturnType<typeof toChatRequest> {
  return toChatRequest({ model: 'm', ...body }, origin)
}

function messagesOf(input: unknown, more: object = {}): any {
  return bridge({ input, ...more }).request['messages']
}

function refusalOf(body: object): { param: string | undefined; code: string | null } {
  try {
    bridge(body)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return { param: thrown.param, code: thrown.code }
    throw thrown
  }
  throw new Error('it was not refused')
}

const call = { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{"x":1}' }
const outcome = { type: 'function_call_output', call_id: 'c1', output: '2' }

describe('the items of a response as chat messages', () => {
  test('of one turn are one message, and outputs one each', () => {
    const details = [{ type: 'reasoning.text', index: 0, text: 'Hm', signature: 's' }]
    const input = [
      { role: 'user', content: 'go' },
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: seal(details, origin) },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Wait.' }] },
      call,
      { ...call, call_id: 'c2', name: 'g' },
      outcome,
      { ...outcome, call_id: 'c2', output: [{ type: 'input_text', text: '3' }] },
    ]
    expect(messagesOf(input, { instructions: 'Be brief.' })).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'go' },
      {
        role: 'assistant',
        content: 'Wait.',
        reasoning_details: details,
        tool_calls: [
          { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
          { id: 'c2', type: 'function', function: { name: 'g', arguments: '{"x":1}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', content: '2' },
      { role: 'tool', tool_call_id: 'c2', content: '3' },
    ])
  })

  test('keep images, files and their order', () => {
    const content = [
      { type: 'input_text', text: 'look' },
      { type: 'input_image', image_url: 'data:image/png;base64,AA==', detail: 'original' },
      { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' },
    ]
    expect(messagesOf([{ role: 'user', content }])).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'high' } },
          {
            type: 'file',
            file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' },
          },
        ],
      },
    ])
  })

  test('of custom tools are calls of the function that stands for them', () => {
    const input = [
      { type: 'custom_tool_call', call_id: 'c1', name: 'sh', input: 'ls' },
      { type: 'custom_tool_call_output', call_id: 'c1', output: 'a b' },
    ]
    const { request, tools } = bridge({ input, tools: [{ type: 'custom', name: 'sh' }] })
    const [message] = request['messages'] as any[]
    expect(message.tool_calls[0].function).toEqual({ name: 'sh', arguments: '{"input":"ls"}' })
    expect(tools.get('sh')).toEqual({ name: 'sh', namespace: undefined, isCustom: true })
  })

  test('leave out reasoning of somebody else, and say so', () => {
    const theirs = seal([], { provider: 'other', model: 'm' })
    for (const encrypted of [theirs, 'gAAAAA', 'gw1.%%%']) {
      const { dropped, request } = bridge({
        input: [
          { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: encrypted },
          { role: 'assistant', content: 'Hi' },
        ],
      })
      expect(dropped).toEqual(['input[0].encrypted_content'])
      expect(request['messages']).toEqual([{ role: 'assistant', content: 'Hi' }])
    }
  })

  test('leave out finished calls of built-in tools, and say so', () => {
    const input = [
      { type: 'web_search_call', id: 'ws_1', status: 'completed' },
      { role: 'user', content: 'hi' },
    ]
    expect(bridge({ input }).dropped).toEqual(['input[0]'])
  })

  test('that refer to an item in the same request need nothing more', () => {
    const input = [
      { type: 'message', id: 'msg_1', role: 'user', content: 'hi' },
      { type: 'item_reference', id: 'msg_1' },
    ]
    expect(messagesOf(input)).toHaveLength(1)
  })
})

describe('a request that chat cannot say', () => {
  test.each<[string, object, string, string]>([
    ['an output without its call', { input: [outcome] }, 'input[0].call_id', 'invalid_value'],
    ['a call without its output', { input: [call] }, 'input[0].call_id', 'invalid_value'],
    ['an unknown item', { input: [{ type: 'program' }] }, 'input[0].type', 'unsupported_value'],
    [
      'an output of a built-in tool',
      { input: [{ type: 'computer_call_output', call_id: 'x' }] },
      'input[0].type',
      'unsupported_value',
    ],
    [
      'a reference to nothing',
      { input: [{ type: 'item_reference', id: 'x' }] },
      'input[0].id',
      'item_not_found',
    ],
    [
      'an uploaded image',
      { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
      'input[0].content[0].file_id',
      'unsupported_value',
    ],
    [
      'a built-in tool',
      { input: 'hi', tools: [{ type: 'function', name: 'f' }, { type: 'code_interpreter' }] },
      'tools[1].type',
      'unsupported_tool',
    ],
    [
      'the choice of a tool that is not there',
      { input: 'hi', tools: [], tool_choice: { type: 'function', name: 'f' } },
      'tool_choice.name',
      'invalid_value',
    ],
    ['background', { input: 'hi', background: true }, 'background', 'unsupported_parameter'],
    ['a stored prompt', { input: 'hi', prompt: { id: 'p' } }, 'prompt', 'unsupported_parameter'],
    ['a conversation', { input: 'hi', conversation: 'c' }, 'conversation', 'unsupported_parameter'],
    [
      'a response that nobody kept',
      { input: 'hi', previous_response_id: 'resp_x' },
      'previous_response_id',
      'previous_response_not_found',
    ],
    ['no input', {}, 'input', 'missing_required_parameter'],
  ])('because of %s is refused with the place', (_, body, param, code) => {
    expect(refusalOf(body)).toEqual({ param, code })
  })
})

test('settings have their names in chat, and what chat has no name for is declared', () => {
  const { request, dropped } = bridge({
    input: 'hi',
    max_output_tokens: 100,
    max_tool_calls: 3,
    truncation: 'auto',
    temperature: 0.5,
    top_logprobs: 2,
    metadata: { a: 'b' },
    store: true,
    reasoning: { effort: 'low', summary: 'auto', mode: 'pro' },
    text: {
      verbosity: 'low',
      format: { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true },
    },
    tools: [{ type: 'function', name: 'f', parameters: { type: 'object' }, strict: null }],
    tool_choice: { type: 'function', name: 'f' },
    parallel_tool_calls: false,
  })
  expect(request).toEqual({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    temperature: 0.5,
    max_completion_tokens: 100,
    logprobs: true,
    top_logprobs: 2,
    reasoning_effort: 'low',
    reasoning: { summary: 'auto' },
    verbosity: 'low',
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'n', schema: { type: 'object' }, strict: true },
    },
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
    tool_choice: { type: 'function', function: { name: 'f' } },
    parallel_tool_calls: false,
  })
  expect(dropped.toSorted()).toEqual(['max_tool_calls', 'reasoning.mode', 'truncation'])
})

test('only allowed tools are offered, and a search is let and not forced', () => {
  const tools = ['f', 'g', 'h'].map((name) => ({ type: 'function', name }))
  const allowed = [tools[0], tools[2]]
  const { request } = bridge({
    input: 'hi',
    tools,
    tool_choice: { type: 'allowed_tools', mode: 'required', tools: allowed },
  })
  expect((request['tools'] as any[]).map(({ function: fn }) => fn.name)).toEqual(['f', 'h'])
  expect(request['tool_choice']).toBe('required')
  const search = bridge({
    input: 'hi',
    tools: [{ type: 'web_search', user_location: { type: 'approximate', city: 'Rome' } }, ...tools],
    tool_choice: { type: 'web_search' },
  })
  expect(search.request['web_search_options']).toEqual({
    user_location: { type: 'approximate', approximate: { city: 'Rome' } },
  })
  expect(search.request['tool_choice']).toBe('auto')
  expect(search.dropped).toEqual(['tool_choice'])
})

test('what the helpers of the SDK leave in items they have read is not sent', () => {
  const messages = messagesOf([
    {
      role: 'assistant',
      content: [{ type: 'output_text', text: '{}', annotations: [], parsed: { a: 1 } }],
    },
    { ...call, parsed_arguments: { x: 1 } },
    outcome,
  ])
  expect(messages[0]).toEqual({
    role: 'assistant',
    content: '{}',
    tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
  })
})

test('a request of many small items is read in a moment', () => {
  const many = 20_000
  const input = [
    ...Array.from({ length: many }, (_, i) => ({
      type: 'message',
      id: `msg_${i}`,
      role: 'assistant',
      content: [{ type: 'output_text', text: 'x' }],
    })),
    ...Array.from({ length: many }, (_, i) => ({ type: 'item_reference', id: `msg_${i}` })),
    ...Array.from({ length: many }, () => ({ type: 'web_search_call', id: 'ws' })),
  ]
  expect(messagesOf(input)[0].content).toHaveLength(many)
})

test('tools of a namespace are flat for the model and go back to their place', () => {
  const inner = { type: 'function', name: 'find' }
  const { request, tools } = bridge({
    input: [{ ...call, namespace: 'crm', name: 'find' }, outcome],
    tools: [{ type: 'namespace', name: 'crm', tools: [inner] }],
  })
  expect((request['tools'] as any[])[0].function.name).toBe('crm__find')
  expect((request['messages'] as any[])[0].tool_calls[0].function.name).toBe('crm__find')
  expect(tools.get('crm__find')).toEqual({ name: 'find', namespace: 'crm', isCustom: false })
})

test('places in the chat request have the names that the caller used', () => {
  const { placeOf } = bridge({
    instructions: 'x',
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'a' },
          { type: 'input_image', image_url: 'https://x/' },
        ],
      },
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm' }] },
      call,
      outcome,
    ],
    tools: [{ type: 'namespace', name: 'n', tools: [{ type: 'function', name: 'f' }] }],
  })
  const pairs: [string, string][] = [
    ['messages[0].content', 'instructions'],
    ['messages[2].reasoning_details', 'input[1]'],
    ['messages[1].content[1].image_url.url', 'input[0].content[1].image_url'],
    ['messages[2].tool_calls[0].id', 'input[2].call_id'],
    ['messages[2].tool_calls[0].function.arguments', 'input[2].arguments'],
    ['messages[3].tool_call_id', 'input[3].call_id'],
    ['tools[0].function.parameters', 'tools[0].tools[0].parameters'],
    ['max_completion_tokens', 'max_output_tokens'],
    ['response_format.json_schema.schema', 'text.format.schema'],
    ['temperature', 'temperature'],
  ]
  for (const [chat, own] of pairs) expect(placeOf(chat)).toBe(own)
})

describe('an answer as a response', () => {
  function responseTo(request: object, message: object): any {
    const writer = responsesWholeWriter({ ...facts, request: request as never })
    readChatCompletion({ choices: [{ message, finish_reason: 'stop' }] }, writer)
    return JSON.parse(writer.result()!.text)
  }
  const detail = { type: 'reasoning.text', index: 0, text: 'Hm', signature: 's' }

  test('packs what has a signature even unasked, and plain thoughts only when asked', () => {
    const { output } = responseTo({}, { content: 'Hi', reasoning_details: [detail] })
    expect(unseal(output[0].encrypted_content, origin) as unknown).toEqual([detail])
    const plain = responseTo({}, { content: 'Hi', reasoning: 'Hm' })
    expect(plain.output[0]).not.toHaveProperty('encrypted_content')
    const asked = responseTo({ include: ['reasoning.encrypted_content'] }, { reasoning: 'Hm' })
    expect(asked.output[0]).toHaveProperty('encrypted_content')
  })

  test('shows no summary to who wants none', () => {
    const request = { reasoning: { effort: 'low', summary: null } }
    const { output } = responseTo(request, { content: 'Hi', reasoning_details: [detail] })
    expect(output[0].summary).toEqual([])
    expect(output[0]).toHaveProperty('encrypted_content')
  })

  test('has the calls of custom tools that the provider knows itself', () => {
    const custom = { id: 'c1', type: 'custom', custom: { name: 'sh', input: 'ls' } }
    expect(responseTo({}, { content: null, tool_calls: [custom] }).output).toEqual([
      expect.objectContaining({
        type: 'custom_tool_call',
        call_id: 'c1',
        name: 'sh',
        input: 'ls',
        status: 'completed',
      }),
    ])
  })

  test('is told to who keeps it before it is written, and says whether it was kept', () => {
    const seen: unknown[] = []
    const writer = responsesWholeWriter({
      ...facts,
      onResponse(response) {
        seen.push(response['id'])
        response['store'] = false
      },
    })
    readChatCompletion({ choices: [{ message: { content: 'Hi' } }] }, writer)
    expect(seen).toEqual(['resp_1'])
    expect(JSON.parse(writer.result()!.text).store).toBe(false)
  })
})

describe('sealed reasoning', () => {
  test.each([
    ['eu.vendor.claude-2-v1:0', 'global.vendor.claude-3-v1:0', true],
    ['vendor.claude-2-v1:0', 'arn:aws:bedrock:eu-west-1:1:profile/us.vendor.claude-2', true],
    ['us.vendor.claude-2-v1:0', 'us.vendor.nova-2-v1:0', false],
    ['gpt-4.1', 'gpt-4.2-mini', true],
    ['o3', 'gpt-4.1', false],
  ])('of %s opens for %s: %p', (from, to, opens) => {
    const sealed = seal([], { provider: 'a', model: from })
    expect(unseal(sealed, { provider: 'a', model: to }) !== undefined).toBe(opens)
  })

  test('opens for its provider and family of models, and for nobody else', () => {
    const details = [{ type: 'reasoning.encrypted', index: 0, data: 'x' }]
    const sealed = seal(details, { provider: 'a', model: 'v/claude-1' })
    expect(unseal(sealed, { provider: 'a', model: 'claude-2' }) as unknown).toEqual(details)
    expect(unseal(sealed, { provider: 'b', model: 'claude-2' })).toBeUndefined()
    expect(unseal(sealed, { provider: 'a', model: 'gemini-2' })).toBeUndefined()
  })

  test('that anybody changed is nothing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(unseal(`gw1.${text}`, origin)).toBeUndefined()
      }),
    )
  })
})

test('thoughts between tags are told from text however the text is cut', () => {
  const inner = fc.string({ maxLength: 10 }).filter((text) => !text.includes('<'))
  fc.assert(
    fc.property(inner, inner, fc.array(fc.nat(40), { maxLength: 6 }), (thought, text, cuts) => {
      const whole = `<think>\n${thought}</think>\n\n${text}`
      let said = ''
      let thoughts = ''
      const splitter = createThinkSplitter(
        (piece) => (said += piece),
        (piece) => (thoughts += piece),
      )
      let at = 0
      for (const cut of [...cuts, whole.length].toSorted((a, b) => a - b)) {
        splitter.push(whole.slice(at, cut))
        at = Math.max(at, Math.min(cut, whole.length))
      }
      splitter.flush()
      expect(said).toBe(text.trimStart())
      // A line end that follows the tag in a piece of its own is kept.
      expect(thoughts.replace(/^\n/, '')).toBe(thought.replace(/^\n/, ''))
    }),
  )
})

const facts = {
  id: 'resp_1',
  model: 'm',
  createdAt: 1,
  now: () => 2,
  request: { include: ['reasoning.encrypted_content'] },
  tools: new Map<string, never>(),
  seal: (details: readonly unknown[]) => seal(details, origin),
}
const chatFacts = { id: '1', model: 'm', createdAt: 1 }

interface Turn {
  thought: string
  text: string
  calls: { name: string; input: Record<string, unknown> }[]
}
const turn: fc.Arbitrary<Turn> = fc.record({
  thought: fc.string({ maxLength: 10 }),
  text: fc.string({ maxLength: 10 }),
  calls: fc.array(
    fc.record({
      name: fc.stringMatching(/^[a-z]{1,8}$/),
      input: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.jsonValue({ maxDepth: 1 })),
    }),
    { maxLength: 3 },
  ),
})

function completionOf({ thought, text, calls }: Turn): object {
  const message = {
    role: 'assistant',
    content: text,
    ...(thought !== '' && { reasoning_content: thought }),
    tool_calls: calls.map(({ name, input }, at) => ({
      id: `call_${at}`,
      type: 'function',
      function: { name, arguments: JSON.stringify(input) },
    })),
  }
  return { id: 'x', model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] }
}

describe('an answer that goes over the bridge', () => {
  test('as items and back as messages keeps calls, ids, texts and thoughts', () => {
    fc.assert(
      fc.property(turn, (said) => {
        const writer = responsesWholeWriter(facts)
        readChatCompletion(completionOf(said), writer)
        const response = JSON.parse(writer.result()!.text)
        const outputs = said.calls.map((_, at) => ({ ...outcome, call_id: `call_${at}` }))
        const messages = messagesOf([...response.output, ...outputs])
        const expected = said.thought + said.text === '' && said.calls.length === 0 ? 0 : 1
        const hasTurn = said.text !== '' || said.calls.length > 0
        expect(messages).toHaveLength((hasTurn ? expected : 0) + said.calls.length)
        if (!hasTurn) return
        const [message] = messages
        expect(message.content ?? '').toBe(said.text)
        expect(message.reasoning_details?.[0].text ?? '').toBe(said.thought)
        expect(
          (message.tool_calls ?? []).map(({ id, function: { name, arguments: input } }: any) => [
            id,
            name,
            input,
          ]),
        ).toEqual(
          said.calls.map(({ name, input }, at) => [`call_${at}`, name, JSON.stringify(input)]),
        )
      }),
    )
  })

  test('is the same streamed and whole', () => {
    fc.assert(
      fc.property(turn, (said) => {
        let text = ''
        readChatCompletion(
          completionOf(said),
          responsesStreamWriter(facts, (events) => {
            text += events
          }),
        )
        const whole = responsesWholeWriter(facts)
        readChatCompletion(completionOf(said), whole)
        const last = text.trimEnd().split('\n\n').at(-1)!
        const { response } = JSON.parse(last.slice(last.indexOf('data: ') + 6))
        expect(response).toEqual(JSON.parse(whole.result()!.text))
      }),
    )
  })

  test('from a response keeps what a chat completion made of it', () => {
    fc.assert(
      fc.property(turn, (said) => {
        const items = responsesWholeWriter(facts)
        readChatCompletion(completionOf(said), items)
        const chat = chatWholeWriter(chatFacts)
        readResponse(JSON.parse(items.result()!.text), chat)
        const { message, finish_reason } = JSON.parse(chat.result()!.text).choices[0]
        expect(message.content ?? '').toBe(said.text)
        expect(message.reasoning ?? '').toBe(said.thought)
        expect(message.tool_calls ?? []).toEqual(
          said.calls.map(({ name, input }, at) => ({
            id: `call_${at}`,
            type: 'function',
            function: { name, arguments: JSON.stringify(input) },
          })),
        )
        expect(finish_reason).toBe(said.calls.length > 0 ? 'tool_calls' : 'stop')
      }),
    )
  })

  test('as chat history and as items again keeps every call, id and text', () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 3 }), (turns) => {
        const messages = turns.flatMap(({ text, calls }, i) => [
          { role: 'user', content: `q${i}` },
          {
            role: 'assistant',
            content: text,
            tool_calls: calls.map(({ name, input }, at) => ({
              id: `call_${i}_${at}`,
              type: 'function',
              function: { name, arguments: JSON.stringify(input) },
            })),
          },
          ...calls.map((_, at) => ({
            role: 'tool',
            tool_call_id: `call_${i}_${at}`,
            content: '1',
          })),
        ])
        const dropped: string[] = []
        const request = toResponsesRequest(readConversation({ model: 'm', messages }), {
          seals: false,
          drop: (place) => dropped.push(place),
        })
        const back = messagesOf(request['input'])
        const solid = messages
          .filter(
            (message) =>
              message.role !== 'assistant' ||
              message.content !== '' ||
              (message as any).tool_calls.length > 0,
          )
          .map((message: any) => {
            if (message.role !== 'assistant') return message
            const { tool_calls: calls, ...rest } = message
            const content = message.content === '' ? null : message.content
            return { ...rest, content, ...(calls.length > 0 && { tool_calls: calls }) }
          })
        expect(back).toEqual(solid)
        expect(dropped).toEqual([])
      }),
    )
  })
})

describe('input of any shape', () => {
  const word = fc.constantFrom(
    'message',
    'function_call',
    'function_call_output',
    'custom_tool_call',
    'custom_tool_call_output',
    'reasoning',
    'item_reference',
    'function',
    'custom',
    'namespace',
    'web_search',
    'input_text',
    'input_image',
    'input_file',
    'output_text',
    'refusal',
    'assistant',
    'user',
    'gw1.e30',
    'allowed_tools',
  )
  const names = ['type', 'role', 'content', 'call_id', 'id', 'name', 'arguments', 'output', 'text']
  const more = ['summary', 'encrypted_content', 'tools', 'mode', 'format', 'image_url', 'input']
  const { anything } = fc.letrec((tie) => ({
    anything: fc.oneof(
      { maxDepth: 4 },
      word,
      fc.constantFrom(null, 1, '', 'x', true, []),
      fc.array(tie('anything'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names, ...more), tie('anything'), { maxKeys: 6 }),
    ),
  }))
  const knows = (thrown: unknown): void => expect(thrown).toBeInstanceOf(GatewayError)

  test('is a chat request or a refusal, and never an accident', () => {
    const body = fc.record({
      input: fc.array(anything, { maxLength: 4 }),
      tools: fc.array(anything, { maxLength: 3 }),
      tool_choice: anything,
      reasoning: anything,
      text: anything,
    })
    fc.assert(
      fc.property(body, (given) => {
        try {
          readConversation(bridge(given).request)
        } catch (thrown) {
          knows(thrown)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('from a provider is an answer or its failure, and never an accident', () => {
    const output = fc.array(anything, { maxLength: 4 })
    fc.assert(
      fc.property(output, anything, anything, (items, usage, status) => {
        try {
          readResponse({ output: items, usage, status }, responsesWholeWriter(facts))
          readResponse({ output: items, usage }, chatWholeWriter(chatFacts))
        } catch (thrown) {
          knows(thrown)
        }
        const reader = responseEventReader(chatWholeWriter(chatFacts))
        const types = ['output_item.added', 'output_item.done', 'output_text.delta', 'completed']
        for (const type of types) {
          try {
            const [item] = items
            reader.event({
              type: `response.${type}`,
              item,
              delta: usage,
              response: { output: items },
            })
          } catch (thrown) {
            knows(thrown)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('sloppy chunks', () => {
  function assembled(deltas: readonly object[], options = {}): any {
    const writer = chatWholeWriter(chatFacts)
    const reader = chatChunkReader(writer, options)
    for (const delta of deltas) {
      reader.chunk({ choices: [{ index: 0, delta, finish_reason: '' }], usage: null })
    }
    reader.done()
    return JSON.parse(writer.result()!.text).choices[0].message
  }
  const piece = (
    { name, ...more }: { index?: number; id?: string; name?: string },
    written: string,
  ): object => ({
    role: 'assistant',
    function_call: null,
    tool_calls: [
      { ...more, function: { ...(name !== undefined && { name }), arguments: written } },
    ],
  })

  test('repeat id, name and role', () => {
    const { tool_calls: calls } = assembled([
      piece({ index: 0, id: 'a', name: 'f' }, '{'),
      piece({ index: 0, id: 'a', name: 'f' }, '}'),
    ])
    expect(calls).toEqual([{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }])
  })

  test('have no index', () => {
    const { tool_calls: calls } = assembled([
      piece({ id: 'a', name: 'f' }, '{"x"'),
      piece({}, ':1}'),
      piece({ id: 'b', name: 'g' }, '{}'),
    ])
    expect(calls.map(({ id, function: fn }: any) => [id, fn.name, fn.arguments])).toEqual([
      ['a', 'f', '{"x":1}'],
      ['b', 'g', '{}'],
    ])
  })

  test('count every call as the first', () => {
    const { tool_calls: calls } = assembled([
      piece({ index: 0, id: 'a', name: 'f' }, '{}'),
      piece({ index: 0, id: 'b', name: 'f' }, '{}'),
    ])
    expect(calls).toHaveLength(2)
  })

  test('have neither ids nor text for arguments', () => {
    const { tool_calls: calls } = assembled([
      {
        tool_calls: [
          { function: { name: 'f', arguments: { x: 1 } } },
          { function: { name: 'f', arguments: { x: 2 } } },
        ],
      },
    ])
    expect(calls.map(({ function: fn }: any) => fn.arguments)).toEqual(['{"x":1}', '{"x":2}'])
    expect(new Set(calls.map(({ id }: any) => id)).size).toBe(2)
  })

  test('say the same reasoning by two names', () => {
    const { reasoning } = assembled([{ reasoning: 'a', reasoning_content: 'a' }, { content: 'b' }])
    expect(reasoning).toBe('a')
  })

  test('hold parts of text and thinking', () => {
    const message = assembled([
      { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }] }] },
      { content: [{ type: 'text', text: 'Hi' }] },
    ])
    expect(message).toMatchObject({ content: 'Hi', reasoning: 'Hm' })
  })

  test('hold thoughts between tags where the vendor is known to write them so', () => {
    const message = assembled([{ content: '<thi' }, { content: 'nk>Hm</think>Hi' }], {
      thinkTags: true,
    })
    expect(message).toMatchObject({ content: 'Hi', reasoning: 'Hm' })
  })

  test('never name their call', () => {
    expect(() => assembled([piece({ index: 0, id: 'a' }, '{}')])).toThrow('without a name')
  })

  test('of any shape throw nothing but what they are', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 5 }), (values) => {
        const reader = chatChunkReader(chatWholeWriter(chatFacts))
        for (const value of values) {
          try {
            reader.chunk({
              choices: [{ delta: value, finish_reason: value }, value],
              usage: value,
            })
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(GatewayError)
          }
        }
      }),
    )
  })
})
