import { describe, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { chatChunk, contentOf, failure, sse, strictStream, until, usageChunk } from './rig.ts'

// Routing rules in front of two fake providers, asked over real sockets.

interface Pair extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly openai: Upstream
  readonly groq: Upstream
  /** Where the last call went: provider, model and key as the upstream saw them. */
  readonly seen: () => string
  chat(body?: object, headers?: Record<string, string>, query?: string): Promise<Response>
  /** Writes the file anew with these rules. */
  rewrite(rules: readonly object[]): void
}

async function startPair(rules: readonly object[], client: object = {}): Promise<Pair> {
  const openai = await startUpstream()
  const groq = await startUpstream()
  const configOf = (routing: readonly object[]) => ({
    client,
    providers: {
      openai: {
        keys: [
          { name: 'one', id: 'o-1', value: 'sk-one', models: ['*'] },
          { name: 'two', id: 'o-2', value: 'sk-two', models: ['*'], weight: 0 },
        ],
        network_config: { base_url: openai.url },
        fallbacks: ['groq/of-openai'],
      },
      groq: {
        keys: [{ name: 'g', value: 'sk-g', models: ['*'] }],
        network_config: { base_url: groq.url },
      },
    },
    governance: { routing_rules: routing },
  })
  const gateway = await startGateway({ config: configOf(rules) })
  return {
    gateway,
    openai,
    groq,
    seen: () =>
      [openai, groq]
        .flatMap((upstream, i) =>
          upstream.requests.map((request) => {
            const key = request.headers.get('authorization')?.replace('Bearer ', '')
            return `${i === 0 ? 'openai' : 'groq'}/${request.json().model} ${key}`
          }),
        )
        .join(', '),
    chat(body = {}, headers = {}, query = '') {
      openai.clear()
      groq.clear()
      openai.reply({ json: answer })
      groq.reply({ json: answer })
      return fetch(`${gateway.url}/openai/v1/chat/completions${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({
          model: 'gpt-x',
          messages: [{ role: 'user', content: 'hi' }],
          ...body,
        }),
      })
    },
    rewrite: (routing) => writeFileSync(gateway.configPath, JSON.stringify(configOf(routing))),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await openai.stop()
      await groq.stop()
    },
  }
}

const answer = { id: 'x', object: 'chat.completion', choices: [] }
const toGroq = [{ provider: 'groq', model: 'llama' }]

test('a rule rewrites provider and model, an explicit prefix too, and the answer says so', async () => {
  await using pair = await startPair([
    { name: 'move', cel_expression: 'model == "gpt-x"', targets: toGroq },
  ])
  for (const model of ['gpt-x', 'openai/gpt-x']) {
    const response = await pair.chat({ model })
    const body: any = await response.json()
    expect(pair.seen()).toBe('groq/llama sk-g')
    expect(response.headers.get('x-bifrost-provider')).toBe('groq')
    expect(response.headers.get('x-bifrost-original-model')).toBe(model)
    expect(response.headers.get('x-bifrost-resolved-model')).toBe('llama')
    expect(response.headers.get('x-bifrost-fallback-index')).toBeNull()
    expect(body.extra_fields).toMatchObject({
      provider: 'groq',
      model_requested: model,
      model_deployment: 'llama',
    })
  }
  await (await pair.chat({ model: 'other' })).text()
  expect(pair.seen()).toBe('openai/other sk-one')
})

test('conditions see headers, the query, the operation, streaming and the size of the request', async () => {
  await using pair = await startPair([
    { name: 'header', cel_expression: 'headers["x-tier"] == "premium"', targets: [{ model: 'h' }] },
    { name: 'query', cel_expression: 'params["tier"] == "gold"', targets: [{ model: 'q' }] },
    { name: 'stream', cel_expression: 'stream', targets: [{ model: 's' }] },
    { name: 'size', cel_expression: 'token_estimate > 1000', targets: [{ model: 't' }] },
    { name: 'kind', cel_expression: 'request_type == "embedding"', targets: [{ model: 'e' }] },
    { name: 'time', cel_expression: 'now.getFullYear() < 2020', targets: [{ model: 'never' }] },
  ])
  const modelOf = async (...parts: Parameters<Pair['chat']>) => {
    await (await pair.chat(...parts)).text()
    return pair.openai.requests[0]!.json().model
  }
  expect(await modelOf({}, { 'X-Tier': 'premium' })).toBe('h')
  expect(await modelOf({}, { 'x-tier': 'premium ' })).toBe('h')
  expect(await modelOf({}, { 'x-tier': 'Premium' })).toBe('gpt-x')
  expect(await modelOf({}, {}, '?tier=gold')).toBe('q')
  expect(await modelOf({ messages: [{ role: 'user', content: 'x'.repeat(5000) }] })).toBe('t')
  expect(await modelOf()).toBe('gpt-x')
  pair.openai.clear()
  const embedding = { model: 'gpt-x', input: 'a' }
  await fetch(`${pair.gateway.url}/openai/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(embedding),
  })
  expect(pair.openai.requests[0]!.json().model).toBe('e')
})

