import { describe, expect, test } from 'bun:test'

import type { AssistantTurn, ToolTurn, UserTurn } from '#openai/conversation/conversation.ts'
import { readConversation } from '#openai/conversation/read.ts'

const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

function turnsOf(...messages: unknown[]) {
  return readConversation({ model: 'm', messages }).turns
}

/** The place that the refusal of a request names. */
function refusedAt(request: Record<string, unknown>): string | undefined {
  try {
    readConversation({ model: 'm', messages: [], ...request })
  } catch (error) {
    const { kind, param, status } = error as { kind: string; param: string; status: number }
    expect(status).toBe(400)
    expect(['invalid_request', 'missing_parameter']).toContain(kind)
    return param
  }
  return undefined
}

describe('messages', () => {
  test('text and lists of parts come in one form, with their places', () => {
    const [instruction, user] = turnsOf(
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', name: 'ann', content: [{ type: 'text', text: 'hi' }] },
    )
    expect(instruction).toMatchObject({ role: 'instruction', as: 'developer' })
    expect(user).toMatchObject({ role: 'user', name: 'ann', param: 'messages[1]' })
    expect((user as UserTurn).parts).toEqual([
      { type: 'text', text: 'hi', param: 'messages[1].content[0]', cacheControl: undefined },
    ])
  })

  test('images are data or addresses, and what is neither is refused', () => {
    const image = (url: unknown) => ({
      role: 'user',
      content: [{ type: 'image_url', image_url: url }],
    })
    const [data, link, plain] = turnsOf(
      image({ url: `data:image/PNG;base64,${png}`, detail: 'low' }),
      image({ url: 'https://example.com/a.png' }),
      image('https://example.com/b.png'),
    ) as UserTurn[]
    expect(data!.parts[0]).toMatchObject({
      source: { kind: 'data', mediaType: 'image/png', base64: png },
      detail: 'low',
    })
    expect(link!.parts[0]).toMatchObject({ source: { kind: 'url' } })
    expect(plain!.parts[0]).toMatchObject({ source: { url: 'https://example.com/b.png' } })
    const at = 'messages[0].content[0].image_url.url'
    for (const url of ['ftp://x/y', 'data:image/png,abc', 'data:image/png;base64,@@@', '']) {
      expect(refusedAt({ messages: [image({ url })] })).toBe(at)
    }
  })

  test('a document without a data URL is what its name says', () => {
    const file = (fields: object) => ({ role: 'user', content: [{ type: 'file', file: fields }] })
    const [pdf, text, id] = turnsOf(
      file({ file_data: 'JVBERi0=', filename: 'a.pdf' }),
      file({ file_data: 'data:text/plain;base64,aGk=', filename: 'x' }),
      file({ file_id: 'file-1' }),
    ) as UserTurn[]
    expect(pdf!.parts[0]).toMatchObject({ source: { mediaType: 'application/pdf' } })
    expect(text!.parts[0]).toMatchObject({ source: { mediaType: 'text/plain', base64: 'aGk=' } })
    expect(id!.parts[0]).toMatchObject({ source: { kind: 'file', id: 'file-1' } })
    expect(refusedAt({ messages: [file({})] })).toBe('messages[0].content[0].file')
  })

  test.each([
    ['a.pdf', 'application/pdf'],
    ['A.CSV', 'text/csv'],
    ['a.docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
    ['notes 1.2', 'application/pdf'],
    [undefined, 'application/pdf'],
    ['a.zip', 'application/octet-stream'],
  ])('a document of octets or of bare base64, named %p, is %s', (filename, mediaType) => {
    const typesOf = (file_data: string): unknown[] => {
      const content = [{ type: 'file', file: { file_data, filename } }]
      const [turn] = turnsOf({ role: 'user', content })
      return turn!.parts.map((part) => part.type === 'file' && part.source)
    }
    const source = { kind: 'data', mediaType, base64: 'UEsDBBQA' }
    expect(typesOf('UEsDBBQA')).toEqual([source])
    expect(typesOf('data:application/octet-stream;base64,UEsDBBQA')).toEqual([source])
  })

  test('a part or role of an unknown kind is refused by its place', () => {
    const content = [{ type: 'text', text: 'a' }, { type: 'hologram' }]
    expect(refusedAt({ messages: [{ role: 'user', content }] })).toBe('messages[0].content[1].type')
    expect(refusedAt({ messages: [{ role: 'ghost', content: 'x' }] })).toBe('messages[0].role')
    const image = [{ type: 'image_url', image_url: 'https://example.com/a.png' }]
    expect(refusedAt({ messages: [{ role: 'system', content: image }] })).toBe(
      'messages[0].content[0]',
    )
  })

  test('a cache marker on a message belongs to the last of its parts', () => {
    const marked = { type: 'ephemeral', ttl: '1h' }
    const content = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ]
    const [turn] = turnsOf({ role: 'user', content, cache_control: marked }) as UserTurn[]
    expect(turn!.parts.map((part) => part.cacheControl)).toEqual([undefined, marked])
  })

  test("OpenAI's own breakpoint is a cache marker", () => {
    const content = [{ type: 'text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit' } }]
    const [turn] = turnsOf({ role: 'user', content }) as UserTurn[]
    expect(turn!.parts[0]!.cacheControl).toEqual({ type: 'ephemeral' })
  })
})

