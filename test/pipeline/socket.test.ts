import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import type { ServerWebSocket } from 'bun'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { RAW, startRawUpstream } from '../helpers/upstream.ts'
import { until } from './rig.ts'

// WebSockets through the gateway: message for message, close for close.

interface Seen {
  readonly url: string
  readonly headers: Headers
}

let gateway: TestGateway
let provider: ReturnType<typeof Bun.serve>
let seen: Seen[]
let open: ServerWebSocket<unknown>[]
let closes: [number, string][]
let onMessage: (socket: ServerWebSocket<unknown>, message: string | Buffer) => void
let greet: string | undefined
let refuse: number | undefined

beforeEach(async () => {
  seen = []
  open = []
  closes = []
  greet = undefined
  refuse = undefined
  onMessage = (socket, message) => void socket.send(message)
  provider = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch(request, server) {
      seen.push({
        url: request.url.replace(/^[a-z]+:\/\/[^/]+/, ''),
        headers: new Headers(request.headers),
      })
      if (refuse !== undefined)
        return Response.json({ error: { message: 'no' } }, { status: refuse })
      const protocol = request.headers.get('sec-websocket-protocol')
      const headers = protocol ? { 'sec-websocket-protocol': protocol.split(',')[0]! } : undefined
      return server.upgrade(request, { data: undefined, ...(headers && { headers }) })
        ? undefined
        : new Response('no', { status: 400 })
    },
    websocket: {
      maxPayloadLength: 64 * 1024 * 1024,
      open(socket) {
        open.push(socket)
        if (greet !== undefined) socket.send(greet)
      },
      message: (socket, message) => onMessage(socket, message),
      close: (_, code, reason) => void closes.push([code, reason]),
    },
  })
  gateway = await startGateway({
    config: {
      client: { allow_direct_keys: true, drain_timeout_in_seconds: 0.05 },
      providers: {
        openai: {
          keys: [
            {
              name: 'k',
              value: 'sk-provider',
              models: ['*'],
              weight: 1,
              aliases: { fast: 'gpt-realtime-2' },
            },
          ],
          network_config: { base_url: provider.url.origin },
        },
        azure: {
          keys: [
            {
              name: 'az',
              value: 'az-key',
              models: ['*'],
              weight: 1,
              azure_key_config: { endpoint: provider.url.origin },
            },
          ],
        },
        groq: { keys: [{ name: 'g', value: 'sk-g', models: ['*'], weight: 1 }] },
      },
    },
  })
})
afterEach(async () => {
  await gateway.stop()
  await provider.stop(true)
})

interface Caller {
  readonly socket: WebSocket
  readonly got: (string | Buffer)[]
  readonly opened: Promise<void>
  readonly closed: Promise<{ code: number; reason: string }>
}

function dial(path: string, options: object = {}): Caller {
  const socket = new WebSocket(gateway.url.replace('http', 'ws') + path, options)
  socket.binaryType = 'nodebuffer'
  const got: (string | Buffer)[] = []
  socket.addEventListener('message', ({ data }) => got.push(data as string | Buffer))
  const opened = new Promise<void>((resolve) => socket.addEventListener('open', () => resolve()))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.addEventListener('close', ({ code, reason }) => resolve({ code, reason }))
  })
  return { socket, got, opened, closed }
}

