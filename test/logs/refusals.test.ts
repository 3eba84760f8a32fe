import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { LogSettings } from '#config/snapshot.ts'
import { GatewayError } from '#core/errors.ts'
import { createRefusals } from '#pipeline/refusals.ts'
import type { LogRow } from '#store/logs-schema.ts'

import { startUpstream } from '../helpers/upstream.ts'
import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// Requests that never became calls, and what the log has of them.

let rig: LogRig
beforeAll(async () => {
  rig = await logRig({ client: { max_request_body_size_mb: 1, logging_headers: ['x-team'] } })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const chat = '/openai/v1/chat/completions'
const json = { 'content-type': 'application/json' }

interface Refused {
  readonly name: string
  readonly path: string
  readonly init: RequestInit
  readonly row: object
}

interface Flood {
  readonly rows: LogRow[]
  readonly refuse: (code: string, at: number) => void
  readonly omitted: () => number
}

const refused: readonly Refused[] = [
  {
    name: 'a body that is no JSON',
    path: chat,
    init: { method: 'POST', headers: json, body: '{"model": "openai/secret words' },
    row: { object: 'chat_completion', status_code: 400, model: null },
  },
  {
    name: 'a model nobody can read',
    path: chat,
    init: {
      method: 'POST',
      headers: json,
      body: '{"model":"openai/","messages":[{"role":"user","content":"secret words"}]}',
    },
    row: { object: 'chat_completion', status_code: 400 },
  },
  {
    name: 'a body without what it needs',
    path: chat,
    init: { method: 'POST', headers: json, body: '{"model":"groq/m","prompt":"secret words"}' },
    row: { object: 'chat_completion', status_code: 400, model: 'groq/m' },
  },
  {
    name: 'a body of another type',
    path: chat,
    init: { method: 'POST', headers: { 'content-type': 'text/csv' }, body: 'a,b' },
    row: { object: 'chat_completion', status_code: 415 },
  },
  {
    name: 'a body that is too large',
    path: chat,
    init: { method: 'POST', headers: json, body: ' '.repeat(1_200_000) },
    row: { object: 'chat_completion', status_code: 413 },
  },
  {
    name: 'a path without the prefix',
    path: '/v1/chat/completions',
    init: { method: 'POST', headers: json, body: '{}' },
    row: { object: 'unknown', status_code: 404 },
  },
  {
    name: 'a page of another site',
    path: chat,
    init: { method: 'POST', headers: { ...json, origin: 'https://evil.example' }, body: '{}' },
    row: { object: 'unknown', status_code: 403 },
  },
  {
    name: 'a deployment that is none',
    path: '/openai/openai/deployments/x/nothing',
    init: { method: 'POST', headers: json, body: '{}' },
    row: { object: 'unknown', status_code: 400 },
  },
  {
    name: 'a job that may not be streamed',
    path: chat,
    init: {
      method: 'POST',
      headers: { ...json, 'x-bf-async': 'true' },
      body: '{"model":"openai/m","stream":true,"messages":[{"role":"user","content":"Hi"}]}',
    },
    row: { object: 'chat_completion', status_code: 400, model: 'openai/m' },
  },
]

describe('a refused request leaves a row', () => {
  test.each(refused.map((each) => [each.name, each] as const))('%s', async (_, each) => {
    const { path, init, row } = each
    const id = crypto.randomUUID()
    const headers = {
      ...(init.headers as Record<string, string>),
      'x-request-id': id,
      'x-team': 'blue',
    }
    const answer = await fetch(rig.gateway.url + path, { ...init, headers })
    const envelope = (await answer.json()) as { error: { code: string; message: string } }
    expect(answer.status).toBeGreaterThanOrEqual(400)
    const found = await rig.get(`/api/logs?metadata_x-team=blue&limit=1`)
    const [logged] = found.logs
    expect(logged).toMatchObject({
      ...row,
      status: 'error',
      status_code: answer.status,
      attempts: 0,
      content_summary: null,
      error_details: { code: envelope.error.code, message: envelope.error.message },
    })
    const detail = await rig.get(`/api/logs/${logged.id}`)
    expect(detail).toMatchObject({ raw_request: null, raw_response: null, provider: '' })
    expect(JSON.stringify(detail)).not.toContain('secret words')
  })

  test('but not what a call has logged already, nor the management API', async () => {
    rig.upstream.reply({ status: 400, json: { error: { message: 'no' } } })
    await rig.chat({}, { 'x-request-id': 'once' })
    await rig.get('/api/nothing')
    await rig.get('/openai/v1/models?provider=openai', { 'x-request-id': 'once-too' })
    expect((await rig.get('/api/logs?request_id=once,once-too')).logs.length).toBe(2)
    expect((await rig.get('/api/logs?content_search=nothing')).logs).toEqual([])
    const { logs } = await rig.get('/api/logs?objects=unknown')
    const told = logs.map(({ error_details: { message } }: any) => message).join()
    expect(told).not.toContain('/api/nothing')
  })

  test('nor what is only to be explained', async () => {
    const answer = await fetch(`${rig.gateway.url}/api/explain`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ method: 'POST', path: chat, body: { model: 'openai/explained' } }),
    })
    expect(await answer.text()).toContain('messages')
    expect((await rig.get('/api/logs?models=openai/explained')).logs).toEqual([])
  })

  test('and a WebSocket that is none leaves one too', async () => {
    const answer = await fetch(`${rig.gateway.url}/openai/v1/nothing`, {
      headers: {
        ...{ upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-version': '13' },
        ...{ 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'x-request-id': 'socket' },
      },
    })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    const { logs } = await rig.get('/api/logs?objects=realtime')
    expect(logs).toMatchObject([{ id: 'socket', status: 'error', status_code: answer.status }])
  })

  test('and a caller key is in none of them', async () => {
    const key = 'sk-caller-canary-0123456789'
    await fetch(`${rig.gateway.url}/openai/${key}/../nothing-${key}`, {
      headers: { authorization: `Bearer ${key}` },
      method: 'PUT',
    })
    const { rows } = (await rig.sql('SELECT * FROM logs')).body
    expect(JSON.stringify(rows)).not.toContain(key)
    expect(JSON.stringify(await rig.get('/api/logs?limit=100'))).not.toContain(key)
  })
})

