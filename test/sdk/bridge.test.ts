import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { APIError } from 'openai'

import { CUTS, replyChunks, says, startBridge } from '../pipeline/bridge-rig.ts'
import type { BridgeRig } from '../pipeline/bridge-rig.ts'

// OpenAI's own client speaks Responses to providers that have chat only.

let rig: BridgeRig
beforeAll(async () => {
  rig = await startBridge(['groq', 'mistral', 'deepseek', 'openrouter'])
})
afterAll(() => rig[Symbol.asyncDispose]())

const tool = {
  type: 'function' as const,
  name: 'weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: false,
}

function replyJson(message: object, finish = 'stop', more: object = {}): void {
  rig.upstream.reply({
    json: {
      id: 'x',
      object: 'chat.completion',
      model: 'up-1',
      choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }],
      usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
      ...more,
    },
  })
}

describe.each(CUTS)('responses.stream over chunks that come by the %s', (cut) => {
  test('assembles reasoning, text and parallel calls', async () => {
    replyChunks(
      rig.upstream,
      [
        says({ reasoning: 'Let me see.' }),
        says({ content: 'Looking' }),
        says({ content: ' it up.' }),
        says({
          tool_calls: [
            {
              index: 0,
              id: 'call_a',
              type: 'function',
              function: { name: 'weather', arguments: '' },
            },
            {
              index: 1,
              id: 'call_b',
              type: 'function',
              function: { name: 'weather', arguments: '{"ci' },
            },
          ],
        }),
        says({ tool_calls: [{ index: 0, function: { arguments: '{"city":"Rome"}' } }] }),
        says({ tool_calls: [{ index: 1, function: { arguments: 'ty":"Oslo"}' } }] }),
        says({}, 'tool_calls'),
        { choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } },
      ],
      cut,
    )
    const stream = rig.client.responses.stream({ model: 'groq/m', input: 'hi', tools: [tool] })
    const types: string[] = []
    for await (const { type } of stream) types.push(type)
    const response = await stream.finalResponse()
    expect(types[0]).toBe('response.created')
    expect(types.at(-1)).toBe('response.completed')
    expect(response.output_text).toBe('Looking it up.')
    expect(response.output.map(({ type }) => type)).toEqual([
      'reasoning',
      'message',
      'function_call',
      'function_call',
    ])
    expect(
      response.output.flatMap((item) =>
        item.type === 'function_call' ? [[item.call_id, item.arguments]] : [],
      ),
    ).toEqual([
      ['call_a', '{"city":"Rome"}'],
      ['call_b', '{"city":"Oslo"}'],
    ])
    expect(response.usage).toMatchObject({ input_tokens: 3, output_tokens: 4, total_tokens: 7 })
    const sent = rig.upstream.requests.at(-1)!
    expect(sent.path).toBe('/v1/chat/completions')
    expect(sent.json().stream_options).toEqual({ include_usage: true })
  })
})

