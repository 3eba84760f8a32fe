import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { expectEnvelope, expectUnharmed, startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { exchange, post } from './wire.ts'
import type { RawAnswer } from './wire.ts'

// Multipart bodies, written by hand: what is malformed, ambiguous or too much is refused.

const transcriptions = '/openai/v1/audio/transcriptions'
const type = 'multipart/form-data; boundary=b'

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ client: { max_request_body_size_mb: 4 } })
})
afterAll(() => rig[Symbol.asyncDispose]())

const part = (name: string, value: string): string =>
  `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
const file = (name = 'file'): string =>
  `--b\r\ncontent-disposition: form-data; name="${name}"; filename="a.mp3"\r\ncontent-type: audio/mpeg\r\n\r\nnoise\r\n`
const end = '--b--\r\n'

function send(
  body: string | Uint8Array,
  contentType = type,
  path = transcriptions,
): Promise<RawAnswer> {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  return exchange(rig.url, post(path, bytes, { 'content-type': contentType }))
}

async function refused(answer: RawAnswer, param: string | null): Promise<void> {
  expectEnvelope({ ...answer, body: answer.json() })
  expect(answer.status).toBe(400)
  expect(answer.json().error.param).toBe(param)
  await expectUnharmed(rig)
}

describe('a malformed form', () => {
  const good = part('model', 'openai/ear') + file() + end
  test.each([
    ['no boundary', good, 'multipart/form-data'],
    ['an empty boundary', good, 'multipart/form-data; boundary='],
    ['another boundary', good, 'multipart/form-data; boundary=c'],
    ['nothing', '', type],
    ['only an end', end.slice(0, 3), type],
    ['no end', part('model', 'openai/ear') + file(), type],
    ['half an end', `${part('model', 'openai/ear')}${file()}--b`, type],
    ['a part without a name', `--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n${good}`, type],
    ['a part without headers', `--b\r\nx\r\n${good}`, type],
    ['a part without a disposition', `--b\r\nx: y\r\n\r\nx\r\n${good}`, type],
    [
      'headers without an end',
      `--b\r\ncontent-disposition: form-data; name="model"\r\n${end}`,
      type,
    ],
    ['headers of 20 KB', `--b\r\nx: ${'y'.repeat(20_000)}\r\n\r\nx\r\n${good}`, type],
    [
      'something behind a boundary',
      `--bc\r\ncontent-disposition: form-data; name="x"\r\n\r\n1\r\n${good}`,
      type,
    ],
    ['only line feeds', good.replaceAll('\r\n', '\n'), type],
    ['10,000 parts', part('x', '1').repeat(10_000) + good, type],
    ['bytes', String.fromCharCode(...Array.from({ length: 4096 }, (_, i) => (i * 7) % 256)), type],
  ])('%s', async (_, body, contentType) => refused(await send(body, contentType), null))
})

// Two readers, two forms: what one takes for the model, another takes for content, or for a field of another name.
describe('a form that others could read in another way', () => {
  const own = part('model', 'openai/ear') + file()
  const field = (disposition: string): string =>
    `${own}--b\r\n${disposition}\r\n\r\nopenai/dear\r\n${end}`
  const data = 'content-disposition: form-data;'
  const inner = (own + end).replaceAll('--b', '--c')
  const other = `${part('model', 'openai/dear')}${file()}${part('junk', inner)}${end}`
  const separator = '\u00e2\u0080\u00a8'
  test.each<[string, string, string?]>([
    ['two boundaries', other, 'multipart/form-data; boundary=c; boundary=b'],
    [
      'two content types',
      other,
      'multipart/form-data; boundary=c, multipart/form-data; boundary=b',
    ],
    ['two names', field(`${data} name="x"; name="model"`)],
    ['two names, in two notations', field(`${data} name="x"; name*=utf-8''model`)],
    ['an escape in a name', field(`${data} name="mod\\el"`)],
    ['half a quote', field(`${data} name="x"; a="; name="model"`)],
    ['two dispositions', field(`${data} name="x"\r\n${data} name="model"`)],
    ['another disposition', field('content-disposition: attachment; name="x"')],
    ['a line feed among the headers', field(`x: y\n${data} name="x"\r\n${data} name="model"`)],
    ['a folded header', field(`x: y\r\n ${data} name="x"\r\n${data} name="model"`)],
    ['a line feed before a boundary', own.replace('noise', `noise\n${part('model', 'm')}`) + end],
    ['a boundary within the first line', `x${own}${end}${other}`],
    ['a form behind its end', own + end + other],
    ['headers that end with a boundary', `--b\r\n${data} name="x"\r\n\r\n${own}${end}`],
  ])('%s', async (_, body, contentType = type) => refused(await send(body, contentType), null))

  test.each([
    ['inside another parameter', `${data} a="; name=\\"x\\""; name="model"`],
    ['behind one that is called nearly so', `${data} a-name="x"; name="model"`],
    ['in capitals', `${data} NAME="model"`],
    ['behind a line separator', `x: ${separator}${data} name="x"\r\n${data} name="model"`],
    ['that is in capitals itself', `${data} name="MODEL"`],
  ])('a second model with a name %s', async (_, disposition) =>
    refused(await send(field(disposition)), 'model'),
  )

  test.each([
    'a="boundary=c"; boundary=b',
    'a-boundary=c; boundary=b',
    'a="\\"; boundary=c"; boundary=b',
  ])('is read by its boundary where the type is %p', async (parameters) => {
    expect((await send(other, `multipart/form-data; ${parameters}`)).status).toBe(200)
    expect(rig.upstream.requests[0]?.text()).toBe(other.replace('openai/dear', 'dear'))
    rig.upstream.clear()
  })

  test('is none for what programs write', async () => {
    const written = [
      'Content-Disposition: form-data; name=model\r\n\r\nopenai/ear',
      'content-disposition: form-data;name="prompt";\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n',
      'Content-Disposition: form-data; name="file"; filename="a \\"b\\"; name=c.mp3"; filename*=utf-8\'\'%C3%A9.mp3\r\n\r\n\r\n--bc\n--c',
    ]
    const body = written.map((each) => `--b-?\r\n${each}\r\n`).join('') + '--b-?--'
    rig.upstream.reply({ json: { text: 'hi' } })
    const answer = await send(body, 'Multipart/Form-Data; charset=utf-8; Boundary="b-?"')
    expect([answer.status, answer.json().text]).toEqual([200, 'hi'])
    expect(rig.upstream.requests[0]?.text()).toBe(body.replace('openai/ear', 'ear'))
    rig.upstream.clear()
  })
})

