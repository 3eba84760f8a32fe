import { afterEach, beforeEach, expect, setDefaultTimeout, test } from 'bun:test'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { join } from 'node:path'

import { startUpstream } from '../helpers/upstream.ts'
import { CHAT, chatChunk, failure, startRig, until } from './rig.ts'
import type { Rig } from './rig.ts'

// Providers behind a SOCKS 5 proxy, which `fetch` does not speak to: on real sockets, with a proxy that keeps to the letter.

setDefaultTimeout(30_000)

const fixture = (name: string): Promise<string> =>
  Bun.file(join(import.meta.dir, '../fixtures/tls', name)).text()

/** What one connection asked the proxy for. */
interface Asked {
  readonly user: string | undefined
  readonly host: string
  readonly port: number
}

let proxy: Server
let asked: Asked[]
let open: Set<Socket>
/** Every byte arrives on its own. */
let isSlow: boolean
let reply: number
let password: string | undefined

beforeEach(async () => {
  asked = []
  open = new Set()
  isSlow = false
  reply = 0
  password = undefined
  proxy = createServer((client) => void serve(client).catch(() => client.destroy()))
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  for (const socket of open) socket.destroy()
  proxy.close()
})

async function serve(client: Socket): Promise<void> {
  open.add(client)
  client.on('error', () => client.destroy()).on('close', () => open.delete(client))
  const bytes = client[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let held = Buffer.alloc(0)
  const take = async (count: number): Promise<Buffer> => {
    while (held.length < count) {
      const { value, done } = await bytes.next()
      if (done === true) throw new Error('gone')
      held = Buffer.concat([held, value])
    }
    const taken = held.subarray(0, count)
    held = held.subarray(count)
    return taken
  }
  const say = async (...said: number[]): Promise<void> => {
    for (const part of isSlow ? said.map((byte) => [byte]) : [said]) {
      await new Promise((resolve) => client.write(Buffer.from(part), resolve))
    }
  }
  const [, methods = 0] = await take(2)
  const offered = await take(methods)
  let user: string | undefined
  if (password === undefined) {
    await say(5, 0)
  } else {
    if (!offered.includes(2)) return void client.end(Buffer.from([5, 0xff]))
    await say(5, 2)
    const [, length = 0] = await take(2)
    user = String(await take(length))
    const given = String(await take((await take(1))[0]!))
    await say(1, given === password ? 0 : 1)
    if (given !== password) return void client.end()
  }
  const [, , , kind] = await take(4)
  const host = kind === 1 ? (await take(4)).join('.') : String(await take((await take(1))[0]!))
  const port = (await take(2)).readUInt16BE()
  asked.push({ user, host, port })
  await say(5, reply, 0, 3, 1, 0x78, 0, 80)
  if (reply !== 0) return void client.end()
  const server = connect(port, host === 'provider.example' ? '127.0.0.1' : host)
  open.add(server)
  server
    .on('error', () => client.destroy())
    .on('close', () => {
      open.delete(server)
      client.destroySoon()
    })
  client.on('close', () => server.destroy())
  if (held.length > 0) server.write(held)
  server.pipe(client)
  for (;;) {
    const { value, done } = await bytes.next()
    if (done === true) return void server.end()
    server.write(value)
  }
}

function through(more: object = {}): object {
  const { port } = proxy.address() as AddressInfo
  return { proxy_config: { type: 'socks5', url: `socks5://127.0.0.1:${port}`, ...more } }
}

async function answers(rig: Rig): Promise<void> {
  const last = chatChunk('', { finish: 'stop' })
  rig.upstream.reply([
    { json: { id: 'x', choices: [] } },
    { sse: [chatChunk('a'), last, '[DONE]'] },
  ])
  const whole = await rig.post('/chat/completions', CHAT)
  expect([whole.status, ((await whole.json()) as { id?: string }).id]).toEqual([200, 'x'])
  expect(await (await rig.chat()).text()).toEndWith('data: [DONE]\n\n')
}

test('over HTTP: the name goes to the proxy, and nothing else of us to the provider', async () => {
  await using upstream = await startUpstream()
  const { port } = new URL(upstream.url)
  const network = { allow_private_network: true }
  const baseUrl = `http://provider.example:${port}`
  await using rig = await startRig({ baseUrl, network, provider: through() })
  await answers({ ...rig, upstream })
  expect(asked[0]).toEqual({ user: undefined, host: 'provider.example', port: Number(port) })
  const [{ headers, path }] = upstream.requests as [(typeof upstream.requests)[0]]
  expect([path, headers.get('host')]).toEqual(['/v1/chat/completions', `provider.example:${port}`])
  expect(headers.get('proxy-authorization')).toBeNull()
})

test.each([false, true])('over TLS, with a user and bytes that come singly: %p', async (slow) => {
  isSlow = slow
  password = 'pass:word@é'
  const named = await fixture('name.pem')
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: { cert: named, key: await fixture('key.pem') },
    fetch: async (request) =>
      Response.json({ id: 'x'.repeat(500_000), sent: await request.json() }),
  })
  const provider = through({ username: 'us er', password })
  const network = { ca_cert_pem: named }
  await using rig = await startRig({
    baseUrl: `https://localhost:${server.port}`,
    network,
    provider,
  })
  const long = { ...CHAT, messages: [{ role: 'user', content: 'y'.repeat(2_000_000) }] }
  const response = await rig.post('/chat/completions', long)
  const { id, sent } = (await response.json()) as { id: string; sent: typeof long }
  expect([response.status, id.length, sent.messages[0]!.content.length]).toEqual([
    200, 500_000, 2_000_000,
  ])
  expect(asked).toEqual([{ user: 'us er', host: 'localhost', port: server.port! }])
  await server.stop(true)
})