describe('tool calls in the history', () => {
  const call = (id: string, args: unknown) => ({
    id,
    type: 'function',
    function: { name: 'f', arguments: args },
  })
  const asking = (...calls: unknown[]) => ({ role: 'assistant', content: null, tool_calls: calls })

  test('have their arguments as text and as an object, however they were written', () => {
    const [turn] = turnsOf(
      asking(
        call('a', '{"x": 1}'),
        call('b', ''),
        call('c', { y: 2 }),
        call('d', null),
        call('e', '{oops'),
      ),
    ) as AssistantTurn[]
    expect(turn!.calls.map(({ text }) => text)).toEqual([
      '{"x": 1}',
      '{}',
      '{"y":2}',
      '{}',
      '{oops',
    ])
    expect(turn!.calls.map(({ input }) => input)).toEqual([{ x: 1 }, {}, { y: 2 }, {}, undefined])
  })

  test('give their results the name that vendors want', () => {
    const [, result] = turnsOf(asking(call('a', '{}')), {
      role: 'tool',
      tool_call_id: 'a',
      content: 'ok',
      is_error: true,
    }) as [unknown, ToolTurn]
    expect(result).toMatchObject({ name: 'f', callId: 'a', isError: true })
  })

  test('must exist: a result that answers none is refused by its place', () => {
    const orphan = { role: 'tool', tool_call_id: 'b', content: 'x' }
    expect(refusedAt({ messages: [asking(call('a', '{}')), orphan] })).toBe(
      'messages[1].tool_call_id',
    )
    expect(refusedAt({ messages: [{ role: 'tool', content: 'x' }] })).toBe(
      'messages[0].tool_call_id',
    )
  })

  test('of the deprecated form come as calls with an id', () => {
    const [asked, answered] = turnsOf(
      { role: 'assistant', function_call: { name: 'f', arguments: '{"a":1}' } },
      { role: 'function', name: 'f', content: 'r' },
    ) as [AssistantTurn, ToolTurn]
    expect(asked.calls[0]).toMatchObject({ name: 'f', input: { a: 1 } })
    expect(answered.callId).toBe(asked.calls[0]!.id)
    const lonely = { role: 'function', name: 'f', content: 'r' }
    expect(refusedAt({ messages: [lonely] })).toBe('messages[0].name')
  })

  test('keep reasoning, its signatures and whatever else a provider put there', () => {
    const details = [
      { type: 'reasoning.text', text: 'hm', signature: 's', index: 0, format: 'x', more: 1 },
      { type: 'reasoning.encrypted', data: 'd' },
      { type: 'strange' },
      'no object',
    ]
    const [turn] = turnsOf({
      role: 'assistant',
      content: 'a',
      reasoning_content: 'hm',
      reasoning_details: details,
      tool_calls: [{ ...call('a', '{}'), extra_content: { google: { thought_signature: 't' } } }],
      provider_content: [1],
    }) as AssistantTurn[]
    expect(turn!.details).toEqual([
      { type: 'reasoning.text', text: 'hm', signature: 's', index: 0, format: 'x' },
      { type: 'reasoning.encrypted', data: 'd', index: 1 },
    ])
    expect(turn!.reasoning).toBe('hm')
    expect(turn!.extra).toEqual({ provider_content: [1] })
    expect(turn!.calls[0]!.extra).toEqual({ extra_content: { google: { thought_signature: 't' } } })
  })
})

