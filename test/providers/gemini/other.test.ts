import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { unitVector } from '#providers/mock/embeddings.ts'

import { png } from './conversations.ts'
import { modern, question, readFixture, type Rig, startRig } from './rig.ts'

// What the vendor has besides conversations, and how it fails.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

const embed = (body: object) => rig.post('/embeddings', { model: 'gemini/embed', ...body })
const get = async (path: string): Promise<any> =>
  (await fetch(`${rig.url}/openai/v1${path}`)).json()

describe('embeddings', () => {
  test('of several texts, in their order', async () => {
    const { json } = await embed({ input: ['one', 'two'] })
    expect(json.data.map(({ index }: any) => index)).toEqual([0, 1])
    expect(json.data[0].embedding).toEqual(Array.from(unitVector('one', 8)))
    const [sent] = rig.upstream.requests
    expect(sent!.path).toBe('/v1beta/models/embed:batchEmbedContents')
    expect(sent!.text()).toBe(readFixture('golden/embeddings.json').trimEnd())
  })

  test('shortened ones are of length 1, and base64 is as the SDK wants it', async () => {
    const client = rig.client()
    const { data } = await client.embeddings.create({
      model: 'gemini/embed',
      input: 'one',
      dimensions: 4,
    })
    const length = Math.hypot(...data[0]!.embedding)
    expect(length).toBeCloseTo(1, 5)
    const sent = rig.upstream.requests[0]!.json().requests[0]
    expect(sent.outputDimensionality).toBe(4)
  })

  test('take the vendor’s own parameters, and note the others', async () => {
    const { dropped } = await embed({
      input: 'one',
      task_type: 'RETRIEVAL_DOCUMENT',
      title: 'One',
      user: 'u',
    })
    expect(dropped).toEqual(['user'])
    expect(rig.upstream.requests[0]!.json().requests[0]).toEqual({
      model: 'models/embed',
      content: { parts: [{ text: 'one' }] },
      taskType: 'RETRIEVAL_DOCUMENT',
      title: 'One',
    })
  })

  test('more than a hundred go out as several requests', async () => {
    const input = Array.from({ length: 101 }, (_, at) => `text ${at}`)
    const { json } = await embed({ input, encoding_format: 'float' })
    expect(json.data).toHaveLength(101)
    expect(json.data[100].embedding).toEqual(Array.from(unitVector('text 100', 8)))
    expect(rig.upstream.requests).toHaveLength(2)
  })

  test('token ids are refused', async () => {
    const { status, json } = await embed({ input: [1, 2] })
    expect(status).toBe(400)
    expect(json.error.param).toBe('input')
  })

  test.each([{}, { embeddings: [{}] }, { embeddings: [{ values: ['x'] }] }])(
    'an answer without vectors is a failure: %j',
    async (json) => {
      rig.upstream.reply({ json })
      expect((await embed({ input: 'one' })).status).toBe(502)
    },
  )
})

describe('models', () => {
  test('are listed with what they hold, without those of another kind', async () => {
    const { data } = await get('/models')
    const ids = data.map(({ id }: any) => id)
    expect(ids).toContain('gemini/echo')
    expect(ids).not.toContain('gemini/live')
    expect(data.find(({ id }: any) => id === 'gemini/echo')).toMatchObject({
      object: 'model',
      owned_by: 'google',
      context_window: 1_048_576,
      max_output_tokens: 65_536,
    })
    expect(rig.upstream.requests.at(-1)!.query).toBe('?pageSize=1000')
  })

  test('one is asked for by its name', async () => {
    const model = await get('/models/gemini%2Fgemini-3-flash-echo')
    expect(model).toMatchObject({ id: 'gemini/gemini-3-flash-echo', object: 'model' })
    expect(rig.upstream.requests[0]!.path).toBe('/v1beta/models/gemini-3-flash-echo')
  })
})

test('tokens are counted by the vendor', async () => {
  const { status, json } = await rig.post('/responses/input_tokens', {
    model: `gemini/${modern}`,
    instructions: 'Be brief.',
    input: 'Hello there',
  })
  expect(status).toBe(200)
  expect(json).toMatchObject({ object: 'response.input_tokens', input_tokens: 6 })
  const [sent] = rig.upstream.requests
  expect(sent!.path).toBe(`/v1beta/models/${modern}:countTokens`)
  expect(sent!.json().generateContentRequest).toEqual({
    model: `models/${modern}`,
    contents: [{ role: 'user', parts: [{ text: 'Hello there' }] }],
    systemInstruction: { parts: [{ text: 'Be brief.' }] },
  })
})

