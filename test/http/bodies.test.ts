import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'

import { expectEnvelope, expectUnharmed, startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { exchange, head, openRaw, parseAnswer, post } from './wire.ts'

// Bodies that cannot be served: each is refused by the gateway itself, and nothing is sent to a provider.

const chat = '/openai/v1/chat/completions'
const model = 'openai/echo'
const good = { model, messages: [{ role: 'user', content: 'Hi' }] }

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ client: { max_request_body_size_mb: 1 } })
})
afterAll(() => rig[Symbol.asyncDispose]())

interface Expected {
  readonly status?: number
  readonly param?: string | null
  readonly code?: string
  readonly says?: string
}

async function refused(body: string | Uint8Array, expected: Expected, path = chat): Promise<void> {
  const answer = await exchange(rig.url, post(path, body))
  expectEnvelope({ ...answer, body: answer.json() })
  expect(answer.status).toBe(expected.status ?? 400)
  expect(answer.headers['x-should-retry']).toBe('false')
  const { error } = answer.json()
  if (expected.param !== undefined) expect(error.param).toBe(expected.param)
  if (expected.code !== undefined) expect(error.code).toBe(expected.code)
  if (expected.says !== undefined) expect(error.message).toContain(expected.says)
  await expectUnharmed(rig)
}

describe('no JSON', () => {
  test.each([
    ['nothing', ''],
    ['blanks', ' \r\n\t '],
    ['a word', 'hello'],
    ['half an object', '{"model":"openai/echo","messages":['],
    ['half a string', '{"model":"openai/ec'],
    ['a comma too many', '{"model":"openai/echo","messages":[],}'],
    ['a comma too few', '{"model":"openai/echo" "messages":[]}'],
    ['single quotes', "{'model':'openai/echo'}"],
    ['bare keys', '{model:"openai/echo"}'],
    ['a comment', '{"model":"openai/echo"/* x */,"messages":[]}'],
    ['NaN', '{"model":"openai/echo","messages":[],"temperature":NaN}'],
    ['a leading zero', '{"model":"openai/echo","messages":[],"n":01}'],
    ['a bad escape', '{"model":"openai/\\q","messages":[]}'],
    ['a bare line break', '{"model":"openai/\n","messages":[]}'],
    ['something after the end', '{"model":"openai/echo","messages":[]} {}'],
    ['a second closing brace', '{"model":"openai/echo","messages":[]}}'],
    ['NUL bytes', '\0\0\0\0'],
    ['only an opening bracket', '['],
    ['brackets the wrong way', ']['],
    ['a form', 'model=openai%2Fecho&messages=[]'],
  ])('%s', (_, body) => refused(body, { code: 'invalid_json', param: null }))

  test('what the caller wrote is not repeated', async () => {
    const secret = 'sk_live_0123456789'
    const answer = await exchange(rig.url, post(chat, `{"model":${secret}}`))
    expect(answer.status).toBe(400)
    expect(answer.body).not.toContain(secret)
    expect(JSON.stringify(rig.gateway.logs)).not.toContain(secret)
  })

  test('a reason stays short for a long body', () =>
    refused('x'.repeat(900_000), { code: 'invalid_json' }))
})

describe('JSON of the wrong kind', () => {
  test.each(['[]', '1', 'null', '"text"', 'true', '[{"model":"openai/echo"}]'])(
    '%s as the root',
    (body) => refused(body, { code: 'invalid_value' }),
  )

  test.each<[object, string]>([
    [{ messages: good.messages }, 'model'],
    [{ ...good, model: null }, 'model'],
    [{ ...good, model: 5 }, 'model'],
    [{ ...good, model: ['openai/echo'] }, 'model'],
    [{ ...good, model: {} }, 'model'],
    [{ model }, 'messages'],
    [{ model, messages: null }, 'messages'],
    [{ model, messages: {} }, 'messages'],
    [{ model, messages: 'Hi' }, 'messages'],
    [{ model, messages: [null] }, 'messages[0]'],
    [{ model, messages: [good.messages[0], 7] }, 'messages[1]'],
    [{ model, messages: [{ content: 'Hi' }] }, 'messages[0].role'],
    [{ model, messages: [{ role: 1, content: 'Hi' }] }, 'messages[0].role'],
    [{ ...good, stream: 'true' }, 'stream'],
    [{ ...good, stream: 1 }, 'stream'],
    [{ ...good, temperature: '1' }, 'temperature'],
    [{ ...good, max_tokens: 1.5 }, 'max_tokens'],
    [{ ...good, tools: {} }, 'tools'],
    [{ ...good, stream_options: 'usage' }, 'stream_options'],
  ])('%j', (body, param) => refused(JSON.stringify(body), { param }))

  test('a body without a model names the operation', async () => {
    const answer = await exchange(rig.url, post('/openai/v1/embeddings', '{"input":"a"}'))
    expectEnvelope({ ...answer, body: answer.json() }, { requestType: 'embedding' })
    expect(answer.json().error.code).toBe('missing_required_parameter')
  })
})

