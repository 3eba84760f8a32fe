import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { Trace } from '#core/trace.ts'
import { parseShort, scanJson } from '#lib/json.ts'
import { fetchResources } from '#pipeline/resources.ts'
import type { FetchLimits } from '#pipeline/resources.ts'
import type { Resources, Target } from '#providers/provider.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// Pictures that callers name by URL, for a provider that takes only bytes. The servers are real; what the gateway
// must not reach is this very machine.

const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk', 'base64')
const limits: FetchLimits = {
  maxResources: 3,
  maxBytes: 100_000,
  maxTotalBytes: 150_000,
  timeoutMs: 5000,
  maxRedirects: 3,
}

interface Seen {
  readonly path: string
  readonly headers: Record<string, string>
}

let server: Bun.Server<undefined>
let base: string
const seen: Seen[] = []

beforeAll(() => {
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch(request, own) {
      const { pathname: path, searchParams } = new URL(request.url)
      seen.push({ path, headers: request.headers.toJSON() })
      const to = searchParams.get('to')
      if (to !== null) return new Response(null, { status: 302, headers: { location: to } })
      switch (path) {
        case '/a.png':
          return new Response(png, { headers: { 'content-type': 'application/octet-stream' } })
        case '/note.txt':
          return new Response('Hello', { headers: { 'content-type': 'Text/Plain; charset=utf-8' } })
        case '/large':
          return new Response(new Uint8Array(limits.maxBytes + 1))
        case '/half':
          return new Response(new Uint8Array(limits.maxBytes * 0.8))
        case '/bomb': {
          const bytes = Bun.gzipSync(new Uint8Array(50 * limits.maxBytes))
          return new Response(bytes, { headers: { 'content-encoding': 'gzip' } })
        }
        case '/empty':
          return new Response('')
        case '/round':
          return new Response(null, { status: 301, headers: { location: '/round' } })
        case '/nowhere':
          return new Response(null, { status: 302 })
        case '/silent':
          own.timeout(request, 0)
          return new Promise<Response>(() => {})
        default:
          return new Response('no', { status: 404 })
      }
    },
  })
  base = `http://127.0.0.1:${server.port}`
})

afterAll(() => server.stop(true))

/** A chat call whose one message shows these pictures. */
function callWith(urls: readonly string[], signal = new AbortController().signal): Call {
  const text = JSON.stringify({
    model: 'm',
    messages: [
      { role: 'system', content: 'Look.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is this?' },
          ...urls.map((url) => ({ type: 'image_url', image_url: { url } })),
        ],
      },
    ],
  })
  return {
    id: 'call',
    endpoint: 'chat_completion',
    method: 'POST',
    path: '/chat/completions',
    query: '',
    body: {
      kind: 'json',
      text,
      value: parseShort(text) as Record<string, unknown>,
      scan: scanJson(text),
    },
    modelRequested: 'm',
    provider: 'test',
    model: 'm',
    stream: false,
    wantsUsage: false,
    caller: { directKey: undefined, azureEndpoint: undefined },
    headers: {},
    signal,
    startedAt: performance.now(),
    trace: new Trace(performance.now()),
  }
}

function get(
  urls: readonly string[],
  options: { private?: boolean; limits?: Partial<FetchLimits>; signal?: AbortSignal } = {},
): Promise<Resources> {
  const target = {
    provider: { resources: () => urls },
    settings: {
      name: 'test',
      network: { allowPrivateNetwork: options.private ?? true },
      proxyUrl: undefined,
    },
  } as unknown as Target
  return fetchResources(callWith(urls, options.signal), target, { ...limits, ...options.limits })
}

async function refusal(promise: Promise<unknown>): Promise<GatewayError> {
  try {
    await promise
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
    throw thrown
  }
  throw new Error('nothing was refused')
}

