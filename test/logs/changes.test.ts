import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'

import type { Snapshot } from '#config/snapshot.ts'
import { createRepricing } from '#pipeline/reprice.ts'
import type { Question } from '#store/logs-schema.ts'
import type { LogStore } from '#store/logs.ts'

import { isSound, logRig } from './rig.ts'
import type { LogRig } from './rig.ts'
import { numbersWith } from './words.ts'

// Calls that are taken out of the log, and costs that come later.

const send = async (
  rig: LogRig,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: any }> => {
  const answer = await fetch(`${rig.gateway.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: answer.status, body: await answer.json() }
}

describe('a call that is deleted', () => {
  let rig: LogRig
  beforeAll(async () => {
    rig = await logRig()
    for (const id of ['keep', 'drop', 'drop-too']) {
      await rig.chat(
        { messages: [{ role: 'user', content: `The zanzibar of ${id} ${'x'.repeat(500)}` }] },
        { 'x-request-id': id, 'x-bf-lh-mark': id, 'x-bf-session-id': 's' },
      )
    }
  })
  afterAll(async () => {
    await rig[Symbol.asyncDispose]()
  })

  test('is gone from everywhere', async () => {
    expect((await rig.get('/api/logs?content_search=zanzibar')).logs.length).toBe(3)
    const { status, body } = await send(rig, 'DELETE', '/api/logs', {
      ids: ['drop', 'drop-too', 'drop', 'never-there'],
    })
    expect(status).toBe(200)
    expect(body).toMatchObject({ deleted_count: 2 })
    const ids = async (query: string): Promise<string[]> =>
      (await rig.get(`/api/logs?${query}`)).logs.map(({ id }: { id: string }) => id)
    expect(await ids('')).toEqual(['keep'])
    expect(await ids('content_search=zanzibar')).toEqual(['keep'])
    expect(await ids('metadata_mark=drop')).toEqual([])
    expect(await ids('session_id=s')).toEqual(['keep'])
    expect((await rig.get('/api/logs/drop')).status_code).toBe(404)
    expect((await rig.get('/api/logs/keep')).input_history[0].content).toContain('of keep')
    expect((await rig.get('/api/logs/stats')).total_requests).toBe(1)
    const exported = await fetch(`${rig.gateway.url}/api/logs/export`)
    expect((await exported.text()).trim().split('\n').length).toBe(1)
    const { rows } = (await rig.sql('SELECT * FROM details')).body
    expect(JSON.stringify(rows)).not.toContain('of drop')
    const again = await send(rig, 'DELETE', '/api/logs', { ids: ['drop'] })
    expect(again.body).toMatchObject({ deleted_count: 0 })
    expect(isSound(rig.dbPath)).toBe(true)
    using file = new Database(rig.dbPath, { readonly: true })
    const blocks = file.query<{ data: Uint8Array }, []>('SELECT data FROM blocks').all()
    const kept = blocks.map(({ data }) => Bun.zstdDecompressSync(new Uint8Array(data)).toString())
    expect(kept.join()).toContain('of keep')
    expect(kept.join()).not.toContain('of drop')
    expect(numbersWith(rig.dbPath, 'zanzibar')).toHaveLength(1)
    expect(numbersWith(rig.dbPath, 'drop')).toEqual([])
    for (const end of ['', '-wal']) {
      const bytes = readFileSync(rig.dbPath + end).toString('latin1')
      expect(bytes).not.toContain('of drop')
    }
  })

  test.each([
    ['no body', ''],
    ['no ids', '{}'],
    ['no list', '{"ids":"drop"}'],
    ['an empty list', '{"ids":[]}'],
    ['other things than texts', '{"ids":[1]}'],
    ['an empty id', '{"ids":[""]}'],
    ['too many', JSON.stringify({ ids: Array.from({ length: 1001 }, (_, i) => `id-${i}`) })],
  ])('is named by a list of ids: %s', async (_, body) => {
    const answer = await send(rig, 'DELETE', '/api/logs', body)
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatchObject({ param: 'ids' })
  })

  test('is not deleted by a page or from elsewhere', async () => {
    const strangers: Record<string, string>[] = [
      { 'x-forwarded-for': '10.0.0.1' },
      { origin: 'https://evil.example' },
      { 'content-type': 'text/plain' },
    ]
    for (const headers of strangers) {
      const body = { ids: ['keep'] }
      const { status } = await send(rig, 'DELETE', '/api/logs', body, headers)
      expect([403, 415]).toContain(status)
    }
    expect((await rig.get('/api/logs?request_id=keep')).logs.length).toBe(1)
  })
})

describe('costs that are computed later', () => {
  const model = 'house-model-7'
  const run = async (rig: LogRig): Promise<any> => {
    for (;;) {
      const { body } = await send(rig, 'GET', '/api/logs/recalculate-cost/status')
      if (body.status !== 'running') return body
    }
  }

  test('are those of calls that had none', async () => {
    await using rig = await logRig()
    const calls = 5
    for (let i = 0; i < calls; i++) {
      rig.upstream.reply({
        json: {
          id: 'c',
          object: 'chat.completion',
          choices: [
            { index: 0, message: { role: 'assistant', content: 'Yes' }, finish_reason: 'stop' },
          ],
          usage: { prompt_tokens: 1000, completion_tokens: 0, total_tokens: 1000 },
        },
      })
      await rig.chat({ model: i === 0 ? 'openai/nobody-knows' : `openai/${model}` })
    }
    const idle = await send(rig, 'GET', '/api/logs/recalculate-cost/status')
    expect(idle.body).toMatchObject({ status: 'idle', processed: 0 })
    expect((await rig.get('/api/logs?missing_cost_only=true')).logs.length).toBe(calls)
    await setPrice(rig, model)
    const begun = await send(rig, 'POST', '/api/logs/recalculate-cost', { limit: 2 })
    expect(begun.status).toBe(202)
    expect(await run(rig)).toMatchObject({
      status: 'completed',
      processed: calls,
      updated: calls - 1,
      skipped: 1,
      error: null,
    })
    const { logs } = await rig.get(`/api/logs?models=openai/${model}`)
    expect(logs.map(({ cost }: { cost: number }) => cost)).toEqual([0.002, 0.002, 0.002, 0.002])
    expect((await rig.get('/api/logs/stats')).total_cost).toBeCloseTo(0.008, 10)
    const cancelled = await send(rig, 'POST', '/api/logs/recalculate-cost/cancel')
    expect(cancelled.body).toMatchObject({ status: 'completed' })
  })

  test('stop when they are told to, and go on from the beginning', async () => {
    const asked: number[] = []
    let step = Promise.withResolvers<void>()
    const row = { atMs: 0, object: 'chat_completion', provider: 'gone', usage: '{}' }
    const repricing = createRepricing(
      {
        async ask(question: Question) {
          const about = question.kind === 'sums' ? question.about : undefined
          asked.push(about?.of === 'unpriced' ? about.after : -1)
          await step.promise
          return JSON.stringify([{ ...row, n: asked.length }])
        },
      } as unknown as LogStore,
      () => ({ providers: new Map() }) as unknown as Snapshot,
    )
    const ended = async (): Promise<void> => {
      while (repricing.status.state === 'running') await Bun.sleep(1)
    }
    expect(repricing.start(1)).toBe(true)
    expect(repricing.start(1)).toBe(false)
    repricing.cancel()
    expect(repricing.status.state).toBe('running')
    step.resolve()
    await ended()
    expect(repricing.status).toMatchObject({ state: 'cancelled', processed: 1, skipped: 1 })
    step = Promise.withResolvers()
    expect(repricing.start(1)).toBe(true)
    expect(repricing.status).toMatchObject({ state: 'running', processed: 0 })
    repricing.cancel()
    step.reject(new Error('the log is gone'))
    await ended()
    expect(repricing.status).toMatchObject({ state: 'failed', failure: 'the log is gone' })
    expect(asked).toEqual([0, 0])
  })

  test.each(['{"limit":0}', '{"limit":1001}', '{"limit":"x"}'])('%s is a 400', async (body) => {
    await using rig = await logRig()
    const answer = await send(rig, 'POST', '/api/logs/recalculate-cost', body)
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatchObject({ param: 'limit' })
  })
})

async function setPrice(rig: LogRig, model: string): Promise<void> {
  const config = await Bun.file(rig.gateway.configPath).json()
  config.prices = [{ model, input: 2, output: 2 }]
  await Bun.write(rig.gateway.configPath, JSON.stringify(config))
  await rig.gateway.logged(({ message }) => message === 'configuration changed')
}
