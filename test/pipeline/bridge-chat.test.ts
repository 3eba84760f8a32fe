import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { playback } from '../helpers/upstream.ts'
import { CUTS, startBridge } from './bridge-rig.ts'
import type { BridgeRig, Cut } from './bridge-rig.ts'

// Chat for models that can only be asked by Responses.

let rig: BridgeRig
beforeAll(async () => {
  rig = await startBridge(['openai', 'perplexity'])
})
afterAll(() => rig[Symbol.asyncDispose]())

const tools = [
  {
    type: 'function' as const,
    function: { name: 'weather', parameters: { type: 'object', properties: {} } },
  },
]

const text = (said: string, annotations: object[] = []): object => ({
  type: 'output_text',
  text: said,
  annotations,
  logprobs: [],
})
const message = (id: string, ...content: object[]): object => ({
  type: 'message',
  id,
  status: 'completed',
  role: 'assistant',
  content,
})
const reasoning = {
  type: 'reasoning',
  id: 'rs_1',
  summary: [
    { type: 'summary_text', text: 'One.' },
    { type: 'summary_text', text: 'Two.' },
  ],
  encrypted_content: 'gAAAA',
}
const call = (id: string, input: string): object => ({
  type: 'function_call',
  id: `fc_${id}`,
  status: 'completed',
  call_id: id,
  name: 'weather',
  arguments: input,
})

function responseOf(output: readonly object[], more: object = {}): object {
  return {
    id: 'resp_up',
    object: 'response',
    created_at: 1,
    status: 'completed',
    model: 'gpt-6-astra-1',
    service_tier: 'default',
    error: null,
    incomplete_details: null,
    output,
    usage: {
      input_tokens: 10,
      input_tokens_details: { cached_tokens: 4 },
      output_tokens: 20,
      output_tokens_details: { reasoning_tokens: 8 },
      total_tokens: 30,
    },
    ...more,
  }
}

/** As OpenAI streams the answer that `full` is. */
function replyEvents(
  full: any,
  { cut = 'line', halves = 2 }: { cut?: Cut; halves?: 1 | 2 } = {},
): void {
  const events: any[] = []
  const add = (type: string, members: object): void => void events.push({ type, ...members })
  const start = { ...full, status: 'in_progress', output: [], usage: null }
  add('response.created', { response: start })
  add('response.in_progress', { response: start })
  const pieces = (whole: string): string[] => {
    const middle = halves === 1 ? 0 : Math.ceil(whole.length / 2)
    return [whole.slice(0, middle), whole.slice(middle)].filter((piece) => piece !== '')
  }
  full.output.forEach((item: any, output_index: number) => {
    const place = { item_id: item.id, output_index }
    const empty = { ...item, status: 'in_progress', summary: [], content: [], arguments: '' }
    add('response.output_item.added', { output_index, item: empty })
    if (item.type === 'reasoning') {
      item.summary.forEach((part: any, summary_index: number) => {
        const where = { ...place, summary_index }
        add('response.reasoning_summary_part.added', { ...where, part: { ...part, text: '' } })
        for (const delta of pieces(part.text)) {
          add('response.reasoning_summary_text.delta', { ...where, delta })
        }
        add('response.reasoning_summary_part.done', { ...where, part })
      })
    } else if (item.type === 'message') {
      item.content.forEach((part: any, content_index: number) => {
        const where = { ...place, content_index }
        add('response.content_part.added', { ...where, part })
        const isRefusal = part.type === 'refusal'
        for (const delta of pieces(part.text ?? part.refusal)) {
          add(isRefusal ? 'response.refusal.delta' : 'response.output_text.delta', {
            ...where,
            delta,
            logprobs: [],
          })
        }
        part.annotations?.forEach((annotation: object, annotation_index: number) => {
          add('response.output_text.annotation.added', { ...where, annotation_index, annotation })
        })
        add('response.content_part.done', { ...where, part })
      })
    } else {
      // The last piece comes with `done` only, which some servers do.
      const [first] = pieces(item.arguments)
      add('response.function_call_arguments.delta', { ...place, delta: first ?? '' })
      add('response.function_call_arguments.done', { ...place, arguments: item.arguments })
    }
    add('response.output_item.done', { output_index, item })
  })
  add(`response.${full.status}`, { response: full })
  const frames = events.map(
    (event, sequence_number) =>
      `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`,
  )
  rig.upstream.reply({
    headers: { 'content-type': 'text/event-stream' },
    chunks: playback(frames.join(''), cut),
  })
}

const annotation = {
  type: 'url_citation',
  url: 'https://a.example/',
  title: 'A',
  start_index: 0,
  end_index: 3,
}

