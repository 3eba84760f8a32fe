import { afterAll, describe, expect, test } from 'bun:test'

import { VERSION } from '#core/version.ts'
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
  env: Record<string, string> = {},
) {
  const collector = startCollector()
  const network_config = {
    base_url: `${upstream.url}/v1`,
    max_retries: 1,
    retry_backoff_initial: 1,
    retry_backoff_max: 1,
  }
  const gateway = await startGateway({
    env,
    config: {
      providers: {
        openai: { keys: [{ name: 'main', value: 'sk-secret-key-01' }], network_config },
      },
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
  test('come in the name of what the environment says of the process', async () => {
    upstream.reply({ json: completion })
    const { requests } = await traced(
      [{}],
      { service_name: 'gw' },
      {
        OTEL_RESOURCE_ATTRIBUTES:
          'deployment.environment=pro%2Cd, k8s.pod.name = a=b,service.name=no',
      },
    )
    const [{ resource }] = requests[0]!.body.resourceSpans
    expect(plain(resource.attributes)).toEqual({
      'service.name': 'gw',
      'service.version': VERSION,
      'deployment.environment': 'pro,d',
      'k8s.pod.name': 'a=b',
    })
  })

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
        'gen_ai.usage.total_tokens': 1200,
        'gen_ai.usage.cost': 0.0045,
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
    expect(text).not.toContain('sk-secret-key-01')
  })

  test('begin a trace of their own, once for all tries', async () => {
    upstream.reply([{ status: 500, json: { error: { message: 'no' } } }, { json: completion }])
    const { spans, sent } = await traced([{}], {})
    const [server, client] = spans()
    expect(server!.parentSpanId).toBeUndefined()
    expect(client!.attributes['asbru.failed_attempts']).toEqual(['openai: server (500)'])
    const own = `00-${server!.traceId}-${client!.spanId}-01`
    expect(sent).toEqual([own, own])
    const [, , first, second, ...more] = spans()
    expect(more).toEqual([])
    for (const span of [first!, second!]) {
      expect(span).toMatchObject({
        traceId: server!.traceId,
        parentSpanId: client!.spanId,
        kind: 3,
      })
      expect(span.attributes).toMatchObject({
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'gpt-4o',
        'server.address': new URL(upstream.url).hostname,
        'asbru.key_name': 'main',
      })
    }
    expect(first).toMatchObject({
      name: 'attempt 1 openai/gpt-4o',
      attributes: { 'error.type': 'server', 'http.response.status_code': 500 },
      status: { code: 2 },
    })
    expect(second).toMatchObject({ name: 'attempt 2 openai/gpt-4o' })
    expect(second!.status).toBeUndefined()
    const [a, b, c, d] = [first!, second!].flatMap((span) => [
      BigInt(span.startTimeUnixNano),
      BigInt(span.endTimeUnixNano),
    ]) as [bigint, bigint, bigint, bigint]
    expect(BigInt(client!.startTimeUnixNano) <= a && a <= b && b <= c && c <= d).toBe(true)
    expect(d <= BigInt(client!.endTimeUnixNano)).toBe(true)
  })

  test('of a failure say so', async () => {
    const refusal = { status: 500, json: { error: { message: 'no' } } }
    upstream.reply([refusal, refusal])
    const { spans } = await traced([{}], {})
    expect(spans().map(({ status }) => status?.code)).toEqual([2, 2, 2, 2])
    expect(spans()[1]!.attributes['error.type']).toBe('server')
  })

  test('are not made for a trace that is not recorded, but the trace goes on', async () => {
    upstream.reply({ json: completion })
    const headers = { traceparent: parent.replace(/01$/, '00') }
    const { requests, sent } = await traced([{ headers }], {})
    expect(requests).toHaveLength(0)
    expect(sent[0]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
  })

  test('a state goes on with its trace, and not without one', async () => {
    upstream.reply([{ json: completion }, { json: completion }, { json: completion }])
    const requests: { headers: Record<string, string> }[] = [
      { headers: { traceparent: parent, tracestate: 'v=1,w=2' } },
      { headers: { traceparent: 'nonsense', tracestate: 'v=1' } },
      { headers: { tracestate: 'v=1' } },
    ]
    const { states } = await traced(requests, {})
    expect(states).toEqual(['v=1,w=2', null, null])
  })

  test('say how the answer ended and who gave it, of streams too, and nothing that was said', async () => {
    const chunk = (more: object) =>
      JSON.stringify({ ...{ id: 's', object: 'chat.completion.chunk', created: 1 }, ...more })
    upstream.reply([
      { json: { ...completion, model: 'gpt-4o-2024-08-06' } },
      {
        sse: [
          chunk({ model: 'gpt-4o-s', choices: [{ index: 0, delta: { content: 'secret word' } }] }),
          chunk({ model: 'gpt-4o-s', choices: [{ index: 0, delta: {}, finish_reason: 'length' }] }),
          '[DONE]',
        ],
      },
    ])
    const { requests, spans } = await traced(
      [{}, { body: { ...body, stream: true, stop: 'x' } }],
      {},
    )
    expect(spans()[1]!.attributes).toMatchObject({
      'gen_ai.response.id': 'c',
      'gen_ai.response.model': 'gpt-4o-2024-08-06',
      'gen_ai.response.finish_reasons': ['stop'],
      'server.address': new URL(upstream.url).hostname,
      'server.port': Number(new URL(upstream.url).port),
    })
    expect(spans()[3]!.attributes).toMatchObject({
      'gen_ai.response.id': 's',
      'gen_ai.response.model': 'gpt-4o-s',
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.request.stream': true,
      'gen_ai.request.stop_sequences': ['x'],
    })
    expect(JSON.stringify(requests)).not.toContain('secret word')
  })

  test('hold no key that stands where a caller put it by mistake', async () => {
    upstream.reply([
      { json: completion },
      { status: 400, json: { error: { message: 'no: sk-secret-key-01' } } },
    ])
    const { requests, spans } = await traced(
      [
        {
          headers: { 'x-bf-session-id': 'sk-secret-key-01' },
          body: { ...body, model: 'openai/sk-secret-key-01', stop: 'sk-secret-key-01' },
        },
        { body: { ...body, model: 'openai/sk-secret-key-01' } },
      ],
      {},
    )
    expect(JSON.stringify(requests)).not.toContain('sk-secret-key-01')
    expect(spans()[0]!.attributes).toMatchObject({
      'session.id': '[redacted]',
    })
  })

  test('say what was said where that is asked for, keys aside', async () => {
    upstream.reply({
      json: {
        ...completion,
        choices: [
          {
            index: 0,
            finish_reason: 'tool_calls',
            message: {
              role: 'assistant',
              content: 'I look. sk-secret-key-01',
              tool_calls: [
                { id: 't', type: 'function', function: { name: 'look', arguments: '{"a":1}' } },
              ],
            },
          },
        ],
      },
    })
    const messages = [
      { role: 'user', content: [{ type: 'text', text: prompt }, { type: 'image_url' }] },
      { role: 'assistant', content: null, tool_calls: [{ id: 'u', function: { name: 'f' } }] },
      { role: 'tool', tool_call_id: 'u', content: '42' },
    ]
    const { requests, spans } = await traced([{ body: { ...body, messages } }], { content: true })
    const { attributes } = spans()[1]!
    const told = (name: string) => JSON.parse(String(attributes[`gen_ai.${name}.messages`]))
    expect(told('input')).toEqual([
      { role: 'user', parts: [{ type: 'text', content: prompt }, { type: 'image_url' }] },
      { role: 'assistant', parts: [{ type: 'tool_call', id: 'u', name: 'f' }] },
      { role: 'tool', parts: [{ type: 'tool_call_response', id: 'u', response: '42' }] },
    ])
    expect(told('output')).toEqual([
      {
        role: 'assistant',
        parts: [
          { type: 'text', content: 'I look. [redacted]' },
          { type: 'tool_call', id: 't', name: 'look', arguments: '{"a":1}' },
        ],
        finish_reason: 'tool_calls',
      },
    ])
    expect(JSON.stringify(requests)).not.toContain('sk-secret-key-01')
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
  await gateway.stop()
})
