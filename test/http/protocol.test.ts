import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { expectEnvelope, expectUnharmed, startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { exchange, head, openRaw, parseAnswer, post } from './wire.ts'
import type { RawAnswer } from './wire.ts'

// Paths, headers and framing that no SDK would send.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const get = (path: string, headers?: Record<string, string>): Promise<RawAnswer> =>
  exchange(rig.url, head('GET', path, headers))

describe('a path', () => {
  test.each([
    '/openai/v1/files/%zz',
    '/openai/v1/files/%',
    '/openai/v1/files/%4',
    '/openai/v1/files/%ff',
    '/openai/v1/files/%ED%A0%80',
    '/openai/v1/files/a%00b',
    '/openai/v1/files/a%0d%0ab',
    '/openai/v1/files/a%0ab',
    '/openai/v1/files/a%1bb',
    '/openai/v1/files/a%7fb',
    '/openai/v1/files/a%5cb',
    '/openai/v1/files/a%2f..%2fb',
    '/openai/v1/files/..%2f..%2fadmin',
    '/openai/v1/files/%2e%2e%2fadmin',
    '/openai/v1/files/.%2E%2fadmin',
    '/openai/v1/files/a%2f%2e%2e',
    '/openai/v1/files/a//b',
    '/openai/v1//files',
    '/openai//v1/files',
    '/openai/v1/models/%2e%2e%2f%2e%2e%2fadmin',
    '/openai/v1/models/a%00b',
    '/openai/v1/models/openai%2Fa%0d%0ab',
    '/openai/v1/models/openai%2F',
    '/openai/v1/vector_stores/%zz',
    '/openai/v1/vector_stores/..%2f..%2fadmin',
    '/openai/v1/vector_stores/%5c%5chost',
    '/openai/openai/v1/vector_stores//x',
  ])('%s is refused', async (path) => {
    const answer = await get(path)
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.status).toBe(400)
    await expectUnharmed(rig)
  })

  test('a model name of a megabyte does not fit; of 600 characters it is refused', async () => {
    const answer = await get(`/openai/v1/models/${'m'.repeat(600)}`)
    expectEnvelope({ ...answer, body: answer.json() }, { requestType: 'model_retrieve' })
    expect(answer.json().error.param).toBe('model')
    await expectUnharmed(rig)
  })

  // Bun resolves these before anybody sees them; what is left never leaves the surface it is on.
  test.each([
    ['/openai/v1/files/../../../etc/passwd', undefined],
    ['/openai/v1/../../health/x', undefined],
    ['/openai/v1/files/%2e%2e/%2e%2e/%2e%2e/x', undefined],
    ['/openai/../openai_secret', undefined],
    ['/openai/v1/files/../../x', '/v1/x'],
    ['/openai/v1/files/%2e%2e/x', '/v1/x'],
    ['/openai/v1/vector_stores/../x', '/v1/x'],
    ['/openai/v1/files/a\\b', '/v1/files/a/b'],
  ])('%s stays below the base URL', async (path, upstreamPath) => {
    const answer = await get(path)
    expect(answer.status).toBe(404)
    expect(rig.upstream.requests.map((request) => request.path)).toEqual(
      upstreamPath === undefined ? [] : [upstreamPath],
    )
    rig.upstream.clear()
  })

  test.each(['/openai', '/openai/', '/openai/v1', '/openai/v1/', '/openai/openai/v1/'])(
    '%s is no operation',
    async (path) => {
      const answer = await get(path)
      expectEnvelope({ ...answer, body: answer.json() })
      expect(answer.status).toBe(404)
      await expectUnharmed(rig)
    },
  )

  test.each([
    '/',
    '/nothing',
    '/v1/chat/completions',
    '/openai_passthrough/v1/x',
    '/openaix/v1',
    '/api/keys',
    '//openai/v1/files',
    '/%6fpenai/v1/files',
    `/${'x'.repeat(9000)}`,
  ])('%.60s: only what is there answers', async (path) => {
    const answer = await get(path)
    expect(answer.status).toBe(path === '/' ? 200 : 404)
    if (path !== '/') expectEnvelope({ ...answer, body: answer.json() })
    await expectUnharmed(rig)
  })

  test('a target that is no path at all', async () => {
    for (const target of ['*', 'nothing', '?x', '#']) {
      expect((await get(target)).status).toBeGreaterThanOrEqual(400)
    }
    await expectUnharmed(rig)
  })

  test('an absolute target goes nowhere else', async () => {
    expect((await get('http://elsewhere.example/openai/v1/files')).status).toBe(200)
    expect(rig.upstream.requests.map(({ path }) => path)).toEqual(['/v1/files'])
    rig.upstream.clear()
  })
})