describe('a field', () => {
  test.each<[string, string, string]>([
    ['no model', file(), 'model'],
    ['no file', part('model', 'openai/ear'), 'file'],
    ['two models', part('model', 'openai/ear') + part('model', 'groq/x') + file(), 'model'],
    ['a model that is a file', file('model') + file(), 'model'],
    ['an empty model', part('model', '') + file(), 'model'],
    ['a model with a line break', part('model', 'openai/a\r\nb') + file(), 'model'],
    ['a model with a NUL', part('model', 'openai/a\0b') + file(), 'model'],
    ['a model of 600 characters', part('model', 'm'.repeat(600)) + file(), 'model'],
    ['a model of a megabyte', part('model', 'm'.repeat(1_000_000)) + file(), 'model'],
    ['only a provider', part('model', 'openai/') + file(), 'model'],
    [
      'two streams',
      `${part('model', 'm')}${part('stream', 'true')}${part('stream', 'false')}${file()}`,
      'stream',
    ],
  ])('%s', async (_, parts, param) => refused(await send(parts + end), param))

  test('a provider that nobody knows', async () => {
    const body = part('purpose', 'batch') + part('provider', 'nobody') + file() + end
    await refused(await send(body, type, '/openai/v1/files'), 'provider')
  })

  test('a provider that lacks the operation', async () => {
    const answer = await send(
      part('model', 'groq/x') + file() + end,
      type,
      '/openai/v1/images/edits',
    )
    expectEnvelope({ ...answer, body: answer.json() }, { requestType: 'image_edit' })
    await expectUnharmed(rig)
  })

  test('what is no UTF-8 is still an answer', async () => {
    expect((await send(`${part('model', 'openai/\xff\xfe')}${file()}${end}`)).status).toBeLessThan(
      500,
    )
    rig.upstream.clear()
  })
})

test('a quoted boundary, a preamble and an epilogue are fine', async () => {
  const body = `before\r\n${part('model', 'openai/ear')}${file()}${end}after`
  const answer = await send(body, 'multipart/form-data; boundary="b"; charset=utf-8')
  expect(answer.status).toBe(200)
  expect(rig.upstream.requests[0]?.text()).toBe(body.replace('openai/ear', 'ear'))
  rig.upstream.clear()
})

test('a form without a model gets the one that its path names', async () => {
  const path = '/openai/openai/deployments/openai%2Fear/audio/transcriptions?api-version=1'
  expect((await send(file() + end, type, path)).status).toBe(200)
  const [sent] = rig.upstream.requests
  expect(sent?.path).toBe('/v1/audio/transcriptions')
  const form = await new Response(sent?.body, { headers: { 'content-type': type } }).formData()
  expect(form.get('model')).toBe('ear')
  expect(form.get('file')).toBeInstanceOf(File)
  rig.upstream.clear()
})
