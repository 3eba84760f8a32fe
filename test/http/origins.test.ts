import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { expectEnvelope, expectUnharmed, startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { exchange, head, openRaw, parseAnswer, post } from './wire.ts'
import type { RawAnswer } from './wire.ts'

// What pages in a browser may do. A page that may not is refused before anything is sent: a "simple" POST needs
// no permission to be sent, and the keys it would spend are the operator's.

const chat = '/openai/v1/chat/completions'
const body = '{"model":"openai/echo","messages":[{"role":"user","content":"Hi"}]}'

let closed: Rig
let listed: Rig
let open: Rig
beforeAll(async () => {
  closed = await startRig()
  listed = await startRig({
    client: { allowed_origins: ['https://app.example.com', 'https://*.example.org'] },
  })
  open = await startRig({ client: { allowed_origins: ['*'] } })
})
afterAll(async () => {
  for (const rig of [closed, listed, open]) await rig[Symbol.asyncDispose]()
})

const call = (rig: Rig, origin: string, contentType = 'application/json'): Promise<RawAnswer> =>
  exchange(rig.url, post(chat, body, { origin, 'content-type': contentType }))

async function forbidden(rig: Rig, answer: RawAnswer): Promise<void> {
  expectEnvelope({ ...answer, body: answer.json() })
  expect(answer.status).toBe(403)
  expect(answer.json().error.code).toBe('origin_forbidden')
  expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  await expectUnharmed(rig)
}

async function admitted(rig: Rig, origin: string): Promise<void> {
  const answer = await call(rig, origin)
  expect(answer.status).toBe(200)
  expect(answer.headers['access-control-allow-origin']).toBe(origin)
  for (const name of ['x-request-id', 'x-bf-trace', 'x-bf-async-status', 'x-bifrost-provider']) {
    expect(answer.headers['access-control-expose-headers']).toContain(name)
  }
  expect(answer.headers['vary']).toContain('origin')
  rig.upstream.clear()
}

describe('without a configuration', () => {
  test.each([
    'http://localhost:3000',
    'http://localhost',
    'https://localhost:8443',
    'http://127.0.0.1:5173',
    'http://[::1]:3000',
  ])('a page on %s may call', (origin) => admitted(closed, origin))

  test.each([
    'https://evil.example',
    'http://localhost.evil.example',
    'http://evil.example:8080',
    'http://127.0.0.1.evil.example',
    'http://localhost@evil.example',
    'http://evil-localhost',
    'null',
    'file://',
    '',
  ])('a page on %p may not', async (origin) => forbidden(closed, await call(closed, origin)))

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=b'])(
    'nor with a simple POST of %s',
    async (contentType) => {
      await forbidden(closed, await call(closed, 'https://evil.example', contentType))
      const form =
        '--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nx\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
      for (const path of ['/openai/v1/files', '/openai/v1/vector_stores']) {
        const headers = { origin: 'https://evil.example', 'content-type': contentType }
        await forbidden(closed, await exchange(closed.url, post(path, form, headers)))
      }
    },
  )

  test('nor with a GET, nor on the pages for operators', async () => {
    for (const path of ['/openai/v1/files', '/health', '/docs/json', '/schema/config.json']) {
      await forbidden(
        closed,
        await exchange(closed.url, head('GET', path, { origin: 'https://evil.example' })),
      )
    }
  })

  test('nor with a WebSocket, which browsers open without asking', async () => {
    const connection = await openRaw(closed.url)
    connection.send(
      head('GET', '/openai/v1/realtime?model=openai/voice', {
        origin: 'https://evil.example',
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      }),
    )
    await connection.until('origin_forbidden')
    expect(parseAnswer(connection.received).status).toBe(403)
    connection.drop()
    await expectUnharmed(closed)
  })

  test('a caller that is no browser is not asked', async () => {
    expect((await exchange(closed.url, post(chat, body))).status).toBe(200)
    closed.upstream.clear()
  })
})

