import { expect, setDefaultTimeout, test } from 'bun:test'

import { RAW, startRawUpstream } from '../helpers/upstream.ts'
import { CHAT, failure, startRig as start } from '../pipeline/rig.ts'
import type { Rig } from '../pipeline/rig.ts'

// What does not answer ahead of its provider, however long that takes: the status is what it comes to.

setDefaultTimeout(30_000)

const startRig = (): Promise<Rig> => start({ client: { stream_header_hold_in_seconds: 0.02 } })
const refused = { status: 403, json: { error: { message: 'no', type: 'forbidden', code: 'c' } } }
const streamed = { ...CHAT, stream: true }

/** Resolves when calls that were sent before this have waited for longer than headers are held. */
async function holdIsOver(rig: Rig): Promise<void> {
  const controller = new AbortController()
  rig.upstream.reply(() => new Promise<never>(() => undefined))
  expect((await rig.chat({}, { signal: controller.signal })).status).toBe(200)
  controller.abort()
}

const form = (): FormData => {
  const data = new FormData()
  data.set('model', 'openai/whisper-1')
  data.set('file', new File(['abc'], 'a.wav'))
  data.set('stream', 'true')
  return data
}
const json = { 'content-type': 'application/json' }
const speech = { model: 'openai/tts-1', input: 'hi', voice: 'alloy', stream_format: 'sse' }

test.each<[string, string, RequestInit]>([
  ['an answer whole', '/chat/completions', { method: 'POST', body: JSON.stringify(CHAT) }],
  ['sounds', '/audio/speech', { method: 'POST', body: JSON.stringify(speech) }],
  ['a transcript', '/audio/transcriptions', { method: 'POST', body: form() }],
  ['a route of no table', '/vector_stores', { method: 'POST', body: JSON.stringify(streamed) }],
  ['a HEAD', '/responses/resp_1?stream=true', { method: 'HEAD' }],
])('%s', async (_, path, init) => {
  await using rig = await startRig()
  const gate = Promise.withResolvers<void>()
  rig.upstream.reply({ ...refused, gate: gate.promise })
  const headers = typeof init.body === 'string' ? json : {}
  const answered = fetch(`${rig.gateway.url}/openai/v1${path}`, { ...init, headers })
  await rig.upstream.waitFor(1)
  await holdIsOver(rig)
  gate.resolve()
  const response = await answered
  expect([response.status, response.headers.get('x-bifrost-provider')]).toEqual([403, 'openai'])
})

test('sounds that were to be events and are bytes', async () => {
  await using rig = await startRig()
  const gate = Promise.withResolvers<void>()
  const headers = { 'content-type': 'audio/mpeg' }
  rig.upstream.reply({ headers, text: 'mpeg', gate: gate.promise })
  const answered = rig.post('/audio/speech', speech)
  await rig.upstream.waitFor(1)
  await holdIsOver(rig)
  gate.resolve()
  const response = await answered
  expect([response.headers.get('content-type'), await response.text()]).toEqual([
    'audio/mpeg',
    'mpeg',
  ])
})

test('sounds that are events wait for a provider that says so, and then go before the first one', async () => {
  await using raw = await startRawUpstream(RAW.headersOnly)
  const client = { stream_header_hold_in_seconds: 0.02 }
  await using rig = await start({ baseUrl: raw.url, client })
  const controller = new AbortController()
  const { headers, body } = await rig.post('/audio/speech', speech, { signal: controller.signal })
  expect(headers.get('x-bifrost-provider')).toBe('openai')
  const { value } = await body!.getReader().read()
  expect(new TextDecoder().decode(value)).toBe(': keep-alive\n\n')
  controller.abort()
  await raw.closed
})

test('an explanation', async () => {
  await using rig = await startRig()
  const body = JSON.stringify({ path: '/v1/chat/completions', body: streamed })
  const init = { method: 'POST', headers: json, body }
  const response = await fetch(`${rig.gateway.url}/api/explain`, init)
  const { candidates } = (await response.json()) as { candidates: { provider: string }[] }
  expect(candidates[0]!.provider).toBe('openai')
  expect(rig.upstream.requests).toHaveLength(0)
})

test('a failure that comes while headers are held', async () => {
  await using rig = await start()
  rig.upstream.reply(refused)
  expect((await failure(await rig.chat())).status).toBe(403)
})
