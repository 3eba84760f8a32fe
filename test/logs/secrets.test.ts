import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { run } from '../cli/program.ts'
import { KEY, logRig } from './rig.ts'
import { numbersWith } from './words.ts'

// Keys are planted everywhere a key can be, and echoed by a provider in every way; then every place that keeps or
// shows something of a call is searched for them.

const DIRECT = 'sk-direct/canary+abcdefghij'
const CALLERS = 'sk-callers-canary-9876543210'
const VIRTUAL = 'sk-bf-canary/virtual-0123456789'
const CANARY = /canary/

const chunk = (delta: object): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason: null }],
  })

test('no key reaches any sink of the log', async () => {
  await using rig = await logRig({
    client: {
      allow_direct_keys: true,
      logging_headers: ['authorization', 'x-api-key', 'x-note', 'cookie'],
    },
  })
  const told: string[] = []
  const ended = () => told.filter((text) => !text.includes('"status":"processing"'))
  const socket = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/ws`)
  const seen = Promise.withResolvers<void>()
  socket.addEventListener('message', ({ data }) => {
    told.push(String(data))
    if (ended().length === 5) seen.resolve()
  })
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))

  const escaped = DIRECT.replaceAll('/', '\\/')
  rig.upstream.reply([
    // In an answer, plain, in an escaped spelling and in a URL.
    {
      headers: { 'content-type': 'application/json' },
      text: `{"id":"c","object":"chat.completion","note":"${escaped} ${encodeURIComponent(DIRECT)}","choices":[{"index":0,"message":{"role":"assistant","content":"your key is ${DIRECT}"},"finish_reason":"stop"}]}`,
    },
    // In a stream, cut into pieces that are nothing by themselves.
    {
      sse: [
        ...[KEY.slice(0, 12), KEY.slice(12, 20), KEY.slice(20)].map((content) =>
          chunk({ content }),
        ),
        JSON.stringify({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
        '[DONE]',
      ],
    },
    // In a refusal, and in an error inside a stream.
    {
      status: 401,
      json: {
        error: { message: `Incorrect API key provided: ${KEY}`, type: 'invalid_request_error' },
      },
    },
    {
      sse: [
        chunk({ content: 'x' }),
        JSON.stringify({ error: { message: `bad key ${KEY}`, code: 500 } }),
      ],
    },
  ])
  const note = { 'x-note': `my key is ${KEY}`, 'x-bf-lh-note': KEY, cookie: `k=${CALLERS}` }
  await rig.chat({}, { authorization: `Bearer ${DIRECT}`, ...note, 'x-request-id': 'direct' })
  await rig.chat(
    { stream: true },
    { 'x-api-key': '', ...note, 'user-agent': KEY, 'x-bf-session-id': KEY },
  )
  await rig.chat({}, note)
  await rig.chat({ stream: true })
  // What the caller says themselves, in the request and in the id.
  rig.upstream.clear()
  await rig.chat(
    { messages: [{ role: 'user', content: `is ${KEY} or ${CALLERS} a good key?` }], user: KEY },
    { authorization: `Bearer ${CALLERS}`, 'x-request-id': KEY },
  )

  const shown = [
    await rig.get('/api/logs'),
    await rig.get('/api/logs/stats'),
    await rig.get('/api/logs/direct'),
    await (await fetch(`${rig.gateway.url}/api/logs/export?format=ndjson`)).text(),
    await (await fetch(`${rig.gateway.url}/api/logs/export?format=csv`)).text(),
    (await rig.sql('SELECT * FROM logs JOIN details USING (n)')).body,
    numbersWith(rig.dbPath, 'canary'),
  ].map((each) => JSON.stringify(each))
  await seen.promise
  socket.close()
  expect(shown[3]).toContain('[redacted]')
  expect(JSON.parse(shown[6]!)).toEqual([])
  expect(ended()).toHaveLength(5)
  const { bodies, rows } = {
    bodies: (await rig.sql('SELECT answer FROM details')).body.rows as { answer: string | null }[],
    rows: (await rig.sql('SELECT COUNT(*) AS count FROM logs')).body.rows,
  }
  expect(rows).toEqual([{ count: 5 }])
  expect(bodies[0]!.answer).toContain('your key is [redacted]')
  expect(bodies[1]!.answer).toContain('"content":"[redacted]"')
  const dir = dirname(rig.dbPath)
  // The configuration is where the key comes from.
  const files = readdirSync(dir).filter((name) => name !== 'config.json')
  expect(files).toContain('logs.db')
  const held = files.map((name) => readFileSync(join(dir, name), 'latin1'))
  const printed = rig.gateway.logs
    .map((line) => JSON.stringify(line))
    .filter((line) => !line.includes(`"id":"${KEY}"`))
  for (const text of [...shown, ...told, ...held]) expect(text).not.toMatch(CANARY)
  for (const line of printed) expect(line).not.toMatch(CANARY)
})

test('a credential that nobody knows is none of what a caller may have logged of a header', async () => {
  await using rig = await logRig({ client: { logging_headers: ['x-upstream'] } })
  await rig.chat(
    {},
    { 'x-request-id': 'a', 'x-upstream': 'Basic canary1', 'x-bf-lh-team': 'Basics' },
  )
  await rig.chat(
    {},
    { 'x-request-id': 'b', 'x-bf-lh-who': 'Bearer canary2', 'x-bf-lh-n': 'bearer' },
  )
  expect((await rig.get('/api/logs/a')).metadata).toEqual({
    'x-upstream': 'Basic [redacted]',
    team: 'Basics',
  })
  expect((await rig.get('/api/logs/b')).metadata).toEqual({ who: 'Bearer [redacted]', n: 'bearer' })
})

test('a key in the name of a model is in no try that failed either', async () => {
  await using rig = await logRig()
  rig.upstream.reply([{ status: 500 }, { status: 500 }])
  await rig.chat(
    { model: `openai/${KEY}`, fallbacks: [`openai/also-${KEY}`, 'openai/m'] },
    { 'x-request-id': 'tried' },
  )
  const row = await rig.get('/api/logs/tried')
  expect(row.attempt_trail).toMatchObject([{ model: '[redacted]' }, { model: 'also-[redacted]' }])
  expect(JSON.stringify(row)).not.toMatch(CANARY)
})

test('of a key that lies across a cut, no part is in a row or among its words', async () => {
  await using rig = await logRig({ client: { logging_headers: ['x-note'] } })
  const across = (at: number, filling = 'a '): string =>
    `${filling.repeat(at).slice(0, at - 22)}${KEY}${' and more'.repeat(9)}`
  rig.upstream.reply([
    { status: 400, json: { error: { message: across(4000), type: 'invalid_request_error' } } },
  ])
  await rig.chat(
    { messages: [{ role: 'user', content: across(8192) }] },
    { 'user-agent': across(300), 'x-bf-session-id': across(255, 'b'), 'x-note': across(1000) },
  )
  // Refused at the door.
  await rig.chat(
    { model: across(200, 'm') },
    { 'user-agent': across(300, 'c '), 'x-bf-lh-note': across(1000) },
  )
  const { logs } = await rig.get('/api/logs')
  expect(logs).toHaveLength(2)
  const shown = [
    JSON.stringify(logs),
    JSON.stringify((await rig.sql('SELECT * FROM logs JOIN details USING (n)')).body),
    JSON.stringify(await rig.get('/api/logs/filterdata')),
  ]
  for (const text of shown) {
    expect(text).not.toMatch(CANARY)
    expect(text).not.toContain(KEY.slice(0, 12))
  }
  expect(numbersWith(rig.dbPath, 'canary')).toEqual([])
  expect(logs[1].user_agent).toHaveLength(300)
  expect(logs[1].error_details.message).toHaveLength(4000)
})

test('a key in the name of a model or in a header is no label of the metrics, nor in the output', async () => {
  await using rig = await logRig({ client: { prometheus_labels: ['team'] } })
  await rig.chat({ model: `openai/${KEY}` }, { 'x-bf-prom-team': 'red' })
  await rig.chat({ model: `openai/${'m'.repeat(180)}${KEY}` })
  await rig.chat({}, { 'x-bf-prom-team': KEY })
  await rig.chat({}, { authorization: `Bearer ${CALLERS}`, 'x-bf-prom-team': CALLERS })
  rig.upstream.reply([{ status: 401 }, { status: 500 }])
  await rig.chat({ model: `openai/${KEY}`, fallbacks: ['openai/m'] })
  const failed = rig.gateway.logs.filter(({ message }) => /request failed/.test(String(message)))
  expect(failed).toMatchObject([{ model: 'openai/[redacted]' }])
  expect(JSON.stringify(rig.gateway.logs)).not.toMatch(CANARY)
  const text = await (await fetch(`${rig.gateway.url}/metrics`)).text()
  expect(text).toContain('model="_other"')
  expect(text).not.toMatch(CANARY)
  expect(text).not.toContain(KEY.slice(0, 12))
  const served = text.matchAll(/^bifrost_success_requests_total\{.*\} (\d+)$/gm)
  expect([...served].reduce((sum, [, count]) => sum + Number(count), 0)).toBe(4)
})

test('a key whose characters JSON has as numbers is told by no row, whatever it is read as', async () => {
  await using rig = await logRig()
  const numbered = KEY.replaceAll('-', '\\u002d')
  rig.upstream.reply({
    headers: { 'content-type': 'application/json' },
    text: `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"it\\u0027s ${numbered}"},"finish_reason":"stop"}]}`,
  })
  const answer = await fetch(`${rig.gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'numbered' },
    body: `{"model": "openai/m", "messages": [{"role": "user", "content": "is ${numbered} it?"}]}`,
  })
  await answer.text()
  const row = await rig.get('/api/logs/numbered')
  expect(row).toMatchObject({
    input_history: [{ content: 'is [redacted] it?' }],
    output_message: { content: "it's [redacted]" },
    content_summary: 'is [redacted] it?',
  })
  expect(JSON.stringify(row)).not.toMatch(CANARY)
  expect(numbersWith(rig.dbPath, 'canary')).toEqual([])
})

