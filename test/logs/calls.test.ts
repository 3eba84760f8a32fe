import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

const completion = (content: string, more: object = {}): object => ({
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  usage: {
    prompt_tokens: 7,
    completion_tokens: 3,
    total_tokens: 10,
    prompt_tokens_details: { cached_tokens: 4 },
  },
  ...more,
})

const chunk = (delta: object, more: object = {}): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: null, ...more }],
  })

describe('a call leaves a row', () => {
  let rig: LogRig
  beforeAll(async () => {
    rig = await logRig({ client: { logging_headers: ['X-Team'] } })
  })
  afterAll(async () => {
    await rig[Symbol.asyncDispose]()
  })

  const one = async (id: string): Promise<any> => await rig.get(`/api/logs/${id}`)

  test('when it succeeded, with what was said', async () => {
    rig.upstream.reply({ json: completion('General Kenobi') })
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }]
    await rig.chat(
      { temperature: 0.5, tools },
      {
        'x-request-id': 'whole-1',
        'x-team': 'blue',
        'x-bf-lh-tenant': 'acme',
        'x-bf-dim-region': 'eu',
        'x-other': 'no',
      },
    )
    expect(await one('whole-1')).toMatchObject({
      id: 'whole-1',
      object: 'chat_completion',
      stream: false,
      status: 'success',
      status_code: 200,
      provider: 'openai',
      model: 'openai/m',
      canonical_model_name: 'm',
      selected_key_name: 'main',
      selected_key: { name: 'main' },
      virtual_key: null,
      routing_rule: null,
      alias: null,
      number_of_retries: 0,
      fallback_index: 0,
      attempts: 1,
      prompt_tokens: 7,
      completion_tokens: 3,
      total_tokens: 10,
      cached_read_tokens: 4,
      token_usage: { prompt_tokens_details: { cached_tokens: 4 } },
      stop_reason: 'stop',
      content_summary: 'Hello there',
      error_details: null,
      metadata: { 'x-team': 'blue', tenant: 'acme', region: 'eu' },
      input_history: [{ role: 'user', content: 'Hello there' }],
      params: { temperature: 0.5 },
      tools,
      output_message: { role: 'assistant', content: 'General Kenobi' },
      is_request_cut: false,
      is_response_cut: false,
    })
    const row = await one('whole-1')
    expect(row.metadata).not.toHaveProperty('x-other')
    // That the only thing to decide was the key is said by the row itself, and takes no room of its own.
    expect(row.routing_engine_logs).toEqual([{ step: 'key', what: 'main' }])
    const { rows } = (
      await rig.sql("SELECT trace FROM details JOIN logs USING (n) WHERE id = 'whole-1'")
    ).body
    expect(rows).toEqual([{ trace: null }])
    expect(row.latency).toBeGreaterThan(0)
    expect(row.upstream_latency).toBeGreaterThan(0)
    expect(row.upstream_latency).toBeLessThanOrEqual(row.latency)
    expect(row.first_token_latency).toBeNull()
    expect(Date.parse(row.timestamp)).toBeWithin(Date.now() - 60_000, Date.now() + 1)
  })

  test('when it streamed, the pieces put together', async () => {
    rig.upstream.reply({
      sse: [
        chunk({ role: 'assistant', content: 'Gen' }),
        chunk({ content: 'eral' }),
        chunk({
          tool_calls: [
            { index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '{"a"' } },
          ],
        }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }),
        chunk({}, { finish_reason: 'tool_calls' }),
        '[DONE]',
      ],
    })
    await rig.chat({ stream: true }, { 'x-request-id': 'stream-1' })
    const row = await one('stream-1')
    expect(row).toMatchObject({
      object: 'chat_completion_stream',
      stream: true,
      status: 'success',
      stop_reason: 'tool_calls',
      output_message: {
        role: 'assistant',
        content: 'General',
        tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
      },
    })
    expect(row.first_token_latency).toBeGreaterThan(0)
  })

  test('when it failed, with the tries before', async () => {
    rig.upstream.reply({
      status: 400,
      json: { error: { message: 'No such thing', type: 'invalid_request_error', code: 'nope' } },
    })
    await rig.chat({}, { 'x-request-id': 'failed-1' })
    expect(await one('failed-1')).toMatchObject({
      status: 'error',
      status_code: 400,
      provider: 'openai',
      error_details: {
        message: 'No such thing',
        code: 'nope',
        kind: 'upstream_error',
        class: 'caller',
      },
      attempt_trail: [{ provider: 'openai', key_name: 'main', status_code: 400 }],
      routing_engine_logs: [
        { at_ms: expect.any(Number), step: 'key', what: 'main' },
        { at_ms: expect.any(Number), step: 'attempt' },
      ],
      raw_response: null,
    })
  })

  test('when nobody could serve it', async () => {
    await rig.chat({ model: 'groq/x' }, { 'x-request-id': 'nobody-1' })
    expect(await one('nobody-1')).toMatchObject({
      status: 'error',
      error_details: { is_bifrost_error: true },
      attempts: 0,
    })
  })

  test('when the caller left', async () => {
    const gate = Promise.withResolvers<void>()
    rig.upstream.clear()
    rig.upstream.reply({
      sse: [chunk({ content: 'Gen' }), chunk({ content: 'eral' })],
      gate: gate.promise,
    })
    const leaving = new AbortController()
    const answer = await fetch(`${rig.gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'left-1' },
      body: JSON.stringify({
        model: 'openai/m',
        stream: true,
        messages: [{ role: 'user', content: 'x' }],
      }),
      signal: leaving.signal,
    })
    await answer.body!.getReader().read()
    leaving.abort()
    await rig.upstream.requests[0]!.closed
    gate.resolve()
    await rig.gateway.logged(
      ({ id, failure_class }) => id === 'left-1' && failure_class === 'cancelled',
    )
    expect(await one('left-1')).toMatchObject({
      status: 'error',
      status_code: 499,
      error_details: { class: 'cancelled' },
      output_message: { content: 'Gen' },
    })
  })

  test('when a stream broke off half-way', async () => {
    // A reset throws away what has not been read, so it comes once the caller has the first piece.
    const seen = Promise.withResolvers<void>()
    rig.upstream.reply({
      sse: [chunk({ content: 'Gen' })],
      gate: [undefined, seen.promise],
      reset: true,
    })
    const response = await fetch(`${rig.gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'broken-1' },
      body: JSON.stringify({
        model: 'openai/m',
        messages: [{ role: 'user', content: 'Hello there' }],
        stream: true,
      }),
    })
    const reader = response.body!.getReader()
    await reader.read()
    seen.resolve()
    while (!(await reader.read()).done);
    expect(await one('broken-1')).toMatchObject({
      status: 'error',
      output_message: { content: 'Gen' },
      error_details: { kind: expect.stringMatching(/^upstream_/) },
    })
  })

  test('in the Responses API, with its items', async () => {
    rig.upstream.reply({
      sse: [
        JSON.stringify({
          type: 'response.created',
          response: { id: 'r', object: 'response', status: 'in_progress', output: [] },
        }),
        JSON.stringify({
          type: 'response.completed',
          response: {
            id: 'r',
            object: 'response',
            status: 'completed',
            output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hi' }] }],
          },
        }),
      ],
    })
    const answer = await fetch(`${rig.gateway.url}/openai/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'responses-1' },
      body: JSON.stringify({ model: 'openai/m', input: 'Say hi', stream: true }),
    })
    await answer.text()
    expect(await one('responses-1')).toMatchObject({
      object: 'responses_stream',
      stop_reason: 'completed',
      content_summary: 'Say hi',
      responses_input_history: 'Say hi',
      responses_output: [{ type: 'message' }],
    })
  })

  test('in the Responses API, as far as it came', async () => {
    const begun = { id: 'r', object: 'response', status: 'in_progress', output: [] }
    const text = { type: 'response.output_text.delta', output_index: 0, content_index: 0 }
    rig.upstream.reply({
      sse: [
        JSON.stringify({ type: 'response.created', response: begun }),
        JSON.stringify({ ...text, delta: 'Half a ' }),
        JSON.stringify({ ...text, delta: 'zebra' }),
      ],
    })
    const answer = await fetch(`${rig.gateway.url}/openai/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'responses-2' },
      body: JSON.stringify({ model: 'openai/m', input: 'Say it', stream: true }),
    })
    await answer.text()
    expect(await one('responses-2')).toMatchObject({
      status: 'error',
      error_details: { kind: 'upstream_truncated' },
      responses_output: [{ content: [{ type: 'output_text', text: 'Half a zebra' }] }],
    })
    const { logs } = await rig.get('/api/logs?content_search=zebra')
    expect(logs).toMatchObject([{ id: 'responses-2' }])
  })

  test('when its answer is nested without an end, and takes no other row with it', async () => {
    const text = JSON.stringify(completion('deep', { more: 'here' }))
    const deep = text.replace('"here"', '['.repeat(100_000) + ']'.repeat(100_000))
    const headers = { 'content-type': 'application/json' }
    rig.upstream.reply([
      { headers, text: deep },
      { sse: [chunk({ content: 'stre' }), deep, chunk({ content: 'amed' }), '[DONE]'] },
    ])
    await rig.chat({}, { 'x-request-id': 'deep-1' })
    await rig.chat({ stream: true }, { 'x-request-id': 'deep-2' })
    await rig.chat({}, { 'x-request-id': 'beside-deep' })
    expect(await one('beside-deep')).toMatchObject({ status: 'success' })
    expect(await one('deep-1')).toMatchObject({
      total_tokens: 10,
      raw_response: expect.stringContaining('deep'),
    })
    expect(await one('deep-2')).toMatchObject({ output_message: { content: 'streamed' } })
    const exported = await fetch(`${rig.gateway.url}/api/logs/export`)
    expect(await exported.text()).toContain('beside-deep')
    expect(await rig.get('/api/logs/dropped')).toMatchObject({ dropped_requests: 0 })
  })

  test('and one that is not there is a 404', async () => {
    for (const id of ['%zz', '..%2F..', encodeURIComponent(`' OR 1=1 --`)]) {
      expect(await one(id)).toMatchObject({ status_code: 404 })
    }
    expect(await one('unknown')).toMatchObject({
      status_code: 404,
      error: { code: 'log_not_found' },
    })
  })
})

