import { afterAll, describe, expect, test } from 'bun:test'

import { createLogger } from '#core/log.ts'
import { Secret } from '#lib/secret.ts'
import { createPush, toGateway } from '#metrics/push.ts'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Metrics that are brought to those that do not come for them.

const upstream = await startUpstream()
afterAll(() => upstream.stop())

interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly body: string
}

/** Takes what it is sent; `arrived` resolves once that is true of something. */
function startReceiver(status = 200) {
  const requests: Received[] = []
  let check: (() => void) | undefined
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { method, headers } = request
      requests.push({
        method,
        path: new URL(request.url).pathname,
        headers,
        body: await request.text(),
      })
      check?.()
      return new Response('', { status })
    },
  })
  const arrived = (matches: (request: Received) => boolean): Promise<Received> =>
    new Promise((resolve) => {
      check = () => {
        const found = requests.find(matches)
        if (found) resolve(found)
      }
      check()
    })
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    arrived,
    stop: () => server.stop(true),
  }
}

const providers = {
  openai: {
    keys: [{ name: 'main', value: 'k' }],
    network_config: { base_url: `${upstream.url}/v1` },
  },
}
const ask = async (gateway: { url: string }): Promise<void> => {
  upstream.reply({
    json: {
      ...{ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o' },
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
    },
  })
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }),
  })
  expect(response.status).toBe(200)
  await response.text()
}

describe('a push gateway', () => {
  const push_gateway = {
    enabled: true,
    job_name: 'llm',
    instance_id: 'one',
    push_interval: 1,
    basic_auth: { username: 'me', password: 'env.PUSH_PASSWORD' },
  }

  test('is told again and again, and once more at the end', async () => {
    const receiver = startReceiver()
    const plugin = { push_gateway: { ...push_gateway, push_gateway_url: receiver.url } }
    const gateway = await startGateway({
      config: { providers, plugins: [{ name: 'telemetry', enabled: true, config: plugin }] },
      env: { PUSH_PASSWORD: 'push-secret' },
    })
    await ask(gateway)
    const served = (count: number) => (body: string) =>
      body.includes('bifrost_success_requests_total{') && body.includes(`le="+Inf"} ${count}\n`)
    const first = await receiver.arrived(({ body }) => served(1)(body))
    expect(first.method).toBe('PUT')
    expect(first.path).toBe('/metrics/job/llm/instance/one')
    expect(first.headers.get('content-type')).toBe('text/plain; version=0.0.4')
    expect(atob(first.headers.get('authorization')!.slice('Basic '.length))).toBe('me:push-secret')
    await ask(gateway)
    await gateway.drain()
    await receiver.stop()
    expect(served(2)(receiver.requests.at(-1)!.body)).toBe(true)
  })

  test('is told nothing while it is off', async () => {
    const receiver = startReceiver()
    const config = { push_gateway: { ...push_gateway, push_gateway_url: receiver.url } }
    const off = { push_gateway: { ...config.push_gateway, enabled: false } }
    for (const plugin of [
      { name: 'telemetry', enabled: false, config },
      { name: 'telemetry', config: off },
    ]) {
      const gateway = await startGateway({
        config: { providers, plugins: [plugin] },
        env: { PUSH_PASSWORD: 'p' },
      })
      await ask(gateway)
      await gateway.drain()
    }
    expect(receiver.requests).toHaveLength(0)
    await receiver.stop()
  })

  test('that refuses them is named in the log, and calls go on', async () => {
    const receiver = startReceiver(403)
    const plugin = { push_gateway: { ...push_gateway, push_gateway_url: receiver.url } }
    const gateway = await startGateway({
      config: { providers, plugins: [{ name: 'telemetry', config: plugin }] },
      env: { PUSH_PASSWORD: 'push-secret' },
    })
    const line = await gateway.logged(({ message }) => String(message).includes('push gateway'))
    expect(line).toMatchObject({
      message: 'the push gateway did not take the metrics',
      why: 'it answered with status 403',
    })
    await ask(gateway)
    await gateway.stop()
    await receiver.stop()
  })

  test('names that a path cannot hold, and whoever is not there', async () => {
    const receiver = startReceiver()
    const to = { url: receiver.url, everyMs: 1000, login: undefined }
    expect(await toGateway({ ...to, jobName: 'a/b', instance: 'ü x' }, 'text')).toBeUndefined()
    expect(receiver.requests[0]!.path).toBe('/metrics/job@base64/YS9i/instance/%C3%BC%20x')
    expect(receiver.requests[0]!.headers.get('authorization')).toBeNull()
    await receiver.stop()
    const login = { username: new Secret('u'), password: new Secret('hidden-password') }
    const why = await toGateway({ ...to, login, jobName: 'a', instance: 'b' }, 'text')
    expect(why).toBe('The push gateway could not be reached.')
  })
})

test('there is one push at a time, and none after the end', async () => {
  const gate = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  let under = 0
  let most = 0
  let pushes = 0
  const push = createPush(
    () => ({
      everyMs: 1,
      async push() {
        pushes++
        most = Math.max(most, ++under)
        if (pushes === 3) {
          began.resolve()
          await gate.promise
        }
        under--
        return undefined
      },
    }),
    'somebody',
    createLogger({ level: 'error', style: 'json', write() {} }),
  )
  push.refresh()
  await began.promise
  const closed = push.close()
  gate.resolve()
  await closed
  expect([pushes, most]).toEqual([4, 1])
})

describe('a collector of OpenTelemetry', () => {
  test('gets them with their labels, buckets and kinds', async () => {
    const receiver = startReceiver()
    const config = {
      collector_url: receiver.url,
      headers: { 'x-token': 't' },
      service_name: 'gw',
      metrics_enabled: true,
      metrics_push_interval: 300,
    }
    const gateway = await startGateway({
      config: { providers, plugins: [{ name: 'otel', config }] },
    })
    await ask(gateway)
    await gateway.drain()
    await receiver.stop()
    const request = receiver.requests.find(({ path }) => path === '/v1/metrics')!
    expect(request.headers.get('x-token')).toBe('t')
    const [{ resource, scopeMetrics }] = JSON.parse(request.body).resourceMetrics
    expect(resource.attributes[0]).toEqual({ key: 'service.name', value: { stringValue: 'gw' } })
    const metric = (name: string) =>
      scopeMetrics[0].metrics.find((each: { name: string }) => each.name === name)
    const { sum } = metric('bifrost_input_tokens_total')
    expect(sum).toMatchObject({ isMonotonic: true, aggregationTemporality: 2 })
    expect(sum.dataPoints[0].asDouble).toBe(10)
    const plain = (attributes: { key: string; value: { stringValue: string } }[]) =>
      Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]))
    expect(plain(sum.dataPoints[0].attributes)).toMatchObject({
      ...{ provider: 'openai', model: 'gpt-4o', method: 'chat_completion' },
      selected_key_name: 'main',
    })
    const [retries] = metric('bifrost_request_retries').histogram.dataPoints
    expect(retries).toMatchObject({
      count: '1',
      sum: 0,
      bucketCounts: ['1', '0', '0', '0', '0', '0', '0'],
      explicitBounds: [0, 1, 2, 3, 5, 10],
    })
    expect(metric('asbru_open_streams').gauge.dataPoints[0].asDouble).toBe(0)
    expect(metric('bifrost_upstream_latency_seconds').unit).toBe('s')
    const { startTimeUnixNano, timeUnixNano } = sum.dataPoints[0]
    expect(BigInt(startTimeUnixNano) < BigInt(timeUnixNano)).toBe(true)
  })
})