describe.each(CUTS)('a response streamed by the %s', (cut) => {
  test.each<[string, object[], object, object]>([
    [
      'reasoning and parallel calls',
      [reasoning, message('msg_1', text('Wait.')), call('a', '{"x":1}'), call('b', '')],
      {},
      {
        content: 'Wait.',
        reasoning: 'One.\n\nTwo.',
        reasoning_details: [
          {
            type: 'reasoning.summary',
            index: 0,
            id: 'rs_1',
            summary: 'One.\n\nTwo.',
            format: 'openai-responses-v1',
          },
          {
            type: 'reasoning.encrypted',
            index: 0,
            id: 'rs_1',
            data: 'gAAAA',
            format: 'openai-responses-v1',
          },
        ],
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"x":1}' } },
          { id: 'b', type: 'function', function: { name: 'weather', arguments: '{}' } },
        ],
      },
    ],
    [
      'two messages and a source in the second',
      [message('msg_1', text('One. ')), message('msg_2', text('Two.', [annotation]))],
      {},
      {
        content: 'One. Two.',
        annotations: [
          {
            type: 'url_citation',
            url_citation: { url: 'https://a.example/', title: 'A', start_index: 5, end_index: 8 },
          },
        ],
      },
    ],
    [
      'a refusal',
      [message('msg_1', { type: 'refusal', refusal: 'I won’t.' })],
      {},
      { content: null, refusal: 'I won’t.' },
    ],
    [
      'what was cut short',
      [message('msg_1', text('Once'))],
      { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
      { content: 'Once' },
    ],
  ])('of %s is the chat completion that it is as a whole', async (_, output, more, expected) => {
    const request = {
      model: 'openai/gpt-6-astra',
      messages: [{ role: 'user' as const, content: 'hi' }],
      tools,
    }
    const full = responseOf(output, more)
    rig.upstream.reply({ json: full })
    const whole = await rig.client.chat.completions.create(request)
    expect(whole.choices[0]!.message).toMatchObject(expected)
    expect(whole.usage).toMatchObject({
      prompt_tokens: 10,
      completion_tokens: 20,
      total_tokens: 30,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 8 },
    })
    replyEvents(full, { cut })
    const stream = rig.client.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
    })
    const assembled: any = await stream.finalChatCompletion()
    const [one, other]: any[] = [whole.choices[0], assembled.choices[0]]
    expect(other.finish_reason).toBe(one.finish_reason)
    for (const name of ['content', 'refusal', 'tool_calls']) {
      expect(other.message[name] || null).toEqual(one.message[name] || null)
    }
    expect(assembled.usage).toEqual(whole.usage!)
    expect(one.finish_reason).toBe(
      'tool_calls' in expected ? 'tool_calls' : 'status' in more ? 'length' : 'stop',
    )
  })
})

test('what is said in pieces without their ends, or at the end only, is said once', async () => {
  const full: any = responseOf([message('msg_1', text('Hello')), call('a', '{"x":1}')])
  rig.upstream.reply({
    sse: [
      { type: 'response.created', response: { ...full, output: [] } },
      { type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: 'Hel' },
      { type: 'response.completed', response: full },
    ].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
  })
  const stream = rig.client.chat.completions.stream({
    model: 'openai/gpt-6-astra',
    messages: [{ role: 'user', content: 'hi' }],
    tools,
  })
  const { message: said } = (await stream.finalChatCompletion()).choices[0]!
  expect(said.content).toBe('Hello')
  expect(said.tool_calls![0]).toMatchObject({ function: { arguments: '{"x":1}' } })
})