test('a stream goes where the rule says', async () => {
  await using pair = await startPair([{ name: 'r', cel_expression: 'stream', targets: toGroq }])
  const asked = pair.chat({ stream: true })
  pair.groq.clear()
  pair.groq.reply({
    headers: { 'content-type': 'text/event-stream' },
    text: sse(chatChunk('there'), chatChunk('', { finish: 'stop' }), usageChunk, '[DONE]'),
  })
  const response = await asked
  expect(response.headers.get('x-bifrost-provider')).toBe('groq')
  expect(contentOf(await strictStream(response))).toBe('there')
  expect(pair.groq.requests[0]!.json()).toMatchObject({ model: 'llama', stream: true })
})

test('a form goes there too, with the model of the rule in it', async () => {
  await using pair = await startPair([{ name: 'r', targets: [{ provider: 'groq', model: 'ear' }] }])
  const form = new FormData()
  form.set('model', 'openai/whisper')
  form.set('file', new File(['abc'], 'a.wav'))
  pair.groq.reply({ json: { text: 'hi' } })
  const response = await fetch(`${pair.gateway.url}/openai/v1/audio/transcriptions`, {
    method: 'POST',
    body: form,
  })
  expect(await response.json()).toMatchObject({ text: 'hi' })
  const sent = pair.groq.requests[0]!.text()
  expect(sent).toContain('\r\n\r\near\r\n')
  expect(sent).not.toContain('whisper')
})

describe('when the target of a rule fails', () => {
  const failing = { status: 500, json: { error: { message: 'broken' } } }
  /** Asks with both providers failing; the order in which they were asked. */
  async function asked(rules: readonly object[], body: object = {}) {
    await using pair = await startPair(rules)
    const answering = pair.chat(body)
    const order: string[] = []
    for (const [name, upstream] of [
      ['openai', pair.openai],
      ['groq', pair.groq],
    ] as const) {
      upstream.clear()
      const reply = async (request: Request) => {
        const { model } = (await request.json()) as { model: string }
        order.push(`${name}/${model}`)
        return Response.json(failing.json, { status: failing.status })
      }
      upstream.reply([reply, reply, reply])
    }
    const response = await answering
    expect(response.status).toBe(500)
    return order
  }
  const targets = [{ provider: 'openai', model: 'm' }]

  test.each<[what: string, rule: object, body: object, order: string[]]>([
    ['its fallbacks', { fallbacks: ['groq/f', 'groq/'] }, {}, ['openai/m', 'groq/f', 'groq/m']],
    [
      'those of the body before them',
      { fallbacks: ['groq/f'] },
      { fallbacks: ['groq/own'] },
      ['openai/m', 'groq/own'],
    ],
    [
      'those of the body, written as objects, too',
      { fallbacks: ['groq/f'] },
      { fallbacks: [{ provider: 'groq', model: 'own' }] },
      ['openai/m', 'groq/own'],
    ],
    [
      'those of the rule where the body has an empty list',
      { fallbacks: ['groq/f'] },
      { fallbacks: [] },
      ['openai/m', 'groq/f'],
    ],
    ['those of the provider after them', {}, {}, ['openai/m', 'groq/of-openai']],
  ])('%s are tried', async (_, rule, body, order) => {
    expect(await asked([{ name: 'r', targets, ...rule }], body)).toEqual(order)
  })
})

