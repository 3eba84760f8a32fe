import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { VENDORS } from '#providers/vendors.ts'

import { failure, startRig } from './rig.ts'
import type { Rig } from './rig.ts'

// What you send is what the model gets, and what it answers is what you get: byte for byte, but for what has to change.

let rig: Rig
beforeAll(async () => {
  rig = await startRig({
    others: (url) =>
      Object.fromEntries(
        ['mistral', 'deepseek', 'cerebras', 'fireworks', 'groq', 'openrouter'].map((name) => [
          name,
          {
            keys: [{ name, value: `sk-${name}`, models: ['*'], weight: 1 }],
            network_config: { base_url: url },
          },
        ]),
      ),
  })
})
afterAll(() => rig[Symbol.asyncDispose]())
afterEach(() => rig.upstream.clear())

/** The body that reaches the provider for this text. */
async function sent(text: string, path = '/chat/completions'): Promise<string> {
  rig.upstream.clear()
  rig.upstream.reply({ json: { id: 'x', object: 'o', choices: [], data: [] } })
  const response = await rig.post(path, text)
  if (response.status !== 200 && response.status !== 502) throw new Error(await response.text())
  await response.arrayBuffer()
  return rig.upstream.requests[0]!.text()
}

const messages = '"messages":[{"role":"user","content":"hi"}]'