describe('the request to a model that has Responses only', () => {
  test('asks the same', async () => {
    rig.upstream.reply({ json: responseOf([message('msg_1', text('Hi'))]) })
    const answer = await rig.post('/chat/completions', {
      model: 'openai/gpt-6-astra',
      messages: [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'user',
          name: 'ann',
          content: [
            { type: 'text', text: 'look' },
            { type: 'image_url', image_url: { url: 'https://x.example/a.png', detail: 'low' } },
            {
              type: 'file',
              file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' },
            },
          ],
        },
        {
          role: 'assistant',
          content: 'Wait.',
          reasoning_details: [
            {
              type: 'reasoning.summary',
              index: 0,
              id: 'rs_1',
              summary: 'Hm',
              format: 'openai-responses-v1',
            },
            {
              type: 'reasoning.encrypted',
              index: 0,
              id: 'rs_1',
              data: 'gAA',
              format: 'openai-responses-v1',
            },
            {
              type: 'reasoning.text',
              index: 1,
              text: 'x',
              signature: 's',
              format: 'anthropic-claude-v1',
            },
          ],
          tool_calls: [
            { id: 'a', type: 'function', function: { name: 'weather', arguments: '{}' } },
            { id: 'b', type: 'custom', custom: { name: 'sh', input: 'ls' } },
          ],
        },
        { role: 'tool', tool_call_id: 'a', content: 'rain' },
        { role: 'tool', tool_call_id: 'b', content: [{ type: 'text', text: 'f' }] },
      ],
      tools: [
        ...tools,
        {
          type: 'custom',
          custom: {
            name: 'sh',
            format: { type: 'grammar', grammar: { syntax: 'regex', definition: '.*' } },
          },
        },
      ],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      parallel_tool_calls: false,
      max_completion_tokens: 5,
      reasoning_effort: 'low',
      verbosity: 'high',
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'n', schema: { type: 'object' }, strict: true },
      },
      stop: ['x'],
      seed: 1,
      metadata: { a: 'b' },
    })
    expect(answer.status).toBe(200)
    const sent = rig.upstream.requests.at(-1)!
    expect(sent.path).toBe('/v1/responses')
    expect(sent.json()).toEqual({
      model: 'gpt-6-astra',
      metadata: { a: 'b' },
      input: [
        { type: 'message', role: 'developer', content: 'Be brief.' },
        {
          type: 'message',
          role: 'user',
          content: [
            { type: 'input_text', text: 'look' },
            { type: 'input_image', image_url: 'https://x.example/a.png', detail: 'low' },
            {
              type: 'input_file',
              filename: 'a.pdf',
              file_data: 'data:application/pdf;base64,AA==',
            },
          ],
        },
        {
          type: 'reasoning',
          id: 'rs_1',
          summary: [{ type: 'summary_text', text: 'Hm' }],
          encrypted_content: 'gAA',
        },
        {
          type: 'message',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Wait.' }],
        },
        { type: 'function_call', call_id: 'a', name: 'weather', arguments: '{}' },
        { type: 'custom_tool_call', call_id: 'b', name: 'sh', input: 'ls' },
        { type: 'function_call_output', call_id: 'a', output: 'rain' },
        { type: 'custom_tool_call_output', call_id: 'b', output: 'f' },
      ],
      max_output_tokens: 16,
      text: {
        format: { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true },
        verbosity: 'high',
      },
      reasoning: { effort: 'low', summary: 'auto' },
      tools: [
        {
          type: 'function',
          name: 'weather',
          parameters: { type: 'object', properties: {} },
          strict: false,
        },
        {
          type: 'custom',
          name: 'sh',
          format: { type: 'grammar', syntax: 'regex', definition: '.*' },
        },
      ],
      tool_choice: { type: 'function', name: 'weather' },
      parallel_tool_calls: false,
      include: ['reasoning.encrypted_content'],
      store: false,
    })
    expect(answer.headers.get('x-bf-dropped-params')!.split(',').toSorted()).toEqual([
      'max_completion_tokens',
      'messages[1].name',
      'messages[2].reasoning_details',
      'seed',
      'stop',
    ])
  })

  test('tells which members of messages, parts, calls and tools it leaves out', async () => {
    const made = { id: 'a', type: 'function', function: { name: 'weather', arguments: '{}' } }
    rig.upstream.reply({ json: responseOf([message('m', text('Hi'))]) })
    const answer = await rig.post('/chat/completions', {
      model: 'openai/gpt-6-sol',
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'hi', later: 1 }] },
        {
          role: 'assistant',
          content: null,
          citations: [],
          tool_calls: [{ ...made, extra_content: { google: {} } }],
        },
        { role: 'tool', tool_call_id: 'a', content: 'rain' },
      ],
      tools: [{ ...tools[0], later: 1 }],
    })
    expect(answer.headers.get('x-bf-dropped-params')!.split(',').toSorted()).toEqual([
      'messages[0].content[0].later',
      'messages[1].citations',
      'messages[1].tool_calls[0].extra_content',
      'tools[0].later',
    ])
  })

  test('does not tell a model how to pick its words while it thinks', async () => {
    const base = { messages: [{ role: 'user', content: 'hi' }], tools, temperature: 0.5, top_p: 1 }
    rig.upstream.reply({ json: responseOf([message('m', text('Hi'))]) })
    const thinking = await rig.post('/chat/completions', { model: 'openai/gpt-6-sol', ...base })
    expect(thinking.headers.get('x-bf-dropped-params')).toBe('temperature')
    expect(rig.upstream.requests.at(-1)!.json()).not.toHaveProperty('temperature')
    rig.upstream.reply({ json: responseOf([message('m', text('Hi'))]) })
    const quiet = await rig.post('/chat/completions', {
      model: 'openai/gpt-6-astra',
      reasoning_effort: 'none',
      ...base,
    })
    expect(quiet.headers.get('x-bf-dropped-params')).toBe('reasoning_effort,temperature')
    expect(rig.upstream.requests.at(-1)!.json()).toMatchObject({ reasoning: { effort: 'low' } })
  })

  test('is refused where it wants several answers', async () => {
    const answer = await rig.post('/chat/completions', {
      model: 'openai/gpt-6-astra',
      messages: [{ role: 'user', content: 'hi' }],
      tools,
      n: 2,
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: { param: 'n' } })
  })
})