test('images are generated through the vendor’s OpenAI-compatible door', async () => {
  rig.upstream.reply({ json: { created: 1, data: [{ b64_json: png }] } })
  const { status, json } = await rig.post('/images/generations', {
    model: 'gemini/imagen-4',
    prompt: 'A bridge',
  })
  expect(status).toBe(200)
  expect(json.data[0].b64_json).toBe(png)
  const [sent] = rig.upstream.requests
  expect(sent!.path).toBe('/v1beta/openai/images/generations')
  expect(sent!.headers.get('authorization')).toBe('Bearer gemini-key-of-the-tests')
  expect(sent!.headers.get('x-goog-api-key')).toBeNull()
})

const rpc = (code: number, status: string, message = 'No.', details: object[] = []) => ({
  error: { code, message, status, details },
})
const retryInfo = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '12.5s' }
const quota = (quotaId: string, quotaValue: string) => ({
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaId, quotaValue }],
})

describe('an error', () => {
  test.each<[number, object | string, number, string | null]>([
    [400, rpc(400, 'INVALID_ARGUMENT'), 400, null],
    [400, [rpc(400, 'INVALID_ARGUMENT')], 400, null],
    [
      400,
      rpc(400, 'INVALID_ARGUMENT', 'API key not valid.', [{ reason: 'API_KEY_INVALID' }]),
      401,
      'invalid_api_key',
    ],
    [
      400,
      rpc(
        400,
        'INVALID_ARGUMENT',
        'The input token count (9) exceeds the maximum number of tokens allowed (8).',
      ),
      400,
      'context_length_exceeded',
    ],
    [
      400,
      rpc(400, 'FAILED_PRECONDITION', 'User location is not supported.'),
      403,
      'permission_denied',
    ],
    [401, rpc(401, 'UNAUTHENTICATED'), 401, 'invalid_api_key'],
    [402, rpc(402, 'UNKNOWN'), 429, 'insufficient_quota'],
    [403, rpc(403, 'PERMISSION_DENIED'), 403, 'permission_denied'],
    [404, rpc(404, 'NOT_FOUND', 'models/x is not found'), 404, 'model_not_found'],
    [409, rpc(409, 'ABORTED'), 409, null],
    [429, [rpc(429, 'RESOURCE_EXHAUSTED', 'Slow down.', [retryInfo])], 429, 'rate_limit_exceeded'],
    [
      429,
      rpc(429, 'RESOURCE_EXHAUSTED', 'Quota.', [
        quota('RequestsPerDayPerProject', '50'),
        retryInfo,
      ]),
      429,
      'insufficient_quota',
    ],
    [
      429,
      rpc(429, 'RESOURCE_EXHAUSTED', 'Quota.', [quota('RequestsPerMinute', '0')]),
      429,
      'insufficient_quota',
    ],
    [500, rpc(500, 'INTERNAL'), 500, null],
    [503, rpc(503, 'UNAVAILABLE'), 503, 'overloaded'],
    [504, rpc(504, 'DEADLINE_EXCEEDED'), 504, null],
    [500, '<html>oops</html>', 500, null],
    [429, { error: { details: 'none', message: 7, status: {} } }, 429, 'rate_limit_exceeded'],
  ])('%i %j is %i %s', async (status, body, outward, code) => {
    rig.upstream.reply(typeof body === 'string' ? { status, text: body } : { status, json: body })
    const { status: got, json } = await rig.ask({})
    expect(got).toBe(outward)
    expect(json.error.code).toBe(code)
  })

  test('says when to try again, unless that is pointless', async () => {
    const say = async (details: object[]) => {
      rig.upstream.reply({ status: 429, json: rpc(429, 'RESOURCE_EXHAUSTED', 'No.', details) })
      return (await rig.ask({})).headers
    }
    const soon = await say([retryInfo])
    expect(soon.get('retry-after')).toBe('13')
    expect(soon.get('retry-after-ms')).toBe('12500')
    const never = await say([quota('GenerateRequestsPerDayPerProjectPerModel', '9'), retryInfo])
    expect(never.get('retry-after')).toBeNull()
    expect(never.get('x-should-retry')).toBe('false')
  })

  test('of the mock is one of the vendor', async () => {
    const { status, json } = await rig.ask({ model: 'missing' })
    expect(status).toBe(404)
    expect(json.error.code).toBe('model_not_found')
    const stream = await rig.ask({ model: `${modern}!error-event=2`, stream: true })
    expect(stream.text).toContain('The server had an error')
    const cut = await rig.ask({ model: `${modern}!no-finish`, stream: true })
    expect(cut.text).toContain('upstream_truncated')
  })

  test('of a key that is none is the key’s', async () => {
    await using other = await startRig({ keys: [{ value: 'invalid' }] })
    const { status, json } = await other.ask({ messages: [question] })
    expect(status).toBe(401)
    expect(json.error.code).toBe('invalid_api_key')
  })
})