describe('content', () => {
  test('is left out when the configuration says so, and how it went is kept', async () => {
    await using rig = await logRig({ client: { disable_content_logging: true } })
    rig.upstream.reply({ json: completion('secret words') })
    await rig.chat(
      { messages: [{ role: 'user', content: 'secret question' }] },
      // Without permission the header changes nothing.
      { 'x-request-id': 'a', 'x-bf-disable-content-logging': 'false' },
    )
    const row = await rig.get('/api/logs/a')
    expect(row).toMatchObject({ total_tokens: 10, raw_request: null, raw_response: null })
    expect(row.content_summary).toBeNull()
    expect(JSON.stringify(row)).not.toContain('secret')
    expect((await rig.get('/api/logs?content_search=secret')).logs).toEqual([])
  })

  test('is left out where the caller says so and may', async () => {
    await using rig = await logRig({ client: { allow_per_request_content_storage_override: true } })
    await rig.chat({}, { 'x-request-id': 'off', 'x-bf-disable-content-logging': 'true' })
    await rig.chat({}, { 'x-request-id': 'on' })
    expect((await rig.get('/api/logs/off')).raw_request).toBeNull()
    expect((await rig.get('/api/logs/on')).raw_request).toContain('Hello there')
  })

  test('is cut where it is longer than is kept', async () => {
    await using rig = await logRig({ logs_store: { max_body_kb: 1 } })
    const content = `${'long '.repeat(4000)}end`
    rig.upstream.reply({ json: completion(content) })
    await rig.chat({ messages: [{ role: 'user', content }] }, { 'x-request-id': 'long' })
    const row = await rig.get('/api/logs/long')
    expect(row).toMatchObject({ is_request_cut: true, is_response_cut: true })
    expect([row.raw_request.length, row.raw_response.length]).toEqual([1024, 1024])
  })
})

test('a log that is switched off keeps nothing and says so; switched on again it goes on', async () => {
  await using rig = await logRig({ client: { enable_logging: false } })
  await rig.chat()
  expect(await rig.get('/api/logs')).toMatchObject({
    status_code: 503,
    error: { code: 'store_unavailable' },
  })
  expect(await Bun.file(rig.dbPath).exists()).toBe(false)
  const config = JSON.parse(await Bun.file(rig.gateway.configPath).text()) as { client: object }
  config.client = {}
  await Bun.write(rig.gateway.configPath, JSON.stringify(config))
  await rig.gateway.logged(({ message }) => message === 'configuration changed')
  await rig.chat({}, { 'x-request-id': 'later' })
  expect((await rig.get('/api/logs')).logs).toMatchObject([{ id: 'later' }])
})
