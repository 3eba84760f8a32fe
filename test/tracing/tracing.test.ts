import { afterAll, describe, expect, test } from 'bun:test'

import { readParent } from '#tracing/context.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

const upstream = await startUpstream()
afterAll(() => upstream.stop())

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const parent = `00-${traceId}-${parentId}-01`

test.each([
  [parent, { traceId, parentId, isSampled: true }],
  [`00-${traceId}-${parentId}-00`, { traceId, parentId, isSampled: false }],
  [`cc-${traceId}-${parentId}-09-what-comes-later`, { traceId, parentId, isSampled: true }],
  [`00-${traceId}-${parentId}-01-more`, undefined],
  [`ff-${traceId}-${parentId}-01`, undefined],
  [`00-${'0'.repeat(32)}-${parentId}-01`, undefined],
  [`00-${traceId}-${'0'.repeat(16)}-01`, undefined],
  [`00-${traceId.toUpperCase()}-${parentId}-01`, undefined],
  ['', undefined],
  [undefined, undefined],
])('traceparent %p', (header, expected) => {
  expect(readParent(header)).toEqual(expected)
})

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: Record<string, unknown>
  status?: { code: number; message?: string }
}

/** A collector that keeps what it is sent. */
function startCollector() {
  const requests: { path: string; headers: Headers; body: any }[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const path = new URL(request.url).pathname
      requests.push({ path, headers: request.headers, body: await request.json() })
      return Response.json({})
    },
  })
  const spans = (): Span[] =>
    requests.flatMap(({ body }) =>
      body.resourceSpans.flatMap((resource: any) =>
        resource.scopeSpans.flatMap((scope: any) =>
          scope.spans.map((span: any) => ({ ...span, attributes: plain(span.attributes) })),
        ),
      ),
    )
  return { url: `http://127.0.0.1:${server.port}`, requests, spans, stop: () => server.stop(true) }
}

function plain(attributes: { key: string; value: Record<string, any> }[]) {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      if (value['intValue'] !== undefined) return [key, Number(value['intValue'])]
      const list = value['arrayValue']?.values.map((each: any) => each.stringValue)
      return [key, list ?? Object.values(value)[0]]
    }),
  )
}

const completion = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1000, completion_tokens: 200, total_tokens: 1200 },
}
const prompt = 'a prompt that is nobody’s business'
const body = {
  model: 'openai/gpt-4o',
  messages: [{ role: 'user', content: prompt }],
  temperature: 0.5,
}

/** Sends these requests through a gateway, stops it, and returns what arrived at collector and provider. */
async function traced(
  requests: readonly { headers?: Record<string, string>; body?: object }[],
  tracing?: object,
) {
  const collector = startCollector()
  const network_config = {
    base_url: `${upstream.url}/v1`,
    max_retries: 1,
    retry_backoff_initial: 1,
    retry_backoff_max: 1,
  }
  const gateway = await startGateway({
    config: {
      providers: { openai: { keys: [{ name: 'main', value: 'sk-secret-key' }], network_config } },
      ...(tracing && { tracing: { endpoint: collector.url, ...tracing } }),
    },
  })
  for (const request of requests) {
    const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...request.headers },
      body: JSON.stringify(request.body ?? body),
    })
    await response.text()
  }
  // What was not sent yet is sent before it ends.
  await gateway.drain()
  const sent = upstream.requests.map(({ headers }) => headers.get('traceparent'))
  const states = upstream.requests.map(({ headers }) => headers.get('tracestate'))
  upstream.clear()
  await collector.stop()
  return { ...collector, sent, states }
}

describe('spans', () => {
  test('join the caller’s trace, and the provider is told', async () => {
    upstream.reply({ json: completion })
    const headers = { traceparent: parent, tracestate: 'a=b' }
    const { requests, spans, sent, states } = await traced([{ headers }], {
      headers: { 'X-Token': 'secret' },
      service_name: 'gw',
    })
    expect(requests).toHaveLength(1)
    expect(requests[0]!.path).toBe('/v1/traces')
    expect(requests[0]!.headers.get('x-token')).toBe('secret')
    const [{ resource }] = requests[0]!.body.resourceSpans
    expect(plain(resource.attributes)).toMatchObject({ 'service.name': 'gw' })
    const [server, client] = spans()
    expect(server).toMatchObject({
      traceId,
      parentSpanId: parentId,
      name: 'POST /openai/chat/completions',
      kind: 2,
      attributes: { 'http.route': '/openai/chat/completions', 'http.response.status_code': 200 },
    })
    expect(client).toMatchObject({
      traceId,
      parentSpanId: server!.spanId,
      name: 'chat gpt-4o',
      kind: 3,
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'gpt-4o',
        'gen_ai.request.temperature': 0.5,
        'gen_ai.usage.input_tokens': 1000,
        'gen_ai.usage.output_tokens': 200,
        'asbru.cost_usd': 0.0045,
        'asbru.key_name': 'main',
      },
    })
    expect(sent).toEqual([`00-${traceId}-${client!.spanId}-01`])
    expect(states).toEqual(['a=b'])
    const times = [server!, client!].map((span) => [
      BigInt(span.startTimeUnixNano),
      BigInt(span.endTimeUnixNano),
    ])
    const [[start, end], [from, to]] = times as [[bigint, bigint], [bigint, bigint]]
    expect(start <= from && from <= to && to <= end).toBe(true)
    const text = JSON.stringify(requests)
    expect(text).not.toContain(prompt)
    expect(text).not.toContain('sk-secret-key')
  })

  test('begin a trace of their own, once for all tries', async () => {
    upstream.reply([{ status: 500, json: { error: { message: 'no' } } }, { json: completion }])
    const { spans, sent } = await traced([{}], {})
    const [server, client] = spans()
    expect(server!.parentSpanId).toBeUndefined()
    expect(client!.attributes['asbru.failed_attempts']).toEqual(['openai: server (500)'])
    const own = `00-${server!.traceId}-${client!.spanId}-01`
    expect(sent).toEqual([own, own])
  })

  test('of a failure say so', async () => {
    const refusal = { status: 500, json: { error: { message: 'no' } } }
    upstream.reply([refusal, refusal])
    const { spans } = await traced([{}], {})
    expect(spans().map(({ status }) => status?.code)).toEqual([2, 2])
    expect(spans()[1]!.attributes['error.type']).toBe('server')
  })

  test('are not made for a trace that is not recorded, but the trace goes on', async () => {
    upstream.reply({ json: completion })
    const headers = { traceparent: parent.replace(/01$/, '00') }
    const { requests, sent } = await traced([{ headers }], {})
    expect(requests).toHaveLength(0)
    expect(sent[0]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
  })

  test('are a share of the calls', async () => {
    const { requests, sent } = await traced([{}, {}, {}], { sample_rate: 0 })
    expect(requests).toHaveLength(0)
    expect(sent.every((header) => header?.endsWith('-00'))).toBe(true)
  })
})

test('without the section nothing is sent anywhere', async () => {
  const { requests, sent } = await traced([{ headers: { traceparent: parent } }])
  expect(requests).toHaveLength(0)
  expect(sent).toEqual([null])
})

test('a collector that is not there costs spans and nothing else', async () => {
  const gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: [{ value: 'k' }],
          network_config: { base_url: `${upstream.url}/v1` },
        },
      },
      tracing: { endpoint: 'http://127.0.0.1:1' },
    },
  })
  upstream.reply({ json: completion })
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(200)
  await gateway.logged(({ message }) => message === 'traces could not be sent')
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
  expect(metrics).toContain('asbru_trace_spans_dropped_total 2')
  await gateway.stop()
})