test('a WebSocket', async () => {
  const provider = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response('no')),
    websocket: { message: (socket, message) => void socket.send(message) },
  })
  await using rig = await startRig({ baseUrl: provider.url.origin, provider: through() })
  const url = `${rig.gateway.url.replace('http', 'ws')}/openai/v1/realtime?model=m`
  const socket = new WebSocket(url)
  const { promise, resolve } = Promise.withResolvers<unknown>()
  socket.addEventListener('message', ({ data }) => resolve(data))
  socket.addEventListener('open', () => socket.send('hello'))
  expect(await promise).toBe('hello')
  expect(asked).toHaveLength(1)
  socket.close()
  await provider.stop(true)
})

interface Broken {
  readonly reply?: number
  readonly password?: string
}

test.each<
  [
    string,
    Broken,
    { readonly url?: string; readonly username?: string; readonly password?: string },
  ]
>([
  ['that refuses to connect', { reply: 5 }, {}],
  ['that wants a password', { password: 'p' }, {}],
  ['that wants another password', { password: 'p' }, { username: 'u', password: 'q' }],
  ['that is not there', {}, { url: 'socks5://127.0.0.1:1' }],
  ['that is no such thing', {}, { url: 'HTTP' }],
])('a proxy %s is a provider that could not be reached', async (_, its, more) => {
  ;({ reply = 0, password } = its as { reply?: number; password?: string })
  await using upstream = await startUpstream()
  // A server that speaks HTTP.
  const config = more.url === 'HTTP' ? { url: upstream.url.replace('http', 'socks5') } : more
  await using rig = await startRig({ baseUrl: upstream.url, provider: through(config) })
  for (const response of [await rig.post('/chat/completions', CHAT), await rig.chat()]) {
    const { status, error } = await failure(response)
    expect([status, error.code]).toEqual([502, 'provider_unreachable'])
  }
  expect(upstream.requests).toHaveLength(0)
})

test('a caller who leaves, and a provider who breaks off, close both ends', async () => {
  await using upstream = await startUpstream()
  await using rig = await startRig({ baseUrl: upstream.url, provider: through() })
  const never = new Promise<void>(() => undefined)
  upstream.reply([
    { sse: [chatChunk('a'), chatChunk('b')], gate: [undefined, never] },
    { sse: [chatChunk('a')], reset: true },
  ])
  const leaving = new AbortController()
  const response = await rig.chat({}, { signal: leaving.signal })
  await response.body!.getReader().read()
  leaving.abort()
  await until(() => open.size === 0)
  expect(await (await rig.chat()).text()).toContain('provider_connection_reset')
  await until(() => open.size === 0)
})

test('nobody else on this machine gets out by it', async () => {
  await using upstream = await startUpstream()
  await using rig = await startRig({ baseUrl: upstream.url, provider: through() })
  await answers({ ...rig, upstream })
  const { fetchProxy } = await import('#pipeline/tunnel.ts')
  const { Secret } = await import('#lib/secret.ts')
  const tunnel = new URL(fetchProxy(new Secret('socks5://127.0.0.1:1'))!)
  expect(fetchProxy(new Secret('http://proxy.example:3128'))).toBe('http://proxy.example:3128')
  const before = asked.length
  for (const authorization of [undefined, `Basic ${btoa('tunnel:guess')}`]) {
    const socket = connect(Number(tunnel.port), '127.0.0.1')
    const lines = ['CONNECT localhost:80 HTTP/1.1', 'host: localhost:80']
    if (authorization) lines.push(`proxy-authorization: ${authorization}`)
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    const { promise, resolve } = Promise.withResolvers<string>()
    socket.on('data', (bytes) => resolve(String(bytes)))
    expect(await promise).toStartWith('HTTP/1.1 407 ')
    socket.destroy()
  }
  expect(asked).toHaveLength(before)
})