describe('tools and what is wanted of them', () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }]

  test('every spelling of the choice', () => {
    const choice = (tool_choice: unknown) =>
      readConversation({ messages: [], tools, tool_choice }).toolChoice
    expect(choice('required')).toEqual({ mode: 'required' })
    expect(choice({ type: 'function', function: { name: 'f' } })).toEqual({
      mode: 'named',
      name: 'f',
    })
    const allowed = { mode: 'required', tools: [{ type: 'function', function: { name: 'f' } }] }
    expect(choice({ type: 'allowed_tools', allowed_tools: allowed })).toEqual({
      mode: 'allowed',
      names: ['f'],
      required: true,
    })
    expect(choice(null)).toBeUndefined()
    expect(refusedAt({ tools, tool_choice: 'sometimes' })).toBe('tool_choice')
  })

  test('functions are tools', () => {
    const { tools: read, toolChoice } = readConversation({
      messages: [],
      functions: [{ name: 'g', description: 'd' }],
      function_call: { name: 'g' },
    })
    expect(read).toMatchObject([
      { kind: 'function', name: 'g', description: 'd', schema: undefined },
    ])
    expect(toolChoice).toEqual({ mode: 'named', name: 'g' })
  })

  test('a tool without a name, with a schema that is none, or of an unknown type is refused', () => {
    const tool = (fields: object) => ({ tools: [{ type: 'function', function: fields }] })
    expect(refusedAt(tool({ description: 'x' }))).toBe('tools[0].function.name')
    expect(refusedAt(tool({ name: 'f', parameters: 'string' }))).toBe(
      'tools[0].function.parameters',
    )
    expect(refusedAt({ tools: [{ type: 'web_search' }] })).toBe('tools[0].type')
  })
})

describe('settings', () => {
  test('old and new names are one', () => {
    const read = (request: object) => readConversation({ messages: [], ...request })
    expect(read({ max_tokens: 5 }).maxTokens).toBe(5)
    expect(read({ max_tokens: 5, max_completion_tokens: 7 }).maxTokens).toBe(7)
    expect(read({ stop: 'x' }).stop).toEqual(['x'])
    expect(read({ reasoning: { effort: 'low' } })).toMatchObject({
      effort: 'low',
      wantsReasoning: true,
    })
    expect(read({ reasoning_effort: 'none' }).wantsReasoning).toBe(false)
  })

  test('a schema has to be there when it is promised', () => {
    const format = { type: 'json_schema', json_schema: { name: 'x' } }
    expect(refusedAt({ response_format: format })).toBe('response_format.json_schema.schema')
    expect(refusedAt({ response_format: { type: 'grammar' } })).toBe('response_format.type')
    const { format: read } = readConversation({
      messages: [],
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'x', schema: {}, strict: true },
      },
    })
    expect(read).toEqual({
      kind: 'schema',
      name: 'x',
      description: undefined,
      schema: {},
      strict: true,
    })
  })
})