describe('a model name', () => {
  test.each([
    ['empty', ''],
    ['a line break', 'openai/a\r\nx-evil: 1'],
    ['a NUL', 'openai/a\0b'],
    ['an escape character', 'openai/\u001b[31mred'],
    ['DEL', 'openai/a\u007f'],
    ['a tab', 'openai/a\tb'],
    ['513 characters', 'm'.repeat(513)],
    ['a megabyte', 'm'.repeat(900_000)],
    ['only a provider', 'openai/'],
  ])('%s', (_, name) => refused(JSON.stringify({ ...good, model: name }), { param: 'model' }))

  test.each([
    ['half a surrogate pair', '{"model":"\\ud800","messages":[{"role":"user","content":"Hi"}]}'],
    ['any script', '{"model":"модель","messages":[{"role":"user","content":"Hi"}]}'],
  ])('%s is legal JSON and is answered', async (_, body) => {
    const answer = await exchange(rig.url, post(chat, body))
    expect(answer.status).toBeLessThan(500)
    expect(answer.headers['x-bifrost-original-model']).toMatch(/^[\x20-\x7e]*$/)
    rig.upstream.clear()
  })
})

describe('text that is no UTF-8', () => {
  const around = (bytes: number[]): Uint8Array =>
    Buffer.concat([
      Buffer.from('{"model":"openai/echo","messages":[{"role":"user","content":"'),
      Buffer.from(bytes),
      Buffer.from('"}]}'),
    ])

  test.each([
    ['a stray continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half a sequence', [0xe2, 0x82]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
    ['0xFF', [0xff]],
  ])('%s', (_, bytes) => refused(around(bytes), { code: 'invalid_json', says: 'UTF-8' }))

  test('UTF-16', () => refused(Buffer.from(JSON.stringify(good), 'utf16le'), {}))

  test('a byte order mark is dropped, not refused', async () => {
    const body = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(JSON.stringify(good))])
    expect((await exchange(rig.url, post(chat, body))).status).toBe(200)
    const [sent] = rig.upstream.requests
    expect(sent?.body[0]).toBe('{'.charCodeAt(0))
    expect(sent?.json()).toMatchObject({ messages: good.messages })
    rig.upstream.clear()
  })

  test('a byte order mark before a body that needs no change is dropped as well', async () => {
    const plain = JSON.stringify({ ...good, model: 'echo' })
    const body = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(plain)])
    expect((await exchange(rig.url, post(chat, body))).status).toBe(200)
    expect(Buffer.from(rig.upstream.requests[0]?.body ?? []).toString('latin1')).toBe(plain)
    rig.upstream.clear()
  })
})

describe('a key twice', () => {
  const messages = '"messages":[{"role":"user","content":"Hi"}]'
  test.each([
    ['the model', `{"model":"openai/echo","model":"groq/x",${messages}}`, 'model'],
    ['written differently', `{"model":"openai/echo","\\u006dodel":"x",${messages}}`, 'model'],
    [
      'in a message',
      `{"model":"a","messages":[{"role":"user","role":"system"}]}`,
      'messages[0].role',
    ],
    ['deep inside', `{"model":"a",${messages},"x":{"y":[{"z":1,"z":2}]}}`, 'x.y[0].z'],
    ['__proto__', `{"model":"a",${messages},"__proto__":1,"__proto__":2}`, '__proto__'],
    ['an empty key', `{"model":"a",${messages},"":1,"":2}`, '[""]'],
  ])('%s', (_, body, param) => refused(body, { code: 'duplicate_key', param }))

  test('a key as long as the body is not repeated whole', async () => {
    const key = 'k'.repeat(300_000)
    await refused(`{"model":"a",${messages},"${key}":1,"${key}":2}`, { code: 'duplicate_key' })
  })
})