describe('a deployment path', () => {
  const deployments = '/openai/openai/deployments'
  const chat = '{"messages":[{"role":"user","content":"Hi"}]}'

  test.each([
    ['no operation', '/gpt-5/', 400],
    ['no deployment', '/chat/completions', 400],
    ['an operation nobody has', '/gpt-5/chat/nothing', 404],
    ['a line break', '/a%0d%0ax/chat/completions', 400],
    ['a NUL', '/a%00/chat/completions', 400],
    ['bad percent-encoding', '/%zz/chat/completions', 400],
    ['only a provider', '/openai%2F/chat/completions', 400],
    ['a long name', `/${'d'.repeat(600)}/chat/completions`, 400],
  ])('%s', async (_, path, status) => {
    const answer = await exchange(rig.url, post(deployments + path, chat))
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.status).toBe(status)
    await expectUnharmed(rig)
  })

  test('a name cannot put a part into a form', async () => {
    const boundary = 'b'
    const form = `--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n`
    const evil = encodeURIComponent(
      'openai/a\r\n--b\r\ncontent-disposition: form-data; name="x"\r\n\r\n1',
    )
    const answer = await exchange(
      rig.url,
      post(`${deployments}/${evil}/audio/transcriptions`, form, {
        'content-type': `multipart/form-data; boundary=${boundary}`,
      }),
    )
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.json().error.param).toBe('model')
    await expectUnharmed(rig)
  })
})

describe('a method', () => {
  test.each([
    ['POST', '/health'],
    ['DELETE', '/health/live'],
    ['PUT', '/docs/json'],
    ['POST', '/schema/config.json'],
    ['PATCH', '/'],
  ])('%s %s is not allowed, and what is allowed is said', async (method, path) => {
    const answer = await exchange(rig.url, head(method, path))
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.status).toBe(405)
    expect(answer.headers['allow']).toBe('GET')
  })

  test.each(['TRACE', 'CONNECT', 'PROPFIND', 'PURGE'])('%s on the API', async (method) => {
    const answer = await exchange(rig.url, head(method, '/openai/v1/files'))
    expectEnvelope({ ...answer, body: answer.json() })
    await expectUnharmed(rig)
  })

  test('one that HTTP does not know closes the connection', async () => {
    for (const method of ['FOO', 'get', 'G\u0001T', '']) {
      const { status } = await exchange(rig.url, head(method, '/health/live'))
      expect(status === 0 || status === 400 || status === 505).toBeTrue()
    }
    await expectUnharmed(rig)
  })

  test.each(['/health/live', '/', '/docs', '/openai/v1/models'])(
    'HEAD %s has no body',
    async (path) => {
      const answer = await exchange(rig.url, head('HEAD', path))
      expect(answer.status).toBe(200)
      expect(answer.body).toBe('')
      rig.upstream.clear()
    },
  )

  test('HEAD of a file does not download it', async () => {
    const answer = await exchange(rig.url, head('HEAD', '/openai/v1/files/file_1/content'))
    expect(answer.body).toBe('')
    expect(rig.upstream.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /v1/files/file_1/content',
    ])
    rig.upstream.clear()
  })

  test('OPTIONS without a browser says what is allowed', async () => {
    const answer = await exchange(rig.url, head('OPTIONS', '/openai/v1/chat/completions'))
    expect(answer.status).toBe(204)
    expect(answer.headers['allow']).toContain('POST')
    await expectUnharmed(rig)
  })
})

