import { describe, expect, test } from 'bun:test'

import { RAW, startRawUpstream } from '../helpers/upstream.ts'
import { CHAT, chatChunk, failure, startRig, strictStream } from './rig.ts'

// Timers that a caller sets for one request; every assertion is about which of them ended it.

const never = new Promise<never>(() => undefined)
const timed = (name: string, value: string) => ({ headers: { [`x-bf-timeout-${name}`]: value } })

describe('a request may be less patient than the configuration', () => {
  test.each([
    ['streams', 'headers', 'upstream_headers_timeout'],
    ['does not stream', 'headers', 'upstream_headers_timeout'],
    ['streams', 'total', 'upstream_timeout'],
    ['does not stream', 'total', 'upstream_timeout'],
    ['streams', 'first-token', 'upstream_headers_timeout'],
  ])('when it %s: %s', async (kind, name, code) => {
    await using raw = await startRawUpstream(RAW.silent)
    await using rig = await startRig({ baseUrl: raw.url })
    const request = { ...CHAT, stream: kind === 'streams' }
    const answer = await rig.post('/chat/completions', request, timed(name, '60ms'))
    const { status, error } = await failure(answer)
    expect([status, error.code]).toEqual([504, code])
  })

  test('first token, with silence after the headers', async () => {
    await using raw = await startRawUpstream(RAW.headersOnly)
    await using rig = await startRig({ baseUrl: raw.url })
    const { status, error } = await failure(await rig.chat({}, timed('first-token', '0.7s')))
    expect([status, error.code]).toEqual([504, 'upstream_first_token_timeout'])
    await raw.closed
  })

  test('idle, after the first event', async () => {
    await using rig = await startRig()
    rig.upstream.reply({ sse: [chatChunk('a'), chatChunk('b')], gate: never })
    const stream = await strictStream(await rig.chat({}, timed('idle', '60')))
    expect(stream.events.at(-1)?.data.error.code).toBe('upstream_idle_timeout')
    await rig.upstream.requests[0]!.closed
  })

  test('each candidate is given the time', async () => {
    await using raw = await startRawUpstream(RAW.silent)
    await using rig = await startRig({
      baseUrl: raw.url,
      others: (url) => ({ groq: { keys: [{ value: 'g' }], network_config: { base_url: url } } }),
    })
    const fallbacks = ['groq/echo']
    const answer = await rig.post(
      '/chat/completions',
      { ...CHAT, fallbacks },
      timed('headers', '700ms'),
    )
    expect([answer.status, answer.headers.get('x-bifrost-fallback-index')]).toEqual([200, '1'])
  })
})

test('and never more patient', async () => {
  await using raw = await startRawUpstream(RAW.silent)
  await using rig = await startRig({
    baseUrl: raw.url,
    network: { response_headers_timeout_in_seconds: 0.06 },
  })
  const answer = await rig.post('/chat/completions', CHAT, timed('headers', '1h'))
  expect((await failure(answer)).error.code).toBe('upstream_headers_timeout')
})

test('the trace tells the timers of the request', async () => {
  await using rig = await startRig()
  const answer = await rig.post('/chat/completions', CHAT, {
    headers: { 'x-bf-timeout-total': '2m', 'x-bf-timeout-idle': '1h', 'x-bf-explain': 'true' },
  })
  const { extra_fields } = (await answer.json()) as {
    extra_fields: { trace: { what: string }[] }
  }
  const said = extra_fields.trace.find(({ what }) => what.startsWith('timers of this request'))
  expect(said?.what).toMatch(/idle 120000 ms, total 120000 ms$/)
})

test('the trace tells which timer ended an attempt, and which ended the stream', async () => {
  await using rig = await startRig({ network: { first_token_timeout_in_seconds: 0.3 } })
  const explained = { headers: { 'x-bf-explain': 'true' } }
  rig.upstream.reply({ chunks: [': patience\n\n'], gate: never })
  const { body } = await failure(await rig.chat({}, explained))
  rig.upstream.reply({ sse: [chatChunk('a'), chatChunk('b')], gate: never })
  const headers = { ...explained.headers, 'x-bf-timeout-idle': '60' }
  const stream = await strictStream(await rig.chat({}, { headers }))
  const timers = (extra: any): unknown[] =>
    extra.trace.flatMap(({ timer }: { timer?: string }) => timer ?? [])
  expect(timers(body.extra_fields)).toEqual(['first_token_timeout'])
  expect(timers(stream.events.at(-1)!.data.extra_fields)).toEqual(['idle_timeout'])
})

describe('what is no time is a mistake of the caller', () => {
  test.each(['', '0', '0s', '-1', '5d', 'soon', '1e3', '9999999999999999', '0.0'])(
    '%j',
    async (value) => {
      await using rig = await startRig()
      const answer = await rig.post('/chat/completions', CHAT, timed('first-token', value))
      const { status, error } = await failure(answer)
      expect([status, error.param]).toEqual([400, 'x-bf-timeout-first-token'])
      expect(rig.upstream.requests).toHaveLength(0)
    },
  )
})
