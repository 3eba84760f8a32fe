import { expect, setDefaultTimeout, test } from 'bun:test'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createSecureServer } from 'node:tls'

import { CHAT, startRig } from './rig.ts'

// Whom a provider's connections trust, over which protocol and for how long they are kept, as configured, on real sockets.

setDefaultTimeout(30_000)

const fixture = (name: string): Promise<string> =>
  Bun.file(join(import.meta.dir, '../fixtures/tls', name)).text()
/** For the name `localhost` alone, for `localhost` and 127.0.0.1, and for somebody else. */
const [named, addressed, foreign] = [
  await fixture('name.pem'),
  await fixture('cert.pem'),
  await fixture('other.pem'),
]
const key = await fixture('key.pem')

interface Provider extends Disposable {
  readonly url: string
  /** A connection's port for each request. */
  readonly ports: number[]
}

function startProvider(more: { http1?: boolean; http2?: boolean } = {}): Provider {
  const ports: number[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    development: false,
    tls: { cert: named, key },
    ...more,
    async fetch(request, own) {
      ports.push(own.requestIP(request)?.port ?? 0)
      const { stream } = (await request.json()) as { stream?: boolean }
      const id = 'from-the-provider'
      if (!stream) return Response.json({ id, object: 'chat.completion', choices: [] })
      const choices = [{ index: 0, delta: { content: 'hi' }, finish_reason: 'stop' }]
      const chunk = JSON.stringify({ id, object: 'chat.completion.chunk', choices })
      return new Response(`data: ${chunk}\n\ndata: [DONE]\n\n`, {
        headers: { 'content-type': 'text/event-stream' },
      })
    },
  })
  return {
    url: `https://localhost:${server.port}`,
    ports,
    [Symbol.dispose]: () => void server.stop(true),
  }
}

interface Proxy extends AsyncDisposable {
  readonly port: number
  /** The first line of each request. */
  readonly asked: string[]
}

/** An HTTP proxy that opens tunnels; over TLS when it has a certificate. */
async function startProxy(cert?: string): Promise<Proxy> {
  const asked: string[] = []
  const open = new Set<Socket>()
  const onConnection = (client: Socket): void => {
    open.add(client)
    client.on('error', () => client.destroy())
    client.once('data', (head: Buffer) => {
      const [line = ''] = head.toString('latin1').split('\r\n')
      asked.push(line)
      const port = Number(/^CONNECT localhost:(\d+) /.exec(line)?.[1])
      const server = connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        client.pipe(server).pipe(client)
      })
      open.add(server)
      server.on('error', () => client.destroy())
    })
  }
  const server = cert ? createSecureServer({ cert, key }, onConnection) : createServer(onConnection)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function ask(
  baseUrl: string,
  network: object,
  provider: object = {},
): Promise<{ status: number; said: string }> {
  await using rig = await startRig({ baseUrl, network, provider })
  const whole = await rig.post('/chat/completions', CHAT)
  const body = (await whole.json()) as { id?: string; error?: { message: string } }
  const streamed = await rig.chat()
  expect(streamed.status).toBe(whole.status)
  if (whole.status === 200) expect(await streamed.text()).toContain('"content":"hi"')
  return { status: whole.status, said: body.id ?? body.error?.message ?? '' }
}

const answered = { status: 200, said: 'from-the-provider' }
const refused = {
  status: 502,
  said: "Provider 'openai' could not be reached (DEPTH_ZERO_SELF_SIGNED_CERT).",
}

test.each([
  ['nobody vouches for is refused', {}, refused],
  ['another authority vouches for is refused', { ca_cert_pem: foreign }, refused],
  ['the configuration vouches for is taken', { ca_cert_pem: named }, answered],
  [
    'one of several authorities vouches for is taken',
    { ca_cert_pem: foreign + named + addressed },
    answered,
  ],
  ['is not to be checked is taken', { insecure_skip_verify: true }, answered],
])('a certificate that %s', async (_, network, expected) => {
  using provider = startProvider()
  expect(await ask(provider.url, network)).toEqual(expected)
})

test('an authority of one provider is none of another', async () => {
  using provider = startProvider()
  const keys = [{ value: 'sk-other' }]
  await using rig = await startRig({
    baseUrl: provider.url,
    network: { ca_cert_pem: named },
    others: () => ({ groq: { keys, network_config: { base_url: provider.url } } }),
  })
  expect((await rig.post('/chat/completions', CHAT)).status).toBe(200)
  const other = await rig.post('/chat/completions', { ...CHAT, model: 'groq/m' })
  expect(other.status).toBe(502)
})