describe('headers', () => {
  test.each([
    ['one of 70 KB', { 'x-a': 'a'.repeat(70_000) }],
    ['one of 10 MB', { 'x-a': 'a'.repeat(10_000_000) }],
    ['300 of them', Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, '1']))],
    [
      '100,000 of them',
      Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`x-${i}`, '1'])),
    ],
    ['a name of 70 KB', { ['x'.repeat(70_000)]: '1' }],
  ])('%s are too much', async (_, headers) => {
    const { status } = await get('/openai/v1/files', headers)
    expect(status).toBe(431)
    await expectUnharmed(rig)
  })

  test('a hundred, and one of 8 KB, are not', async () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1']))
    expect((await get('/openai/v1/files', many)).status).toBe(200)
    expect((await get('/openai/v1/files', { 'x-a': 'a'.repeat(8000) })).status).toBe(200)
    rig.upstream.clear()
  })

  test.each([
    ['a space in the name', 'x y: 1'],
    ['no colon', 'x-y'],
    ['a NUL in the value', 'x-y: a\0b'],
    ['a bare line feed', 'x-y: a\nz: b'],
    ['two lengths', 'content-length: 4\r\ncontent-length: 5'],
    ['a negative length', 'content-length: -1'],
    ['a signed length', 'content-length: +4'],
    ['a length in words', 'content-length: four'],
    ['an endless length', `content-length: ${'9'.repeat(40)}`],
    ['a length and chunks', 'content-length: 4\r\ntransfer-encoding: chunked'],
    ['an encoding nobody knows', 'transfer-encoding: gzip'],
  ])('%s', async (_, line) => {
    const bytes = head('POST', '/openai/v1/chat/completions').replace(
      '\r\n\r\n',
      `\r\n${line}\r\n\r\nabcd`,
    )
    const { status } = await exchange(rig.url, bytes)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    await expectUnharmed(rig)
  })

  test('a request id that is no token is replaced', async () => {
    for (const id of ['a b', '<script>', 'x'.repeat(200), 'é', '']) {
      const answer = await get('/nothing', { 'x-request-id': id })
      expect(answer.headers['x-request-id']).toMatch(/^[0-9A-Z]{26}$/)
    }
    const answer = await get('/openai/v1/files/none', { 'x-request-id': 'my-id.1:2_3' })
    expect(answer.headers['x-request-id']).toBe('my-id.1:2_3')
    rig.upstream.clear()
  })
})

describe('the Host header', () => {
  test.each(['x', 'gw', 'a-host-with-a-long-name-and-no-dots', '[::1]:80', 'h:99999', 'a%2fb'])(
    '%s does not matter',
    async (host) => {
      expect((await get('/health/live', { host })).status).toBe(200)
      expect((await get('/openai/v1/files', { host })).status).toBe(200)
      expect(rig.upstream.requests.map(({ path }) => path)).toEqual(['/v1/files'])
      rig.upstream.clear()
    },
  )

  test.each(['a/b', 'x/openai/v1/files?', 'a b', 'a#b', 'user@host', 'ü', 'a\\b'])(
    '%s is malformed',
    async (host) => {
      for (const path of [
        '/openai/v1/files',
        '/aaaaaaa/openai/v1/files',
        '/openai/v1/files/../x',
      ]) {
        const answer = await get(path, { host })
        expectEnvelope({ ...answer, body: answer.json() })
        expect(answer.status).toBe(400)
      }
      await expectUnharmed(rig)
    },
  )

  test('dots are not resolved for a host that is no URL, and are refused then', async () => {
    const answer = await get('/openai/v1/files/../x', { host: 'h:99999' })
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.status).toBe(400)
    await expectUnharmed(rig)
  })

  test('HTTP/1.0 needs none', async () => {
    for (const path of ['/health/live', '/openai/v1/files']) {
      expect((await exchange(rig.url, `GET ${path} HTTP/1.0\r\n\r\n`)).body).toStartWith('{')
    }
    const posted = `POST /openai/v1/chat/completions HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}`
    rig.upstream.clear()
    expect((await exchange(rig.url, posted)).body).toContain('Host')
    await expectUnharmed(rig)
  })

  test('HTTP/1.1 does', async () => {
    expect((await exchange(rig.url, 'GET /health/live HTTP/1.1\r\n\r\n')).status).toBe(400)
  })
})

describe('no HTTP', () => {
  test.each([
    ['words', 'hello there\r\n\r\n'],
    ['NULs', '\0'.repeat(1000)],
    ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(600, '\x11')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/9.9', 'GET / HTTP/9.9\r\nhost: x\r\n\r\n'],
    ['HTTP/0.9', 'GET /\r\n\r\n'],
    ['an endless request line', `GET /${'a'.repeat(1_000_000)}`],
    ['line feeds', '\n'.repeat(1000)],
  ])('%s', async (_, bytes) => {
    const connection = await openRaw(rig.url)
    connection.send(bytes)
    connection.send('\r\n\r\n')
    // Some of it Bun waits for the rest of; it must only never be served.
    await expectUnharmed(rig)
    connection.drop()
    const { status } = parseAnswer(await connection.closed)
    expect(status === 0 || status >= 400).toBeTrue()
    expect(status).toBeLessThan(506)
  })

  test('a second request behind the first is answered on its own', async () => {
    const connection = await openRaw(rig.url)
    const first = 'GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n'
    connection.send(first + head('GET', '/nothing'))
    const received = await connection.closed
    expect(received.match(/HTTP\/1\.1 (\d+)/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404'])
  })
})