describe('what can be had', () => {
  test('comes with the type that its bytes say, or else its server', async () => {
    const found = await get([`${base}/a.png`, `${base}/note.txt`])
    expect(found.get(`${base}/a.png`)).toEqual({
      mediaType: 'image/png',
      base64: png.toString('base64'),
    })
    expect(found.get(`${base}/note.txt`)).toEqual({
      mediaType: 'text/plain',
      base64: Buffer.from('Hello').toString('base64'),
    })
  })

  test('is fetched once, however often it is named', async () => {
    seen.length = 0
    const url = `${base}/a.png`
    expect((await get([url, url, url, url, url])).size).toBe(1)
    expect(seen).toHaveLength(1)
  })

  test('may be behind redirects, up to three', async () => {
    const hop = (to: string): string => `${base}/?to=${encodeURIComponent(to)}`
    expect((await get([hop('/a.png')])).size).toBe(1)
    expect((await get([hop(hop(hop('/a.png')))])).size).toBe(1)
    const error = await refusal(get([hop(hop(hop(hop('/a.png'))))]))
    expect(error.message).toContain('redirects more than 3 times')
  })

  test('is asked of the address that was looked up, by the name that was written', async () => {
    seen.length = 0
    const url = `http://localhost:${server.port}/a.png`
    expect((await get([url])).size).toBe(1)
    expect(seen[0]!.headers['host']).toBe(`localhost:${server.port}`)
  })

  test('carries nothing of the caller', async () => {
    seen.length = 0
    await get([`${base}/a.png`])
    expect(Object.keys(seen[0]!.headers).toSorted()).toEqual([
      'accept',
      'accept-encoding',
      'connection',
      'host',
      'user-agent',
    ])
  })
})

describe('what cannot be had is a 400 that names the place', () => {
  const cases: readonly [path: string, why: string][] = [
    ['/missing', 'status 404'],
    ['/empty', 'it is empty'],
    ['/large', 'more than 100000 bytes'],
    ['/bomb', 'more than 100000 bytes'],
    ['/round', 'redirects more than 3 times'],
    ['/nowhere', 'status 302'],
    ['/?to=ftp%3A%2F%2Fexample.com%2F', 'only http and https'],
    ['/?to=file%3A%2F%2F%2Fetc%2Fpasswd', 'only http and https'],
    ['/?to=http%3A%2F%2F%5Bx%2F', 'redirects to no URL'],
    ['/?to=http%3A%2F%2Fme%3Asecret%40127.0.0.1%2F', 'user name or password'],
  ]
  test.each(cases)('%s: %s', async (path, why) => {
    const error = await refusal(get([`${base}/a.png`, base + path]))
    expect(error.message).toContain(why)
    expect(error).toMatchObject({
      status: 400,
      code: 'invalid_image_url',
      param: 'messages[1].content[2].image_url.url',
      retryable: false,
    })
  })

  test('a server that does not answer', async () => {
    const error = await refusal(get([`${base}/silent`], { limits: { timeoutMs: 20 } }))
    expect(error).toMatchObject({ status: 400 })
    expect(error.message).toContain('did not answer within 20 ms')
  })

  test('a port that nobody listens on', async () => {
    const other = Bun.serve({ port: 0, fetch: () => new Response() })
    const { port } = other
    await other.stop(true)
    const error = await refusal(get([`http://127.0.0.1:${port}/`]))
    expect(error.message).toContain('could not be reached')
  })

  test('a name that does not resolve', async () => {
    const error = await refusal(get(['http://nothing.invalid/a.png']))
    expect(error).toMatchObject({ status: 400 })
    expect(error.message).toContain('does not resolve')
  })

  test('one with a password, which is not repeated', async () => {
    const error = await refusal(get([`http://me:secret@127.0.0.1:${server.port}/a.png?token=1`]))
    expect(error.status).toBe(400)
    expect(error.message).not.toMatch(/secret|token/)
  })

  test('too many of them, and too much in all', async () => {
    const many = ['1', '2', '3', '4'].map((n) => `${base}/a.png?${n}`)
    expect(await refusal(get(many))).toMatchObject({ status: 400, param: 'messages' })
    const error = await refusal(get([`${base}/half?1`, `${base}/half?2`]))
    expect(error.message).toContain('hold more than 150000 bytes')
  })
})