describe('responses.create', () => {
  test('repeats the request’s settings in a whole response', async () => {
    replyJson({ content: 'Hello.' })
    const settings = {
      instructions: 'Be brief.',
      metadata: { a: 'b' },
      temperature: 0.25,
      tools: [tool],
      tool_choice: 'auto' as const,
      max_output_tokens: 50,
    }
    const response = await rig.client.responses.create({
      model: 'groq/m',
      input: 'hi',
      ...settings,
    })
    expect(response).toMatchObject({
      ...settings,
      object: 'response',
      status: 'completed',
      model: 'up-1',
      error: null,
      incomplete_details: null,
      parallel_tool_calls: true,
      previous_response_id: null,
      text: { format: { type: 'text' } },
      usage: { input_tokens: 5, output_tokens: 7, total_tokens: 12 },
    })
    expect(response.id).toMatch(/^resp_/)
    expect(response.output_text).toBe('Hello.')
    expect(rig.upstream.requests.at(-1)!.json()).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ],
      temperature: 0.25,
      max_completion_tokens: 50,
      tools: [{ type: 'function', function: { name: 'weather', parameters: tool.parameters } }],
      tool_choice: 'auto',
    })
  })

  test('is refused as the provider refused the chat', async () => {
    rig.upstream.reply({
      status: 429,
      json: { error: { message: 'slow down', code: 'rate_limit_exceeded' } },
    })
    const refused = await rig.client.responses
      .create({ model: 'groq/m', input: 'hi' })
      .catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(APIError)
    expect((refused as APIError).status).toBe(429)
  })

  test('of an answer that is an error inside a 200 is that error', async () => {
    rig.upstream.reply({ json: { error: { message: 'no', code: 'context_length_exceeded' } } })
    const refused = await rig.client.responses
      .create({ model: 'openrouter/v/m', input: 'hi' })
      .catch((error: unknown) => error)
    expect((refused as APIError).status).toBe(400)
  })

  test('carries a whole conversation back, reasoning and all', async () => {
    replyJson(
      {
        content: null,
        reasoning_details: [
          { type: 'reasoning.text', index: 0, text: 'Hm', signature: 'sig', format: 'f-v1' },
        ],
        tool_calls: [
          { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{}' } },
        ],
      },
      'tool_calls',
    )
    const first = await rig.client.responses.create({
      model: 'openrouter/v/m',
      input: [{ role: 'user', content: 'hi' }],
      tools: [tool],
      store: false,
      include: ['reasoning.encrypted_content'],
    })
    expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'function_call'])
    replyJson({ content: 'Rain.' })
    const second = await rig.client.responses.create({
      model: 'openrouter/v/m',
      input: [
        { role: 'user', content: 'hi' },
        ...(first.output as never[]),
        { type: 'function_call_output', call_id: 'call_a', output: 'rain' },
      ],
      tools: [tool],
    })
    expect(second.output_text).toBe('Rain.')
    expect(rig.upstream.requests.at(-1)!.json().messages).toMatchObject([
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        reasoning_details: [
          { type: 'reasoning.text', index: 0, text: 'Hm', signature: 'sig', format: 'f-v1' },
        ],
        tool_calls: [{ id: 'call_a', function: { name: 'weather', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'call_a', content: 'rain' },
    ])
  })

  test('names the place of a mistake as the caller wrote it', async () => {
    const refused = await rig.client.responses
      .create({
        model: 'groq/m',
        input: [{ type: 'function_call_output', call_id: 'x', output: '' }],
      })
      .catch((error: unknown) => error)
    expect(refused).toMatchObject({ status: 400, param: 'input[0].call_id' })
  })

  test('names tool and provider where there is no equivalent', async () => {
    const refused = await rig.client.responses
      .create({
        model: 'groq/m',
        input: 'hi',
        tools: [{ type: 'code_interpreter', container: { type: 'auto' } }],
      })
      .catch((error: unknown) => error)
    expect(refused).toMatchObject({
      status: 400,
      param: 'tools[0].type',
      code: 'unsupported_tool',
    })
    expect((refused as APIError).message).toMatch(/'groq'.*'code_interpreter'/)
  })

  test('declares what the provider was not told, by the caller’s names', async () => {
    replyJson({ content: 'Hi' })
    const request = { model: 'mistral/m', input: 'hi', top_logprobs: 2, max_tool_calls: 1 }
    const answer = await rig.post('/responses', request)
    expect(answer.status).toBe(200)
    const dropped = answer.headers.get('x-bf-dropped-params')!.split(',')
    expect(dropped).toContain('max_tool_calls')
    expect(dropped).toContain('top_logprobs')
    expect(dropped).not.toContain('logprobs')
    const strict = await rig.post('/responses', request, { 'x-bf-strict': 'true' })
    expect(strict.status).toBe(400)
  })
})

test('responses.parse reads the answer by its schema', async () => {
  replyJson({ content: '{"city":"Rome"}' })
  const format = {
    type: 'json_schema' as const,
    name: 'place',
    schema: { type: 'object', properties: { city: { type: 'string' } } },
    strict: true,
    $brand: 'auto-parseable-response-format' as const,
    $parseRaw: (text: string): unknown => JSON.parse(text),
  }
  const response = await rig.client.responses.parse({
    model: 'groq/m',
    input: 'hi',
    text: { format },
  })
  expect(response.output_parsed).toEqual({ city: 'Rome' })
  expect(rig.upstream.requests.at(-1)!.json().response_format).toEqual({
    type: 'json_schema',
    json_schema: { name: 'place', schema: format.schema, strict: true },
  })
})

test('a stream that fails in the middle is a failed response to the helper', async () => {
  const gate = Promise.withResolvers<void>()
  rig.upstream.reply({
    sse: [
      JSON.stringify(says({ content: 'Half' })),
      JSON.stringify({ error: { message: 'broken', code: 'server_error' } }),
    ],
    gate: [undefined, gate.promise],
  })
  const stream = rig.client.responses.stream({ model: 'groq/m', input: 'hi' })
  stream.on('response.output_text.delta', () => gate.resolve())
  const response = await stream.finalResponse()
  expect(response.status).toBe('failed')
  expect(response.error).toMatchObject({ code: 'server_error', message: 'broken' })
  expect(response.output_text).toBe('Half')
})

const python = Bun.spawnSync(['python3', '-c', 'import openai'])
if (python.exitCode === 0) {
  test('python’s responses.stream takes the events', async () => {
    replyChunks(rig.upstream, [says({ reasoning: 'Hm' }), says({ content: 'Hi' }, 'stop')])
    const script = `
import openai
client = openai.OpenAI(base_url='${rig.gateway.url}/openai/v1', api_key='none', max_retries=0)
with client.responses.stream(model='groq/m', input='hi') as stream:
    for event in stream: pass
    print(stream.get_final_response().output_text)
`
    const run = Bun.spawn(['python3', '-c', script], { stdout: 'pipe', stderr: 'pipe' })
    const [out, err] = await Promise.all([
      new Response(run.stdout).text(),
      new Response(run.stderr).text(),
    ])
    expect(err).toBe('')
    expect(out.trim()).toBe('Hi')
  }, 60_000)
} else {
  console.info('python with the openai package is not here: its responses.stream was not tried')
}