/** A handshake that is expected to be answered like any request. */
function handshake(
  path: string,
  headers: Record<string, string> = {},
  base = gateway.url,
): Promise<Response> {
  return fetch(base + path, {
    headers: {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  })
}

async function inFlight(): Promise<number> {
  const health: any = await (await fetch(`${gateway.url}/health`)).json()
  return health.components.in_flight
}

const realtime = '/openai/v1/realtime?model=openai/gpt-realtime'

test('text and bytes pass both ways, whole and in order, also what was said first', async () => {
  greet = 'session.created'
  const { socket, got, opened } = dial(realtime)
  await opened
  const sent = [
    '{"type":"a"}',
    Buffer.from([0, 255, 1]),
    '',
    'é🌈',
    Buffer.alloc(3_000_000, 7),
    'last',
  ]
  for (const message of sent) socket.send(message)
  await until(() => got.length === sent.length + 1)
  expect(got[0]).toBe('session.created')
  for (const [index, message] of sent.entries()) {
    const echo = got[index + 1]!
    expect(typeof echo).toBe(typeof message)
    expect(Buffer.compare(Buffer.from(echo as string), Buffer.from(message as string))).toBe(0)
  }
  expect(await inFlight()).toBe(1)
  socket.close()
  await until(async () => (await inFlight()) === 0)
})

test('the provider gets its model, its key and the protocols that are for it', async () => {
  const headers = {
    authorization: 'Bearer sk-bf-virtual',
    'openai-beta': 'realtime=v1',
    'openai-safety-identifier': 'user-1',
    cookie: 'c=1',
  }
  const caller = dial('/openai/v1/realtime?model=openai/fast&x=1', {
    headers,
    protocols: ['realtime', 'openai-insecure-api-key.sk-bf-virtual'],
  })
  await caller.opened
  expect(caller.socket.protocol).toBe('realtime')
  const [{ url, headers: got }] = seen as [Seen]
  expect(url).toBe('/v1/realtime?model=gpt-realtime-2&x=1')
  expect(
    [
      'authorization',
      'openai-beta',
      'openai-safety-identifier',
      'cookie',
      'sec-websocket-protocol',
    ].map((name) => got.get(name)),
  ).toEqual(['Bearer sk-provider', 'realtime=v1', 'user-1', null, 'realtime'])
  caller.socket.close()
})

test('a browser brings its key as a protocol, and only the provider it is for sees it as a key', async () => {
  const caller = dial(realtime, { protocols: ['realtime', 'openai-insecure-api-key.sk-own'] })
  await caller.opened
  expect(seen[0]!.headers.get('authorization')).toBe('Bearer sk-own')
  expect(seen[0]!.headers.get('sec-websocket-protocol')).toBe('realtime')
  caller.socket.close()
})

test('the account that a browser names goes with its own key only', async () => {
  const account = ['openai-organization.org_1', 'openai-project.proj_1']
  const callers = [
    dial(realtime, { protocols: ['realtime', ...account] }),
    dial(realtime, { protocols: ['realtime', 'openai-insecure-api-key.sk-own', ...account] }),
  ]
  await Promise.all(callers.map(({ opened }) => opened))
  const sent = seen.map(({ headers }) => [
    headers.get('authorization'),
    headers.get('sec-websocket-protocol'),
  ])
  expect(Object.fromEntries(sent)).toEqual({
    'Bearer sk-provider': 'realtime',
    'Bearer sk-own': 'realtime, openai-organization.org_1, openai-project.proj_1',
  })
  for (const { socket } of callers) socket.close()
})

test.each(['/openai/v1/responses', '/openai/responses', '/openai/realtime?model=m'])(
  '%s is relayed',
  async (path) => {
    const { socket, got, opened } = dial(path)
    await opened
    socket.send('hi')
    await until(() => got.length === 1)
    expect(seen[0]!.url).toStartWith(
      path.includes('realtime') ? '/v1/realtime?model=m' : '/v1/responses',
    )
    socket.close()
  },
)

test.each<[string, Record<string, string>]>([
  ['/openai/openai/realtime?api-version=2025-04-01-preview&deployment=dep', {}],
  ['/openai/openai/v1/realtime?model=dep', { 'user-agent': 'AzureOpenAI/JS 7.55.0' }],
  ['/openai/openai/v1/realtime?model=azure/dep&api-key=sk-bf-mine&Authorization=Bearer%20x', {}],
])('%s %j is for Azure, without what is not for it', async (path, headers) => {
  const caller = dial(path, { headers })
  await caller.opened
  expect(seen[0]!.url).toBe('/openai/v1/realtime?model=dep')
  expect(seen[0]!.headers.get('api-key')).toBe('az-key')
  caller.socket.close()
})

describe('a message on /responses names its model', () => {
  test.each([
    ['as the provider does', '{"type":"response.create","model":"gpt-4o","n":1.0}', undefined],
    [
      'with the prefix of the provider',
      '{"type":"response.create", "model" : "openai/gpt-4o","n":1.0}',
      '{"type":"response.create", "model" : "gpt-4o","n":1.0}',
    ],
    [
      'by an alias of the key',
      '{"model":"openai/fast","input":"\\"model\\""}',
      '{"model":"gpt-realtime-2","input":"\\"model\\""}',
    ],
    ['with a slash of its own', '{"model":"meta-llama/x"}', undefined],
    ['twice', '{"model":"openai/a","model":"openai/b"}', undefined],
    ['deeper', '{"response":{"model":"openai/a"}}', undefined],
    ['as something else', '{"model":["openai/a"]}', undefined],
    ['in no JSON', '{"model":"openai/a', undefined],
  ])('%s', async (_, said, wanted) => {
    const { socket, got, opened } = dial('/openai/v1/responses')
    await opened
    socket.send(said)
    await until(() => got.length === 1)
    expect(got).toEqual([wanted ?? said])
    socket.close()
  })

  test('of another provider: that one message is refused', async () => {
    const { socket, got, opened } = dial('/openai/v1/responses')
    await opened
    socket.send('{"type":"response.create","model":"groq/llama"}')
    socket.send('{"type":"response.create","model":"gpt-4o"}')
    await until(() => got.length === 2)
    const { type, error } = JSON.parse(String(got[0]))
    expect([type, error.type, error.param]).toEqual(['error', 'invalid_request_error', 'model'])
    expect(error.message).toContain("'openai'")
    expect(got[1]).toBe('{"type":"response.create","model":"gpt-4o"}')
    socket.close()
  })
})

describe('a handshake that is refused is an HTTP answer', () => {
  test.each([401, 403, 404, 429, 503])('by the provider with %d', async (status) => {
    refuse = status
    const response = await handshake(realtime)
    const { error }: any = await response.json()
    expect(response.status).toBe(status)
    expect(error.message).toContain(String(status))
    expect(await inFlight()).toBe(0)
  })

  test('by an address where nobody is', async () => {
    await provider.stop(true)
    const response = await handshake(realtime)
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([502, 'provider_unreachable'])
    expect(await inFlight()).toBe(0)
  })

  test('by the gateway, when the provider does not answer in time', async () => {
    await using raw = await startRawUpstream(RAW.silent)
    const slow = await startGateway({
      config: {
        providers: {
          openai: {
            keys: [{ name: 'k', value: 'sk', models: ['*'], weight: 1 }],
            network_config: { base_url: raw.url, response_headers_timeout_in_seconds: 0.05 },
          },
        },
      },
    })
    const response = await handshake(realtime, {}, slow.url)
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([504, 'upstream_headers_timeout'])
    await raw.closed
    await slow.stop()
  })

  test('by a shutdown, when the provider has not answered by then', async () => {
    await using raw = await startRawUpstream(RAW.silent)
    const slow = await startGateway({
      config: {
        client: { drain_timeout_in_seconds: 0.05 },
        providers: {
          openai: {
            keys: [{ name: 'k', value: 'sk', models: ['*'], weight: 1 }],
            network_config: { base_url: raw.url },
          },
        },
      },
    })
    const refused = handshake(realtime, {}, slow.url)
    await until(() => raw.connections > 0)
    await slow.drain()
    const response = await refused
    const { error }: any = await response.json()
    expect([response.status, error.code]).toEqual([503, 'shutting_down'])
    await raw.closed
  })

  test.each<[string, string, Record<string, string>, string | null]>([
    ['a model with a line end', `${realtime}%0d%0ax`, {}, 'model'],
    ['a model without a name', '/openai/v1/realtime?model=', {}, 'model'],
    ['a model without an end', `${realtime}${'x'.repeat(600)}`, {}, 'model'],
    ['a key that is none', realtime, { 'sec-websocket-key': 'x' }, null],
  ])('by the gateway, for %s, before anybody is asked', async (_, path, headers, param) => {
    const response = await handshake(path, headers)
    const { error }: any = await response.json()
    expect([response.status, error.type, error.param]).toEqual([
      400,
      'invalid_request_error',
      param,
    ])
    expect(seen).toHaveLength(0)
  })

  test('by the gateway, when the provider has no such thing or the path is none', async () => {
    const lacking: any = await (await handshake('/openai/v1/realtime?model=groq/m')).json()
    expect(lacking.error.code).toBe('unsupported_endpoint')
    expect((await handshake('/openai/v1/nothing')).status).toBe(404)
    expect(seen).toHaveLength(0)
  })
})

describe('closing', () => {
  test.each([
    [1000, 'bye', 1000],
    [3008, 'own', 3008],
    [4001, 'own', 4001],
    [1011, 'broken', 1011],
  ])('by the provider with %d closes the caller', async (code, reason, wanted) => {
    const caller = dial(realtime)
    await caller.opened
    await until(() => open.length === 1)
    open[0]!.close(code, reason)
    expect(await caller.closed).toEqual({ code: wanted, reason })
    await until(async () => (await inFlight()) === 0)
  })

  test('by the provider without a word is a lost connection', async () => {
    const caller = dial(realtime)
    await caller.opened
    await until(() => open.length === 1)
    open[0]!.terminate()
    expect((await caller.closed).code).toBe(1011)
    expect(await gateway.logged(({ kind }) => kind === 'upstream_reset')).toMatchObject({
      level: 'error',
    })
    await until(async () => (await inFlight()) === 0)
  })

  test.each([
    [1000, 'bye', [1000, 'bye']],
    [4002, 'own', [4002, 'own']],
  ])('by the caller with %d closes the provider', async (code, reason, wanted) => {
    const caller = dial(realtime)
    await caller.opened
    caller.socket.close(code, reason)
    await until(() => closes.length === 1)
    expect(closes[0]).toEqual(wanted as [number, string])
    await until(async () => (await inFlight()) === 0)
  })

  test('by a caller who vanishes closes the provider', async () => {
    const caller = dial(realtime)
    await caller.opened
    caller.socket.terminate()
    await until(() => closes.length === 1)
    await until(async () => (await inFlight()) === 0)
  })

  test('by shutdown tells both', async () => {
    const caller = dial(realtime)
    await caller.opened
    await gateway.drain()
    expect(await caller.closed).toEqual({ code: 1001, reason: 'the gateway is shutting down' })
    await until(() => closes.length === 1)
  })
})

test('a caller who does not read stops the provider, and gets all of it later', async () => {
  const piece = Buffer.alloc(256 * 1024, 1)
  const count = 400
  let sent = 0
  let isFull = false
  onMessage = (socket) => {
    const push = (): void => {
      for (; sent < count; sent++) {
        if (socket.send(piece) === -1) {
          sent++
          isFull = true
          setTimeout(push, 5)
          return
        }
      }
    }
    push()
  }
  const caller = dial(realtime)
  await caller.opened
  ;(caller.socket as unknown as { pause(): void }).pause()
  caller.socket.send('go')
  await until(() => isFull)
  ;(caller.socket as unknown as { resume(): void }).resume()
  await until(() => caller.got.length === count || caller.socket.readyState > 1)
  expect(caller.got.length).toBe(count)
  caller.socket.close()
}, 20_000)