describe('addresses that are not public are not asked', () => {
  const port = (): string => `:${server.port}/a.png`
  const hosts = [
    '127.0.0.1',
    '127.1.2.3',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '0.0.0.0',
    '0',
    'localhost',
    'LOCALHOST',
    '１２７.0.0.1',
    '127。0。0。1',
    '[::1]',
    '[::]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[2001::1]',
    '[fe80::1]',
    '[fec0::1]',
    '[fc00::1]',
    '[fd12:3456::1]',
    '[ff02::1]',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '0xa9fea9fe',
    '[::ffff:169.254.169.254]',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
  ]
  test.each(hosts)('%s', async (host) => {
    seen.length = 0
    const error = await refusal(get([`http://${host}${port()}`], { private: false }))
    expect(error).toMatchObject({ status: 400, param: 'messages[1].content[1].image_url.url' })
    expect(error.message).toMatch(/not on the public internet/)
    expect(seen).toEqual([])
  })

  test('nor behind a redirect', async () => {
    // The first hop is public by name only: what counts is each address on the way.
    const error = await refusal(
      get([`${base}/?to=${encodeURIComponent('http://169.254.169.254/latest/')}`], {
        private: false,
      }),
    )
    expect(error.message).toContain('not on the public internet')
  })

  test('neighbours of those ranges are public', async () => {
    const { isPublic } = await import('#pipeline/reach.ts')
    for (const address of [
      '9.255.255.255',
      '11.0.0.1',
      '172.15.255.255',
      '172.32.0.1',
      '100.63.255.255',
      '100.128.0.1',
      '169.253.255.255',
      '192.167.0.1',
      '223.255.255.255',
      '8.8.8.8',
      '2001:4860:4860::8888',
      '2606:4700::1111',
      '2a00:1450::1',
    ]) {
      expect([address, isPublic(address)]).toEqual([address, true])
    }
  })
})

test('a caller who leaves takes the fetching along', async () => {
  const closed = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  using slow = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch(request) {
      request.signal.addEventListener('abort', () => closed.resolve(), { once: true })
      asked.resolve()
      return new Promise<Response>(() => {})
    },
  })
  const leaving = new AbortController()
  const fetching = refusal(get([`http://127.0.0.1:${slow.port}/`], { signal: leaving.signal }))
  await asked.promise
  leaving.abort()
  expect(await fetching).toMatchObject({ kind: 'client_closed' })
  await closed.promise
})

test('one that fails stops the others', async () => {
  const closed = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  using slow = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch(request) {
      if (request.url.endsWith('/wrong')) {
        return asked.promise.then(() => new Response('', { status: 410 }))
      }
      request.signal.addEventListener('abort', () => closed.resolve(), { once: true })
      asked.resolve()
      return new Promise<Response>(() => {})
    },
  })
  const url = `http://127.0.0.1:${slow.port}`
  const error = await refusal(get([`${url}/right`, `${url}/wrong`]))
  expect(error.message).toContain('status 410')
  await closed.promise
})

describe('through the gateway', () => {
  let upstream: Upstream
  let open: TestGateway
  let closed: TestGateway

  beforeAll(async () => {
    upstream = await startUpstream()
    const config = (isPrivate: boolean) => ({
      providers: {
        ollama: {
          network_config: { base_url: upstream.url, allow_private_network: isPrivate },
        },
      },
    })
    open = await startGateway({ config: config(true) })
    closed = await startGateway({ config: config(false) })
  })

  afterAll(async () => {
    await open.stop()
    await closed.stop()
    await upstream.stop()
  })

  const ask = async (gateway: TestGateway, path: string, body: object) => {
    const response = await fetch(`${gateway.url}/openai/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'ollama/llama', ...body }),
    })
    return { status: response.status, body: (await response.json()) as any }
  }
  const chat = (url: string) => ({
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
  })
  const responses = (url: string) => ({
    input: [
      { role: 'user', content: 'Look:' },
      { role: 'user', content: [{ type: 'input_image', image_url: url, detail: 'auto' }] },
    ],
  })

  test('a picture travels as bytes where private addresses are permitted', async () => {
    upstream.clear()
    expect(await ask(open, '/chat/completions', chat(`${base}/a.png`))).toMatchObject({
      status: 200,
    })
    expect(upstream.requests[0]!.json().messages[0].images).toEqual([png.toString('base64')])
  })

  test.each([
    ['/chat/completions', chat, 'messages[0].content[0].image_url.url'],
    ['/responses', responses, 'input[1].content[0].image_url'],
  ] as const)('%s: elsewhere it is refused by its place', async (path, body, param) => {
    upstream.clear()
    const answer = await ask(closed, path, body(`${base}/a.png`))
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { param, code: 'invalid_image_url', type: 'invalid_request_error' } },
    })
    expect(upstream.requests).toHaveLength(0)
  })
})