describe('which way a chat request goes', () => {
  test.each<[string, object, 'chat' | 'responses']>([
    ['openai/gpt-6-astra', {}, 'chat'],
    ['openai/gpt-6-astra', { tools }, 'responses'],
    ['openai/gpt-6.1-sol-2026-11-01', { tools, reasoning_effort: 'none' }, 'responses'],
    ['openai/gpt-5.6', { tools, reasoning_effort: 'none' }, 'chat'],
    ['openai/gpt-5.6-luna', { tools, reasoning_effort: 'low' }, 'responses'],
    ['openai/gpt-6-sol', { tools }, 'responses'],
    ['openai/gpt-6.1-terra', { tools }, 'chat'],
    ['openai/gpt-5.2-pro', {}, 'responses'],
    ['openai/gpt-5.3-codex', {}, 'responses'],
    ['openai/gpt-5', { tools }, 'chat'],
    ['openai/something-new', { tools }, 'chat'],
    ['perplexity/sonar', {}, 'responses'],
  ])('%s, case %#', async (model, more, way) => {
    if (way === 'responses') rig.upstream.reply({ json: responseOf([message('m', text('Hi'))]) })
    const answer = await rig.post('/chat/completions', {
      model,
      messages: [{ role: 'user', content: 'hi' }],
      ...more,
    })
    expect(answer.status).toBe(200)
    const path = way === 'chat' ? '/v1/chat/completions' : '/v1/responses'
    expect(rig.upstream.requests.at(-1)!.path).toBe(path)
    expect(await answer.json()).toMatchObject({ object: 'chat.completion' })
  })

  test('at Azure is decided by the model that a deployment has', async () => {
    await using azure = await startBridge(['azure'])
    azure.upstream.reply({ json: responseOf([message('m', text('Hi'))]) })
    const answer = await azure.post('/chat/completions', {
      model: 'azure/gpt-5.3-codex',
      messages: [{ role: 'user', content: 'hi' }],
    })
    expect(answer.status).toBe(200)
    expect(azure.upstream.requests.at(-1)!.path).toBe('/openai/v1/responses')
  })

  test('is Responses for every model of a key that says so', async () => {
    await using other = await startBridge(['openai'], {
      openai_key_config: { use_responses_api: true },
    })
    other.upstream.reply({ json: responseOf([message('m', text('Hi'))]) })
    const answer = await other.post('/chat/completions', {
      model: 'openai/gpt-4.1',
      messages: [{ role: 'user', content: 'hi' }],
      temperature: 0.5,
    })
    expect(answer.status).toBe(200)
    const sent = other.upstream.requests.at(-1)!
    expect(sent.path).toBe('/v1/responses')
    expect(sent.json().temperature).toBe(0.5)
    // A model that does not think has nothing to seal, and OpenAI refuses to be asked for it.
    expect(sent.json()).not.toHaveProperty('include')
  })
})

describe('a response that failed', () => {
  const failed = responseOf([], {
    status: 'failed',
    error: { code: 'rate_limit_exceeded', message: 'slow down' },
  })
  const request = {
    model: 'openai/gpt-6-astra',
    messages: [{ role: 'user', content: 'hi' }],
    tools,
  }

  test('whole has the status of its code', async () => {
    rig.upstream.reply({ json: failed })
    const answer = await rig.post('/chat/completions', request)
    expect(answer.status).toBe(429)
    expect(await answer.json()).toMatchObject({ error: { message: 'slow down' } })
  })

  test.each([
    ['response.failed', { response: failed }],
    ['error', { code: 'rate_limit_exceeded', message: 'slow down', param: null }],
  ])('in the middle of a stream by %s ends it with an error', async (type, members) => {
    const gate = Promise.withResolvers<void>()
    const frame = (event: object & { type: string }): string =>
      `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
    rig.upstream.reply({
      sse: [
        frame({ type: 'response.output_text.delta', output_index: 0, delta: 'Half' } as never),
        frame({ type, ...members }),
      ],
      gate: [undefined, gate.promise],
    })
    const answer = await rig.post('/chat/completions', { ...request, stream: true })
    expect(answer.status).toBe(200)
    gate.resolve()
    const streamed = await answer.text()
    expect(streamed).toContain('"content":"Half"')
    expect(streamed).toMatch(/"error":\{[^}]*slow down/)
    expect(streamed).not.toContain('[DONE]')
  })

  test('by its connection is truncated', async () => {
    const event = { type: 'response.output_text.delta', output_index: 0, delta: 'Half' }
    rig.upstream.reply({ sse: [`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`] })
    const answer = await rig.post('/chat/completions', { ...request, stream: true })
    expect(await answer.text()).toContain('upstream_truncated')
  })
})