describe('a request body', () => {
  test('travels unchanged when nothing has to change', async () => {
    const text = `\n{ "messages" : [ {"role":"user","content":"caf\\u00e9 \\ud83c\\udf08 \\/ é 🌈","x":null} ],\t"model":"gpt-x",
      "temperature":1.0, "seed":1152921504606846976, "big":1e400, "tiny":-0.0, "exp":1E+2, "unknown":{"deep":[{"a":{"b":[1.50]}}]},"":1 }\n `
    expect(await sent(text)).toBe(text)
  })

  test.each([
    ['"model":"openai/gpt-x"', '"model":"gpt-x"'],
    ['"model" :\t"openai/gpt-x"', '"model" :\t"gpt-x"'],
    ['"model":"openai\\/gpt-x"', '"model":"gpt-x"'],
    ['"mod\\u0065l":"openai/gpt-x"', '"mod\\u0065l":"gpt-x"'],
    ['"model":"openai/openai/gpt-x"', '"model":"openai/gpt-x"'],
    ['"model":"meta-llama/Llama"', '"model":"meta-llama/Llama"'],
  ])('has its model replaced where it stands: %s', async (from, to) => {
    const around = (model: string): string =>
      `{"a":1.0,${model}, ${messages},"z":"\\"model\\":\\"openai/x\\""}`
    expect(await sent(around(from))).toBe(around(to))
  })

  test('loses "fallbacks" and one comma, wherever they stand', async () => {
    const fallbacks = '"fallbacks":["openai/b", "x"]'
    const rest = `"model":"m",${messages}`
    expect(await sent(`{${fallbacks},${rest}}`)).toBe(`{${rest}}`)
    expect(await sent(`{${rest},${fallbacks}}`)).toBe(`{${rest}}`)
    expect(await sent(`{"model":"m",${fallbacks},${messages}}`)).toBe(`{${rest}}`)
  })

  test.each([
    ['', '"stream_options":{"include_usage":true},'],
    ['"stream_options":{},', '"stream_options":{"include_usage":true},'],
    ['"stream_options":null,', '"stream_options":{"include_usage":true},'],
    [
      '"stream_options":{"include_usage":false,"x":1.0},',
      '"stream_options":{"include_usage":true,"x":1.0},',
    ],
    ['"stream_options": { "x": 1.0 },', '"stream_options": {"include_usage":true, "x": 1.0 },'],
    [
      '"stream_options":{ "include_usage" : true },',
      '"stream_options":{ "include_usage" : true },',
    ],
  ])('is asked for usage when it streams: %s', async (from, to) => {
    const around = (options: string): string => `{${options}"stream":true,"model":"m",${messages}}`
    expect(await sent(around(from))).toBe(around(to))
  })

  test('of a response or an embedding gets no stream_options', async () => {
    const response = '{"stream":true,"model":"m","input":"hi"}'
    expect(await sent(response, '/responses')).toBe(response)
    const embedding = '{"model":"m","input":[1,2],"dimensions":1.0}'
    expect(await sent(embedding, '/embeddings')).toBe(embedding)
  })

  test('keeps whatever else is in it, for arbitrary JSON', async () => {
    await fc.assert(
      fc.asyncProperty(
        // Prefixed, so that none is a field of the API, whose type would be checked.
        fc.dictionary(
          fc.string({ maxLength: 12 }).map((key) => `x_${key}`),
          fc.jsonValue(),
          { maxKeys: 6 },
        ),
        fc.constantFrom('', ' ', '\n\t'),
        async (extras, space) => {
          const members = Object.entries(extras).map(
            ([key, value]) =>
              `${JSON.stringify(key)}${space}:${JSON.stringify(value, null, space)}`,
          )
          const body = (model: string): string =>
            `{${space}${[...members, `"model":${space}"${model}"`, messages].join(`,${space}`)}${space}}`
          expect(await sent(body('openai/m'))).toBe(body('m'))
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('what vendors want differently', () => {
  const chat = (more: string, provider: string): string => `{"model":"${provider}m",${more}"n":1.0}`

  test.each([
    [
      'mistral',
      `${messages},"max_completion_tokens": 5.0,"seed":1,`,
      `${messages},"max_tokens": 5.0,"random_seed":1,`,
    ],
    ['mistral', `${messages},"tool_choice" : "required",`, `${messages},"tool_choice" : "any",`],
    [
      'mistral',
      `${messages},"tool_choice":{"type":"function"},`,
      `${messages},"tool_choice":{"type":"function"},`,
    ],
    ['mistral', `"store":true,${messages},"metadata":{"a":[1]},"user":"u",`, `${messages},`],
    [
      'mistral',
      '"messages":[{"content":"x","role" : "developer"},{"role":"user","content":"\\"role\\":\\"developer\\""}],',
      '"messages":[{"content":"x","role" : "system"},{"role":"user","content":"\\"role\\":\\"developer\\""}],',
    ],
    ['cerebras', `${messages},"max_tokens":5,`, `${messages},"max_completion_tokens":5,`],
    [
      'cerebras',
      `${messages},"max_tokens":5,"max_completion_tokens":6,`,
      `${messages},"max_tokens":5,"max_completion_tokens":6,`,
    ],
    [
      'fireworks',
      `${messages},"prompt_cache_key":"k",`,
      `${messages},"prompt_cache_isolation_key":"k",`,
    ],
    [
      'openrouter',
      `${messages},"provider":{"order":["a"]},"store":true,`,
      `${messages},"provider":{"order":["a"]},"store":true,`,
    ],
  ])('%s: %s', async (vendor, from, to) => {
    expect(await sent(chat(from, `${vendor}/`))).toBe(chat(to, ''))
  })

  test('deepseek loses n, at the end of the body too', async () => {
    expect(await sent(chat(`${messages},`, 'deepseek/'))).toBe(`{"model":"m",${messages}}`)
  })

  test('a vendor that refuses stream_options is not asked, and loses those of the caller', async () => {
    const text = `{"model":"mistral/m","stream":true,"stream_options":{"include_usage":true},${messages}}`
    expect(await sent(text)).toBe(`{"model":"m","stream":true,${messages}}`)
  })

  test('what a vendor lacks is a 400 that names both, and nothing is sent', async () => {
    const { status, error } = await failure(
      await rig.post('/embeddings', { model: 'cerebras/e', input: 'x' }),
    )
    expect([status, error.code]).toEqual([400, 'unsupported_endpoint'])
    expect(error.message).toContain("'cerebras' does not support embedding")
    expect(rig.upstream.requests).toHaveLength(0)
  })

  test('every vendor in the table sends its requests where its table says', () => {
    for (const { baseUrl, versionPath } of VENDORS) {
      expect(baseUrl?.endsWith('/') ?? false).toBe(false)
      expect(versionPath?.startsWith('/') ?? true).toBe(true)
    }
  })
})

describe('an answer', () => {
  async function answered(
    text: string,
    path = '/chat/completions',
    headers: Record<string, string> = {},
  ): Promise<string> {
    rig.upstream.reply({ text, headers: { 'content-type': 'application/json' } })
    const response = await rig.post(
      path,
      { model: 'openai/m', messages: [{ role: 'user', content: 'x' }], input: 'x' },
      { headers },
    )
    return await response.text()
  }
  const withoutExtra = (text: string): string =>
    text.replace(
      /,?"extra_fields":\{"request_type":"[a-z_]+","provider":"openai","model_requested":"openai\/m","model_deployment":"m","latency":\d+,"chunk_index":0\}/,
      '',
    )

  test('keeps its bytes: unknown fields, number literals, escapes, space', async () => {
    const text =
      '{ "id":"x","object":"chat.completion" ,\n"n":1.0,"big":1152921504606846976,"e":1e400,"z":-0.0,"s":"\\u00e9\\/ é","choices":[],"x":{"y":[{"q":[]}]} }\n'
    const got = await answered(text)
    expect(got).not.toBe(text)
    expect(withoutExtra(got)).toBe(text)
    expect(await answered(text, '/chat/completions', { 'x-bf-extra-fields': 'false' })).toBe(text)
  })

  test('that is an empty object is valid with extra_fields', async () => {
    expect(JSON.parse(await answered(' { } '))).toEqual({ extra_fields: expect.any(Object) })
  })

  test('keeps the extra_fields of a gateway behind us', async () => {
    const text = '{"id":"x","choices":[],"extra_fields":{"provider":"inner"}}'
    expect(await answered(text)).toBe(text)
  })

  test('of any size is treated alike', async () => {
    const text = `{"object":"list","data":[{"embedding":[${'0.10,'.repeat(100_000)}1]}],"usage":{"prompt_tokens":3,"total_tokens":3}, "x":1.0}`
    expect(withoutExtra(await answered(text, '/embeddings'))).toBe(text)
    expect((await rig.settled(({ usage }) => (usage as any)?.inputTokens === 3)).request_type).toBe(
      'embedding',
    )
  })

  test('keeps whatever is in it, for arbitrary JSON', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue(), { maxKeys: 6 }),
        fc.constantFrom('', ' ', '\n'),
        async (extras, space) => {
          const { error: _, extra_fields: __, usage: ___, object: ____, ...rest } = extras
          const text = JSON.stringify({ id: 'x', ...rest }, null, space)
          const got = await answered(text)
          expect(withoutExtra(got)).toBe(text)
          expect(JSON.parse(got).extra_fields.provider).toBe('openai')
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('a form', () => {
  const boundary = 'XX--boundary'
  const bytes = Buffer.concat([Buffer.from([0, 255, 13, 10, 45, 45]), Buffer.from('RIFF')])
  const form = (model: string, more = ''): Buffer =>
    Buffer.concat([
      Buffer.from(
        `preamble\r\n--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="ä.wav"\r\nContent-Type: audio/wav\r\n\r\n`,
      ),
      bytes,
      Buffer.from(
        `\r\n--${boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n${model}\r\n${more}--${boundary}\r\ncontent-disposition: form-data; name="prompt"\r\nX-Odd:  1\r\n\r\nmodel\r\n--${boundary}--\r\nepilogue`,
      ),
    ])
  async function sentForm(body: Buffer, path: string): Promise<Buffer> {
    rig.upstream.clear()
    rig.upstream.reply({ json: { text: 'hi' } })
    const response = await fetch(`${rig.gateway.url}/openai/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary="${boundary}"` },
      body: new Uint8Array(body),
    })
    expect(response.status).toBe(200)
    const [request] = rig.upstream.requests
    expect(request!.headers.get('content-type')).toBe(`multipart/form-data; boundary="${boundary}"`)
    return Buffer.from(request!.body)
  }

  test('travels byte for byte but for its model', async () => {
    expect(await sentForm(form('whisper'), '/audio/transcriptions')).toEqual(form('whisper'))
    expect(await sentForm(form('openai/whisper'), '/audio/transcriptions')).toEqual(form('whisper'))
  })

  test('loses the part that only names the provider', async () => {
    const part = `--${boundary}\r\nContent-Disposition: form-data; name="provider"\r\n\r\nopenai\r\n`
    const purpose = `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n`
    expect(await sentForm(form('m', purpose + part), '/files')).toEqual(form('m', purpose))
  })

  describe('loses its fallbacks', () => {
    const field = (name: string, value: string): string =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
    const kept = field('language', 'de')
    // What is not one of them stays, however much it looks like it.
    const alike = field('fallback', 'x') + field('x', 'fallbacks') + field('Fallbacks', 'y')
    test.each([
      ['one', field('fallbacks', 'groq/a') + kept, kept],
      ['one with brackets', kept + field('fallbacks[]', 'groq/a'), kept],
      ['an empty one', field('fallbacks', '') + kept, kept],
      ['one with a boundary in it', field('fallbacks', `x--${boundary}--`) + kept, kept],
      [
        'one after the other',
        kept + field('fallbacks[]', 'a') + field('fallbacks[]', 'groq/b') + field('fallbacks', 'c'),
        kept,
      ],
      ['apart', field('fallbacks', 'a') + kept + alike + field('fallbacks', 'b'), kept + alike],
      ['none', alike, alike],
    ])('%s', async (_, more, left) => {
      const path = '/audio/transcriptions'
      expect(await sentForm(form('whisper', more), path)).toEqual(form('whisper', left))
      expect(await sentForm(form('openai/whisper', more), path)).toEqual(form('whisper', left))
    })

    test('with its provider, while its model changes', async () => {
      const purpose = field('purpose', 'batch')
      const provider = field('provider', 'openai')
      const fallbacks = field('fallbacks[]', 'groq/a') + field('fallbacks[]', 'groq/b')
      const orders = [
        provider + fallbacks + purpose,
        fallbacks + purpose + provider,
        fallbacks + provider + fallbacks + purpose,
      ]
      for (const order of orders) {
        const sentBody = await sentForm(form('openai/m', order), '/audio/transcriptions')
        expect(sentBody).toEqual(form('m', purpose))
      }
    })

    test('at either end of it', async () => {
      const whole = (parts: string): Buffer => Buffer.from(`${parts}--${boundary}--\r\n`)
      const speech = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nnoise\r\n`
      const fallbacks = field('fallbacks', 'groq/a')
      const ends = fallbacks + field('model', 'openai/whisper') + speech + fallbacks
      const sentWhole = await sentForm(whole(ends), '/audio/transcriptions')
      expect(sentWhole).toEqual(whole(field('model', 'whisper') + speech))
    })
  })
})