test('a fallback of a rule serves, and says that it did', async () => {
  await using pair = await startPair([
    { name: 'r', targets: [{ provider: 'openai', model: 'm' }], fallbacks: ['groq/f'] },
  ])
  const asking = pair.chat()
  pair.openai.clear()
  pair.openai.reply({ status: 500, json: { error: { message: 'broken' } } })
  const response = await asking
  expect(response.status).toBe(200)
  expect(response.headers.get('x-bifrost-provider')).toBe('groq')
  expect(response.headers.get('x-bifrost-resolved-model')).toBe('f')
  expect(response.headers.get('x-bifrost-fallback-index')).toBe('1')
})

test('a rule may name the key alone', async () => {
  await using pair = await startPair([
    { name: 'r', cel_expression: 'headers["x-paid"] == "yes"', targets: [{ key_id: 'o-2' }] },
  ])
  await (await pair.chat({}, { 'x-paid': 'yes' })).text()
  expect(pair.seen()).toBe('openai/gpt-x sk-two')
  await (await pair.chat()).text()
  expect(pair.seen()).toBe('openai/gpt-x sk-one')
})

test('a key that a caller brought stays with its provider', async () => {
  await using pair = await startPair([{ name: 'r', targets: toGroq }], { allow_direct_keys: true })
  await (await pair.chat({}, { authorization: 'Bearer sk-own' })).text()
  expect(pair.seen()).toBe('openai/gpt-x sk-own')
})

test('calls are shared out by weight', async () => {
  await using pair = await startPair([
    {
      name: 'r',
      targets: [
        { model: 'a', weight: 0.5 },
        { provider: 'groq', model: 'b', weight: 0.5 },
        { model: 'never', weight: 0 },
      ],
    },
  ])
  const went = new Set<string>()
  // That all of them go the same way happens once in 2^59 runs.
  for (let turn = 0; turn < 60; turn++) {
    await (await pair.chat()).text()
    went.add(pair.seen())
  }
  expect([...went].toSorted()).toEqual(['groq/b sk-g', 'openai/a sk-one'])
})

test('what rules did is explained to those who ask', async () => {
  await using pair = await startPair([
    { name: 'no', cel_expression: 'headers["x-a"] == "word"', targets: toGroq },
    { name: 'yes', targets: toGroq },
  ])
  const traceOf = async (headers: Record<string, string>) => {
    const body: any = await (await pair.chat({}, headers)).json()
    return body.extra_fields.trace?.filter(({ step }: any) => step === 'route')
  }
  expect(await traceOf({ 'x-bf-explain': 'true' })).toMatchObject([
    {
      what: "rule 'no' does not match: a header is another, or missing",
      rule_name: 'no',
    },
    { what: "rule 'yes' leads to groq/llama", rule_name: 'yes' },
  ])
  expect(await traceOf({})).toBeUndefined()
})

test('rules are taken from the file while the gateway runs, and a broken one changes nothing', async () => {
  await using pair = await startPair([])
  const went = async () => {
    await (await pair.chat()).text()
    return pair.seen()
  }
  expect(await went()).toBe('openai/gpt-x sk-one')
  pair.rewrite([{ name: 'r', targets: toGroq }])
  await until(async () => (await went()) === 'groq/llama sk-g')
  pair.rewrite([{ name: 'r', cel_expression: 'modle == "x"', targets: toGroq }])
  const line = await pair.gateway.logged((entry) => JSON.stringify(entry).includes('modle'))
  expect(JSON.stringify(line)).toContain('/governance/routing_rules/0/cel_expression')
  expect(await went()).toBe('groq/llama sk-g')
  pair.rewrite([])
  await until(async () => (await went()) === 'openai/gpt-x sk-one')
})