test('callers without a right to call leave a row, without their key', async () => {
  const key = 'sk-bf-unknown-canary-0123456789'
  await using other = await logRig({
    client: { enforce_auth_on_inference: true },
    governance: {
      virtual_keys: [{ name: 'team', value: 'sk-bf-team-0123456789', allow_all_providers: true }],
    },
  })
  const refusedHow = async (headers: Record<string, string>): Promise<any> => {
    const { status } = await other.chat({}, headers)
    const { logs } = await other.get('/api/logs?limit=1')
    expect(logs[0]).toMatchObject({ status: 'error', status_code: status, provider: '' })
    return logs[0]
  }
  expect((await refusedHow({})).status_code).toBe(401)
  const unknown = await refusedHow({ 'x-bf-vk': key, 'x-bf-lh-key': key })
  expect(unknown.status_code).toBeWithin(401, 404)
  expect(unknown.metadata).toEqual({ key: '[redacted]' })
  expect((await other.get('/api/logs/stats')).total_requests).toBe(2)
})

test('a call that no queue had room for has a row', async () => {
  const upstream = await startUpstream()
  await using other = await logRig({
    client: { drop_excess_requests: true },
    providers: {
      openai: {
        keys: [{ name: 'main', value: 'sk-queue-0123456789' }],
        network_config: { base_url: upstream.url, allow_private_network: true },
        concurrency_and_buffer_size: { concurrency: 1, buffer_size: 1 },
      },
    },
  })
  const gate = Promise.withResolvers<void>()
  upstream.reply({ json: { id: 'x', choices: [] }, gate: gate.promise })
  const first = other.chat()
  await upstream.waitFor(1)
  expect((await other.chat({}, { 'x-request-id': 'late' })).status).toBe(503)
  gate.resolve()
  await first
  expect(await other.get('/api/logs/late')).toMatchObject({
    provider: 'openai',
    status: 'error',
    error_details: { code: 'queue_full' },
  })
  await upstream.stop()
})

test('garbage pushes no call out of the log, and is counted', async () => {
  await using other = await logRig()
  await other.chat({}, { 'x-request-id': 'real' })
  for (let round = 0; round < 10; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const init = { method: 'POST', headers: json, body: 'garbage' }
        await (await fetch(other.gateway.url + chat, init)).text()
      }),
    )
  }
  const { total_requests: rows } = await other.get('/api/logs/stats')
  const { omitted_refusals: omitted, dropped_requests: lost } = await other.get('/api/logs/dropped')
  expect(rows).toBeWithin(61, 70)
  expect(rows - 1 + omitted).toBe(200)
  expect(lost).toBe(0)
  const metrics = await (await fetch(`${other.gateway.url}/metrics`)).text()
  expect(metrics).toContain(`asbru_log_refusals_omitted_total ${omitted}`)
})

describe('a flood of refusals', () => {
  const settings = (): LogSettings => ({ enabled: true, headers: [] }) as unknown as LogSettings
  const flood = (): Flood => {
    const rows: LogRow[] = []
    let now = 0
    const refusals = createRefusals(
      { add: (row) => void rows.push(row) },
      settings,
      () => (text) => text,
      () => now,
    )
    return {
      rows,
      refuse(code, at) {
        now = at
        const error = new GatewayError('invalid_request', 'No.', { code })
        refusals.note({ id: 'x', requestType: 'unknown', error, headers: {}, startedAt: at })
      },
      omitted: () => refusals.omitted,
    }
  }

  test('leaves few rows, and the next one says how many it stands for', () => {
    const { rows, refuse, omitted } = flood()
    for (let i = 0; i < 10_000; i++) refuse('garbage', i / 10)
    expect(rows.length).toBe(60)
    expect(omitted()).toBe(9940)
    refuse('other', 1000)
    expect(rows.length).toBe(61)
    refuse('garbage', 20_000)
    expect(JSON.parse(rows.at(-1)!.error!)).toMatchObject({
      code: 'garbage',
      omitted_before: 9940,
    })
    refuse('garbage', 60_000)
    expect(JSON.parse(rows.at(-1)!.error!)).not.toHaveProperty('omitted_before')
  })

  test('of many kinds is bounded as a whole', () => {
    const { rows, refuse } = flood()
    for (let i = 0; i < 100_000; i++) refuse(`code-${i % 5000}`, 0)
    expect(rows.length).toBe(300)
  })
})