describe('nesting', () => {
  const nested = (depth: number, open: string, close: string): string =>
    `{"model":"openai/echo","messages":[{"role":"user","content":"Hi"}],"x":${open.repeat(depth)}1${close.repeat(depth)}}`

  test.each([513, 10_000, 400_000])('%d lists', (depth) =>
    refused(nested(depth, '[', ']'), { says: 'nested' }),
  )
  test.each([513, 10_000, 100_000])('%d objects', (depth) =>
    refused(nested(depth, '{"a":', '}'), { says: 'nested' }),
  )
  test.each([10_000, 1_000_000])('%d brackets and no end', (depth) =>
    refused('['.repeat(depth), {}),
  )

  test('500 levels are fine', async () => {
    expect((await exchange(rig.url, post(chat, nested(500, '[', ']')))).status).toBe(200)
    rig.upstream.clear()
  })
})

describe('size', () => {
  const limit = 1024 * 1024

  test('a declared length beyond the limit is refused before the body comes', async () => {
    const connection = await openRaw(rig.url)
    connection.send(
      head('POST', chat, { 'content-type': 'application/json', 'content-length': '2000000000' }),
    )
    // Not a byte of the body is sent: the answer cannot be waiting for it.
    await connection.until('request_too_large')
    const answer = parseAnswer(connection.received)
    expect(answer.status).toBe(413)
    connection.drop()
    await expectUnharmed(rig)
  })

  test('a body of unknown length is refused while it is still coming', async () => {
    const connection = await openRaw(rig.url)
    connection.send(
      head('POST', chat, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }),
    )
    const piece = `10000\r\n${'a'.repeat(65_536)}\r\n`
    for (let sent = 0; sent <= limit; sent += 65_536) connection.send(piece)
    await connection.until('request_too_large')
    expect(parseAnswer(connection.received).status).toBe(413)
    connection.drop()
    await expectUnharmed(rig)
  })

  test('the limit itself is not beyond it', async () => {
    const frame = JSON.stringify({ ...good, pad: '' })
    const body = JSON.stringify({ ...good, pad: 'x'.repeat(limit - frame.length) })
    expect(body.length).toBe(limit)
    expect((await exchange(rig.url, post(chat, body))).status).toBe(200)
    rig.upstream.clear()
    await refused(`${body} `, { status: 413, code: 'request_too_large', says: '1 MB' })
  })

  test('a route without an entry of its own has the same limit', () =>
    refused('x'.repeat(limit + 1), { status: 413 }, '/openai/v1/vector_stores'))
})

describe('compression', () => {
  const text = JSON.stringify(good)
  const send = (body: Uint8Array, encoding: string): Promise<ReturnType<typeof parseAnswer>> =>
    exchange(
      rig.url,
      post(chat, body, { 'content-type': 'application/json', 'content-encoding': encoding }),
    )

  test.each([
    ['gzip', gzipSync(text)],
    ['GZIP', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['identity', Buffer.from(text)],
    ['Identity', Buffer.from(text)],
  ])('%s is undone', async (encoding, body) => {
    expect((await send(body, encoding)).status).toBe(200)
    const [sent] = rig.upstream.requests
    expect(sent?.headers.get('content-encoding')).toBeNull()
    expect(sent?.json()).toMatchObject({ messages: good.messages })
    rig.upstream.clear()
  })

  test.each(['gzip', 'deflate', 'br', 'zstd'])('%s that is none', async (encoding) => {
    const answer = await send(Buffer.from(text), encoding)
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.status).toBe(400)
    await expectUnharmed(rig)
  })

  test('half of it', async () => {
    const body = gzipSync(text)
    expect((await send(body.subarray(0, body.length - 10), 'gzip')).status).toBe(400)
    await expectUnharmed(rig)
  })

  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])('%s that grows beyond the limit', async (encoding, compress) => {
    const bomb = compress(Buffer.alloc(64 * 1024 * 1024))
    expect(bomb.length).toBeLessThan(1024 * 1024)
    expect((await send(bomb, encoding)).status).toBe(413)
    await expectUnharmed(rig)
  })

  test.each([
    ['compress', 'compress'],
    ['two of them', 'gzip, br'],
    ['a long word', 'x'.repeat(5000)],
  ])('%s is not known', async (_, encoding) => {
    const answer = await send(Buffer.from(text), encoding)
    expectEnvelope({ ...answer, body: answer.json() })
    expect(answer.status).toBe(415)
    await expectUnharmed(rig)
  })
})