describe('with a list', () => {
  test.each([
    'https://app.example.com',
    'https://a.example.org',
    'https://a.b.example.org',
    'http://localhost:1',
  ])('%s may call', (origin) => admitted(listed, origin))

  test.each([
    'http://app.example.com',
    'https://app.example.com:444',
    'https://app.example.com.evil.example',
    'https://example.org',
    'https://evilexample.org',
    'http://a.example.org',
    'https://a.example.org.evil.example',
  ])('%s may not', async (origin) => forbidden(listed, await call(listed, origin)))
})

test('`*` lets any page call', async () => {
  await admitted(open, 'https://evil.example')
  await admitted(open, 'null')
})

describe('a preflight', () => {
  const ask = (rig: Rig, origin: string, more: Record<string, string> = {}): Promise<RawAnswer> =>
    exchange(
      rig.url,
      head('OPTIONS', chat, {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,x-stainless-lang',
        ...more,
      }),
    )

  test('is granted with the headers it asks for', async () => {
    const answer = await ask(listed, 'https://app.example.com')
    expect(answer.status).toBe(204)
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-allow-headers': 'authorization,content-type,x-stainless-lang',
      vary: 'origin',
    })
    expect(answer.headers['access-control-allow-methods']).toContain('DELETE')
    expect(answer.headers['access-control-allow-private-network']).toBeUndefined()
    await expectUnharmed(listed)
  })

  test('from a public page to this machine is granted when it asks', async () => {
    const answer = await ask(listed, 'https://app.example.com', {
      'access-control-request-private-network': 'true',
    })
    expect(answer.headers['access-control-allow-private-network']).toBe('true')
  })

  test('from elsewhere is not', async () => {
    await forbidden(listed, await ask(listed, 'https://evil.example'))
  })
})

test('a page may read errors as well', async () => {
  const answer = await exchange(
    closed.url,
    post(chat, '{', { origin: 'http://localhost:3000', 'content-type': 'application/json' }),
  )
  expect(answer.status).toBe(400)
  expect(answer.headers['access-control-allow-origin']).toBe('http://localhost:3000')
})

// A page whose name was pointed at this machine is of one origin with the gateway, and then its GETs have no origin.
describe('on loopback, what is read', () => {
  const read = (rig: Rig, host: string, path = '/openai/v1/files', method = 'GET') =>
    exchange(rig.url, head(method, path, { host }))

  test.each([
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.nip.example',
  ])('is not read under the name %s', async (host) => {
    for (const path of [
      '/openai/v1/files',
      '/openai/v1/vector_stores',
      '/docs/json',
      '/v1/async/jobs/1',
    ]) {
      const answer = await read(closed, host, path)
      expect([answer.status, answer.json().error.code]).toEqual([403, 'host_forbidden'])
    }
    expect((await read(closed, host, '/openai/v1/files', 'HEAD')).status).toBe(403)
    expect((await read(closed, host, '/health/live')).status).toBe(200)
    await expectUnharmed(closed)
  })

  test.each([
    'localhost',
    'localhost:1',
    'a.localhost',
    'gateway:8080',
    '127.0.0.1:8080',
    '10.1.2.3',
    '[::1]:8080',
  ])('is read under the name %s', async (host) => {
    expect((await read(closed, host)).status).toBe(200)
    closed.upstream.clear()
  })

  test.each(['app.example.com', 'x.example.org:443'])(
    'is read under the listed name %s',
    async (host) => {
      expect((await read(listed, host)).status).toBe(200)
      expect((await read(open, host)).status).toBe(200)
      for (const rig of [listed, open]) rig.upstream.clear()
    },
  )

  test('is told apart from what is sent', async () => {
    const answer = await exchange(closed.url, post(chat, body, { host: 'proxy.example' }))
    expect(answer.status).toBe(200)
    closed.upstream.clear()
  })
})