test('hostile headers and parameters are no server errors and match nothing they should not', async () => {
  await using pair = await startPair([
    { name: 'number', cel_expression: 'int(headers["x-n"]) > 10', targets: toGroq },
    { name: 'pattern', cel_expression: 'headers["x-p"].matches("^(a+)+$")', targets: toGroq },
    {
      name: 'parts',
      cel_expression: 'headers["x-l"].split(",").exists(p, p == "in")',
      targets: toGroq,
    },
    { name: 'all', cel_expression: 'headers.exists(h, h == "__proto__")', targets: toGroq },
    { name: 'time', cel_expression: 'timestamp(headers["x-t"]) < now', targets: toGroq },
    { name: 'param', cel_expression: 'params["__proto__"] == "x"', targets: toGroq },
    { name: 'index', cel_expression: 'headers["x-l"].split(",")[999] == "y"', targets: toGroq },
  ])
  const hostile: [headers: Record<string, string>, query?: string][] = [
    [{ 'x-n': '9'.repeat(6000) }],
    [{ 'x-n': '-0x' }],
    // Takes a backtracking engine longer than the universe has.
    [{ 'x-p': `${'a'.repeat(6000)}!` }],
    [{ 'x-l': ','.repeat(6000) }],
    [{ 'x-t': 'yesterday' }],
    [{ 'x-t': '+275760-09-13T00:00:00.001Z' }],
    [{ 'x-l': '\xff\xfe' }],
    [{ constructor: 'x', 'to-string': 'y' }],
    [Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`x-many-${i}`, 'v']))],
    [{}, '?__proto__=y&constructor=z'],
    [{}, '?%=%ff&&&===&a[]=b'],
    [{}, `?${'a&'.repeat(2000)}`],
  ]
  for (const [headers, query] of hostile) {
    const response = await pair.chat({}, headers, query)
    expect([response.status, await response.json()]).toMatchObject([200, answer])
    expect(pair.seen()).toBe('openai/gpt-x sk-one')
  }
  await (await pair.chat({}, {}, '?__proto__=x')).text()
  expect(pair.seen()).toBe('groq/llama sk-g')
})

test('a rule that leads nowhere is the caller’s 400 with the reason', async () => {
  await using pair = await startPair([{ name: 'r', targets: [{ provider: 'mistral' }] }])
  const { status, error } = await failure(await pair.chat())
  expect([status, error.code]).toEqual([400, 'provider_not_configured'])
  expect(error.message).toContain("'mistral'")
})

test('what a call is about is asked where that is, whatever the rules', async () => {
  await using pair = await startPair([{ name: 'r', targets: toGroq }])
  pair.openai.reply([{ json: { data: [] } }, { json: { id: 'gpt-x' } }])
  await (await fetch(`${pair.gateway.url}/openai/v1/files`)).text()
  await (await fetch(`${pair.gateway.url}/openai/v1/models/gpt-x`)).text()
  expect(pair.openai.requests.map(({ path }) => path)).toEqual(['/v1/files', '/v1/models/gpt-x'])
  expect(pair.groq.requests).toEqual([])
})

test('a refusal names the provider that a rule led to', async () => {
  await using pair = await startPair([{ name: 'r', targets: toGroq }])
  const asking = pair.chat({ fallbacks: ['groq/own'] })
  pair.groq.clear()
  const refusal = {
    status: 400,
    json: { error: { message: 'bad', type: 'invalid_request_error' } },
  }
  pair.groq.reply([refusal, refusal])
  const response = await asking
  expect(response.headers.get('x-bifrost-provider')).toBe('groq')
  const { status, body } = await failure(response)
  expect([status, body.extra_fields.provider]).toEqual([400, 'groq'])
  expect(pair.openai.requests).toEqual([])
})

test('a WebSocket goes where the rule says', async () => {
  const urls: string[] = []
  const provider = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch(request, server) {
      urls.push(new URL(request.url).search)
      return server.upgrade(request, { data: undefined }) ? undefined : new Response('no')
    },
    websocket: { message: (socket, message) => void socket.send(message) },
  })
  const gateway = await startGateway({
    config: {
      providers: {
        openai: { keys: [{ value: 'k' }], network_config: { base_url: provider.url.origin } },
      },
      governance: {
        routing_rules: [
          { name: 'r', cel_expression: 'request_type == "realtime"', targets: [{ model: 'live' }] },
        ],
      },
    },
  })
  const socket = new WebSocket(
    `${gateway.url.replace('http', 'ws')}/openai/v1/realtime?model=gpt-x`,
  )
  const heard = new Promise((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(data))
  })
  socket.addEventListener('open', () => socket.send('hello'))
  expect(await heard).toBe('hello')
  expect(urls).toEqual(['?model=live'])
  socket.close()
  await gateway.stop()
  await provider.stop(true)
})
