import { afterAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Traces as Bifrost's plugin `otel` configures them.

const upstream = await startUpstream()
afterAll(() => upstream.stop())

function startCollector() {
  const spans: any[] = []
  const services = new Set<string>()
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { resourceSpans } = (await request.json()) as any
      services.add(resourceSpans[0].resource.attributes[0].value.stringValue)
      spans.push(...resourceSpans[0].scopeSpans[0].spans)
      return new Response('')
    },
  })
  const attribute = (key: string) =>
    spans.flatMap(({ attributes }) =>
      attributes.flatMap((each: any) => (each.key === key ? [each.value] : [])),
    )
  const url = `http://127.0.0.1:${server.port}`
  return { url, spans, services, attribute, stop: () => server.stop(true) }
}

const completion = {
  ...{ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
}
const chat = { model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }

async function run(
  config: object,
  calls: readonly {
    headers?: Record<string, string>
    path?: string
    body?: object
    json?: object
  }[],
): Promise<void> {
  const gateway = await startGateway({
    config: {
      providers: {
        openai: { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } },
      },
      plugins: [{ name: 'otel', enabled: true, config }],
    },
  })
  for (const { headers, path = '/chat/completions', body = chat, json = completion } of calls) {
    upstream.reply({ json })
    const response = await fetch(`${gateway.url}/openai/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    expect(response.status).toBe(200)
    await response.text()
  }
  await gateway.drain()
}

test('several collectors, each told what it may be told', async () => {
  const [open, closed] = [startCollector(), startCollector()]
  const profiles = [
    {
      collector_url: open.url,
      service_name: 'open',
      request_headers: ['X-Tenant', 'x-t-*', 'Authorization'],
    },
    { collector_url: closed.url, disable_content_logging: true },
  ]
  const headers = {
    ...{ 'x-tenant': 'a', 'x-t-b': 'c', 'x-other': 'd', 'x-t-api-key': 'e' },
    authorization: 'Bearer f-f-f-f-f-f',
  }
  await run({ profiles }, [{ headers }])
  expect([[...open.services], [...closed.services]]).toEqual([['open'], ['bifrost']])
  expect([open.spans.length, closed.spans.length]).toEqual([2, 2])
  expect(open.spans[0].traceId).toBe(closed.spans[0].traceId)
  expect(open.attribute('gen_ai.output.messages')).toHaveLength(1)
  expect(closed.attribute('gen_ai.output.messages')).toHaveLength(0)
  const names = open.spans.flatMap(({ attributes }) =>
    attributes.flatMap(({ key }: { key: string }) =>
      key.startsWith('http.request.header') ? [key] : [],
    ),
  )
  expect(new Set(names)).toEqual(
    new Set(['http.request.header.x-t-b', 'http.request.header.x-tenant']),
  )
  expect(JSON.stringify(closed.spans)).not.toContain('x-tenant')
  await Promise.all([open.stop(), closed.stop()])
})

test('calls of one session are one trace where that is asked for', async () => {
  const collector = startCollector()
  const parent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const of = (id: string, more = {}) => ({ headers: { 'x-bf-session-id': id, ...more } })
  await run({ collector_url: collector.url, group_traces_by_session: true }, [
    ...[of('s'), of('s'), of('t'), {}, of('s', { traceparent: parent })],
  ])
  const servers = collector.spans.filter(({ kind }) => kind === 2).map(({ traceId }) => traceId)
  expect(servers[0]).toMatch(/^[0-9a-f]{32}$/)
  expect(servers[1]).toBe(servers[0])
  expect(new Set(servers).size).toBe(4)
  expect(servers[4]).toBe('a'.repeat(32))
  expect(collector.attribute('session.id').map(({ stringValue }) => stringValue)).toEqual([
    ...['s', 's', 't', 's'],
  ])
  await collector.stop()
})

test('Responses, tools included', async () => {
  const collector = startCollector()
  const json = {
    ...{ id: 'resp', object: 'response', created_at: 1, model: 'gpt-4o-r', status: 'incomplete' },
    incomplete_details: { reason: 'max_output_tokens' },
    output: [
      { type: 'function_call', call_id: 'f', name: 'look', arguments: '{}' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'So' }] },
    ],
    usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 },
  }
  const input = [
    { role: 'user', content: 'Hi' },
    { type: 'function_call_output', call_id: 'e', output: '1' },
  ]
  await run({ collector_url: collector.url }, [
    { path: '/responses', body: { model: 'openai/gpt-4o', input }, json },
  ])
  const one = (key: string) => collector.attribute(key)[0]
  expect(one('gen_ai.response.id')).toEqual({ stringValue: 'resp' })
  expect(one('gen_ai.response.model')).toEqual({ stringValue: 'gpt-4o-r' })
  expect(one('gen_ai.response.finish_reasons')).toEqual({
    arrayValue: { values: [{ stringValue: 'max_output_tokens' }] },
  })
  expect(JSON.parse(one('gen_ai.input.messages').stringValue)).toEqual([
    { role: 'user', parts: [{ type: 'text', content: 'Hi' }] },
    { role: 'tool', parts: [{ type: 'tool_call_response', id: 'e', response: '1' }] },
  ])
  expect(JSON.parse(one('gen_ai.output.messages').stringValue)).toEqual([
    { role: 'assistant', parts: [{ type: 'tool_call', id: 'f', name: 'look', arguments: '{}' }] },
    { role: 'assistant', parts: [{ type: 'text', content: 'So' }] },
  ])
  await collector.stop()
})