test('an authority besides the usual ones does not replace them', async () => {
  // What the whole process trusts stands for the public authorities.
  using provider = startProvider()
  const code = `
    const { authoritiesOf } = await import('#pipeline/fetch-session.ts')
    console.log(authoritiesOf({ caCertPem: ${JSON.stringify(foreign)} }))`
  const { stdout } = Bun.spawnSync([process.execPath, '-e', code], {
    cwd: join(import.meta.dir, '../..'),
    env: {
      ...process.env,
      NODE_EXTRA_CA_CERTS: join(import.meta.dir, '../fixtures/tls/name.pem'),
    },
  })
  const ca = stdout.toString()
  const answer = await fetch(provider.url, { method: 'POST', body: '{}', tls: { ca } })
  expect(answer.status).toBe(200)
  expect(ca).toContain(foreign.trim())
})

test.each([
  ['http', undefined, {}, named],
  ['https, with a certificate of its own', addressed, { ca_cert_pem: addressed }, named],
  ['http, that shows certificates of its own', undefined, { ca_cert_pem: named }, undefined],
])('through a proxy over %s', async (_, cert, more, ca) => {
  using provider = startProvider()
  await using proxy = await startProxy(cert)
  const url = `${cert ? 'https' : 'http'}://127.0.0.1:${proxy.port}`
  const network = ca === undefined ? {} : { ca_cert_pem: ca }
  const through = (proxyConfig: object) =>
    ask(provider.url, network, { proxy_config: { type: 'http', url, ...proxyConfig } })
  expect(await through(more)).toEqual(answered)
  const [line = ''] = proxy.asked
  expect(line).toBe(`CONNECT ${provider.url.slice('https://'.length)} HTTP/1.1`)
  if (cert || ca === undefined) expect((await through({})).status).toBe(502)
})

test('what a proxy may vouch for counts only behind the proxy', async () => {
  using provider = startProvider()
  const proxyConfig = { type: 'none', ca_cert_pem: named }
  expect(await ask(provider.url, {}, { proxy_config: proxyConfig })).toEqual(refused)
})

test('HTTP/2 where it is asked for, and nothing else then', async () => {
  const network = { ca_cert_pem: named, enforce_http2: true }
  using both = startProvider({ http2: true })
  expect(await ask(both.url, network)).toEqual(answered)
  using modern = startProvider({ http1: false, http2: true })
  expect(await ask(modern.url, network)).toEqual(answered)
  using old = startProvider()
  expect(await ask(old.url, network)).toMatchObject({
    status: 502,
    said: "Provider 'openai' could not be reached (HTTP2Unsupported).",
  })
})

test('a connection carries one call at a time, so that a limit of one is a limit of the other', async () => {
  using provider = startProvider()
  await using rig = await startRig({
    baseUrl: provider.url,
    network: { ca_cert_pem: named, max_conns_per_host: 1 },
  })
  const all = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const answer = await rig.post('/chat/completions', CHAT)
      await answer.text()
      return answer.status
    }),
  )
  expect(all).toEqual(all.map(() => 200))
  expect(new Set(provider.ports).size).toBe(1)
})

test('a session is made once for a pool, and none where nothing is said', async () => {
  const { sessionOf } = await import('#pipeline/fetch-session.ts')
  const { plainProvider } = await import('#config/provider.ts')
  const plain = plainProvider('a', 'file')
  expect(sessionOf(plain, 0)).toBeUndefined()
  const kept = { ...plain, network: { ...plain.network, keepAliveMs: 4000 } }
  const session = sessionOf(kept, 0)
  expect(session).toBeInstanceOf(Bun.FetchSession)
  expect(sessionOf(kept, 0)).toBe(session)
  expect(sessionOf(kept, 1)).not.toBe(session)
})

test.each([
  ['nobody vouches for', {}, undefined],
  ['the configuration vouches for', { ca_cert_pem: named }, 'hello'],
  ['is not to be checked', { insecure_skip_verify: true }, 'hello'],
])('a WebSocket whose certificate %s', async (_, network, expected) => {
  using provider = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: { cert: named, key },
    fetch: (request, server) =>
      server.upgrade(request, { data: undefined }) ? undefined : new Response(null),
    websocket: { open: (socket) => void socket.send('hello'), message() {} },
  })
  await using rig = await startRig({ baseUrl: `https://localhost:${provider.port}`, network })
  const url = `${rig.gateway.url.replace('http', 'ws')}/openai/v1/realtime?model=m`
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const socket = new WebSocket(url)
  socket.onmessage = ({ data }) => resolve(data as string)
  socket.onclose = socket.onerror = () => resolve(undefined)
  const first = await promise
  socket.close()
  if (expected !== undefined) expect(first).toBe(expected)
  else expect(first ?? 'refused').not.toBe('hello')
})