test('a key in the address of a webhook or a collector is shown nowhere, and logged nowhere', async () => {
  const [hook, collector] = ['canary-hook-0123456789', 'canary/of+the-collector']
  const secret = `whsec_${Buffer.from('0123456789abcdef').toString('base64')}`
  await using rig = await logRig({
    webhooks: [{ name: 'chat', url: `https://example.com/in?a&key=${hook}`, secret }],
    tracing: { endpoint: `http://127.0.0.1:9/?key=${encodeURIComponent(collector)}` },
  })
  const { endpoints } = await rig.get('/api/webhooks')
  expect(endpoints[0].url).toBe('https://example.com/in?a&key=[redacted]')
  await rig.chat(
    { messages: [{ role: 'user', content: `is ${hook} or ${collector} a secret?` }] },
    { 'x-request-id': 'one', 'user-agent': hook },
  )
  const row = await rig.get('/api/logs/one')
  expect(row.content_summary).toBe('is [redacted] or [redacted] a secret?')
  expect(JSON.stringify(row)).not.toMatch(CANARY)
  const checked = await run(['check', rig.gateway.configPath])
  expect(checked.stdout).toContain('?key=[redacted]')
  expect(checked.stdout).not.toMatch(CANARY)
})

test('no virtual key reaches any sink, its own or that of another', async () => {
  const other = 'sk-bf-canary-other-0123456789'
  const key = (name: string, value: string) => ({
    id: name,
    name,
    value,
    allow_all_providers: true,
  })
  await using rig = await logRig({
    client: { logging_headers: ['authorization', 'x-bf-vk', 'x-note'] },
    governance: { virtual_keys: [key('mine', VIRTUAL), key('other', other)] },
  })
  const told: string[] = []
  const ended = () => told.filter((text) => !text.includes('"status":"processing"'))
  const socket = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/ws`)
  const seen = Promise.withResolvers<void>()
  socket.addEventListener('message', ({ data }) => {
    told.push(String(data))
    if (ended().length === 4) seen.resolve()
  })
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  const escaped = VIRTUAL.replaceAll('/', '\\/')
  rig.upstream.reply([
    {
      headers: { 'content-type': 'application/json' },
      text: `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"${escaped} and ${other}"},"finish_reason":"stop"}]}`,
    },
    { status: 400, json: { error: { message: `what is ${VIRTUAL}?` } } },
  ])
  const note = { 'x-note': `is it ${VIRTUAL}?`, 'x-bf-lh-note': other, 'x-bf-session-id': VIRTUAL }
  await rig.chat({ user: VIRTUAL }, { 'x-bf-vk': VIRTUAL, ...note })
  await rig.chat({}, { authorization: `Bearer ${VIRTUAL}`, 'user-agent': VIRTUAL })
  await rig.chat({}, { 'x-api-key': 'sk-bf-canary-nobody-0123456789' })
  const submitted = await rig.chat(
    {},
    { 'x-bf-vk': VIRTUAL, 'x-bf-async': 'true', 'x-custom': `key=${VIRTUAL}` },
  )
  expect(submitted.status).toBe(200)
  await seen.promise
  socket.close()
  const shown = [
    JSON.stringify(await rig.get('/api/logs')),
    JSON.stringify((await rig.sql('SELECT * FROM logs JOIN details USING (n)')).body),
    await (await fetch(`${rig.gateway.url}/metrics`)).text(),
    await (await fetch(`${rig.gateway.url}/api/logs/export?format=ndjson`)).text(),
  ]
  expect(shown[0]).toContain('"virtual_key_name":"mine"')
  const dir = dirname(rig.dbPath)
  const files = readdirSync(dir).filter((name) => name !== 'config.json')
  expect(files).toContain('asbru.db')
  const held = files.map((name) => readFileSync(join(dir, name), 'latin1'))
  const printed = JSON.stringify(rig.gateway.logs)
  for (const text of [...shown, ...told, ...held, printed]) expect(text).not.toMatch(CANARY)
  for (const { headers } of rig.upstream.requests) {
    expect(JSON.stringify([...headers])).not.toMatch(/sk-bf/)
  }
})