describe('content type', () => {
  test.each([
    ['text/plain'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['application/octet-stream'],
    ['application/jsonp'],
    ['nonsense'],
    [`text/${'x'.repeat(300)}`],
  ])('%s for JSON', async (contentType) => {
    const answer = await exchange(
      rig.url,
      post(chat, JSON.stringify(good), { 'content-type': contentType }),
    )
    expectEnvelope({ ...answer, body: answer.json() }, { requestType: 'chat_completion' })
    expect(answer.status).toBe(415)
    await expectUnharmed(rig)
  })

  test.each(['application/json', 'Application/JSON; charset=utf-8', 'application/vnd.api+json'])(
    '%s is JSON',
    async (contentType) => {
      const answer = await exchange(
        rig.url,
        post(chat, JSON.stringify(good), { 'content-type': contentType }),
      )
      expect(answer.status).toBe(200)
      rig.upstream.clear()
    },
  )

  test('no type at all is taken for JSON', async () => {
    expect((await exchange(rig.url, post(chat, JSON.stringify(good), {}))).status).toBe(200)
    rig.upstream.clear()
  })

  test.each(['application/json', 'text/plain', ''])('%p for a form', async (contentType) => {
    const headers: Record<string, string> =
      contentType === '' ? {} : { 'content-type': contentType }
    const answer = await exchange(rig.url, post('/openai/v1/audio/transcriptions', '{}', headers))
    expectEnvelope({ ...answer, body: answer.json() }, { requestType: 'transcription' })
    expect(answer.status).toBe(415)
    await expectUnharmed(rig)
  })
})

describe('a provider', () => {
  test('that lacks the operation is named with it', async () => {
    const body = JSON.stringify({ model: 'groq/embedder', input: 'a' })
    await refused(body, { code: 'unsupported_endpoint', says: "'groq'" }, '/openai/v1/embeddings')
    await refused(
      body,
      { code: 'unsupported_endpoint', says: 'embedding' },
      '/openai/v1/embeddings',
    )
  })

  test('that is not configured is named with what to set', () =>
    refused(JSON.stringify({ ...good, model: 'mistral/large' }), {
      code: 'provider_not_configured',
      says: 'MISTRAL_API_KEY',
    }))

  test.each([
    ['unknown', 'nobody'],
    ['with a line break', 'a\r\nb'],
    ['half a surrogate pair', '\ud800'],
    ['endless', 'p'.repeat(500_000)],
  ])('named by the body: %s', (_, name) =>
    refused(
      `{"input_file_id":"f","endpoint":"/v1/chat/completions","completion_window":"24h","provider":${JSON.stringify(name)}}`,
      { code: 'provider_not_configured', param: 'provider' },
      '/openai/v1/batches',
    ),
  )

  test.each([
    ['unknown', 'nobody'],
    ['with a line break', '%0d%0ax'],
    ['no UTF-8', '%ED%A0%80'],
    ['__proto__', '__proto__'],
    ['long', 'p'.repeat(5000)],
  ])('named by the query: %s', async (_, name) => {
    const answer = await exchange(rig.url, head('GET', `/openai/v1/files?provider=${name}`))
    expectEnvelope({ ...answer, body: answer.json() }, { requestType: 'file_list' })
    expect(answer.json().error.param).toBe('provider')
    await expectUnharmed(rig)
  })
})

describe('a caller who leaves', () => {
  test('in the middle of a body of known length', async () => {
    const connection = await openRaw(rig.url)
    connection.send(
      head('POST', chat, { 'content-type': 'application/json', 'content-length': '1000' }),
    )
    connection.send('{"model":')
    connection.drop()
    await connection.closed
    await expectUnharmed(rig)
  })

  test('in the middle of a chunk', async () => {
    const connection = await openRaw(rig.url)
    connection.send(
      head('POST', chat, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }),
    )
    connection.send('ff\r\n{"model":')
    connection.drop()
    await connection.closed
    await expectUnharmed(rig)
  })

  test('after a chunk size that is none', async () => {
    const bytes = `${head('POST', chat, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' })}zz\r\n{}\r\n0\r\n\r\n`
    const answer = await exchange(rig.url, bytes)
    expect(answer.status).toBe(400)
    await expectUnharmed(rig)
  })
})
