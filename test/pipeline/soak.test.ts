import { expect, test } from 'bun:test'
import { readdirSync, readlinkSync } from 'node:fs'

import { loadConfig } from '#config/load.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { createLogger } from '#core/log.ts'
import { composeRoutes } from '#http/compose.ts'
import { listen } from '#http/server.ts'
import { watched } from '#lib/deadline.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import { offlineGateway } from '../../src/app.ts'
import { chatChunk, sse, until, usageChunk } from './rig.ts'

// Ten thousand calls that fail in every way and are left at every moment, over real sockets; and after them nothing is
// held that a call held.

const calls = 10_000
const atOnce = 64
const maxMore = 2000
const hedged = {
  method: 'POST',
  headers: { 'content-type': 'application/json', 'x-bf-hedge': 'true' },
  body: JSON.stringify({
    model: 'openai/uneven',
    messages: [{ role: 'user', content: 'hi' }],
  }),
}

const answer = JSON.stringify({
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
})
const whole = sse(
  ...Array.from({ length: 5 }, () => chatChunk('word ')),
  chatChunk('', { finish: 'stop' }),
  usageChunk,
  '[DONE]',
)
const half = sse(chatChunk('half'))
const events = { headers: { 'content-type': 'text/event-stream' } }
const json = { headers: { 'content-type': 'application/json' } }

const refused = (status: number, code: string) => () =>
  Response.json({ error: { message: 'no', code, type: 'error' } }, { status })

/** Writes `text`, and then breaks off, or stays silent until the other side is gone. */
function open(text: string, signal: AbortSignal, then: 'break' | 'silence'): Response {
  const body = new ReadableStream({
    type: 'direct',
    async pull(controller: { write(text: string): void; flush(): Promise<void> }) {
      controller.write(text)
      await controller.flush()
      await Bun.sleep(1)
      if (then === 'break') throw new Error('the test breaks this connection')
      if (!signal.aborted) {
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
    },
  } as unknown as Bun.DirectUnderlyingSource)
  return new Response(body, events)
}

let unevenly = 0

/** What the provider does, by the model that is asked for. */
const behaviours: Readonly<Record<string, (signal: AbortSignal) => Response | Promise<Response>>> =
  {
    whole: () => new Response(answer, json),
    stream: () => new Response(whole, events),
    slow: async (signal) => {
      await Bun.sleep(3)
      return signal.aborted ? new Response() : new Response(answer, json)
    },
    // One of thirty is so slow that another key is asked as well.
    uneven: async (signal) => {
      await Bun.sleep(unevenly++ % 30 === 29 ? 80 : 1)
      return signal.aborted ? new Response() : new Response(answer, json)
    },
    e400: refused(400, 'invalid_value'),
    e401: refused(401, 'invalid_api_key'),
    e404: refused(404, 'model_not_found'),
    e429: refused(429, 'rate_limit_exceeded'),
    e500: refused(500, 'server_error'),
    e503: refused(503, 'overloaded'),
    page: () => new Response('<html>busy</html>', { headers: { 'content-type': 'text/html' } }),
    empty: () => new Response('', json),
    cut: () => new Response(half, events),
    broken: (signal) => open(half, signal, 'break'),
    // Ends by the idle timer, or by the caller who leaves.
    stuck: (signal) => open(half, signal, 'silence'),
    // Ends by the timer for headers, or by the caller who leaves.
    silent: (signal) =>
      new Promise((resolve) => {
        const end = (): void => resolve(new Response())
        if (signal.aborted) end()
        else signal.addEventListener('abort', end, { once: true })
      }),
  }
const models = Object.keys(behaviours)
/** A refused key rests for a minute, whatever the model: that is only asked of the provider behind. */
const mainModels = models.filter((model) => model !== 'e401')
const streamed = new Set(['stream', 'cut', 'broken', 'stuck'])

function startProvider() {
  return Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    development: false,
    async fetch(request) {
      const { model } = (await request.json()) as { model: string }
      return behaviours[model]!(request.signal)
    },
    error: () => new Response('', { status: 500 }),
  })
}

function startSoaked(providerUrl: string) {
  const network = {
    base_url: providerUrl,
    max_retries: 1,
    retry_backoff_initial: 1,
    retry_backoff_max: 2,
    response_headers_timeout_in_seconds: 0.1,
    stream_idle_timeout_in_seconds: 0.1,
  }
  const text = JSON.stringify({
    client: {
      load_balancing: 'least_loaded',
      hedging: { min_delay_in_seconds: 0.002, max_share: 0.3, min_samples: 5 },
    },
    providers: {
      openai: {
        keys: [
          { value: 'k1', concurrency: 12 },
          { value: 'k2', concurrency: 12 },
          { value: 'k3', concurrency: 40 },
        ],
        network_config: network,
        concurrency_and_buffer_size: { concurrency: 56, buffer_size: 60, max_wait_in_seconds: 0.2 },
      },
      groq: { keys: [{ value: 'g' }], network_config: network },
    },
  })
  const { snapshot, problems } = loadConfig({
    text,
    path: 'soak.json',
    env: {},
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
    detected: [],
  })
  if (!snapshot) throw new Error(JSON.stringify(problems))
  const log = createLogger({ level: 'error', style: 'json', write() {} })
  const gateway = offlineGateway(snapshot, log)
  const lifecycle = { draining: false }
  const app = composeRoutes(gateway, lifecycle)
  const server = listen({
    host: '127.0.0.1',
    port: 0,
    app,
    gateway: () => gateway,
    lifecycle,
    log,
  })
  return { server, services: gateway.services }
}

/** Numbers that are the same in every run. */
function seeded(start: number): (below: number) => number {
  let state = start
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Open sockets of this process; undefined where the system does not tell. */
function sockets(): number | undefined {
  if (process.platform !== 'linux') return undefined
  let count = 0
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:')) count++
    } catch {
      // The descriptor that listed the folder is gone already.
    }
  }
  return count
}

test('ten thousand failures and departures leave nothing behind', async () => {
  const socketsBefore = sockets()
  const watchedBefore = watched()
  const provider = startProvider()
  const { server, services } = startSoaked(`http://127.0.0.1:${provider.port}`)
  const { gates, health, hedges, inflight, recorder } = services
  const random = seeded(11)
  const ends: Record<string, number> = {}
  let begun = 0

  async function one(): Promise<void> {
    const model = random(4) === 0 ? 'uneven' : mainModels[random(mainModels.length)]!
    const leaving = new AbortController()
    const leavesAfterMs = random(4) === 0 ? random(15) : undefined
    const timer =
      leavesAfterMs === undefined ? undefined : setTimeout(() => leaving.abort(), leavesAfterMs)
    const body = {
      model: `openai/${model}`,
      messages: [{ role: 'user', content: 'hi' }],
      ...((streamed.has(model) || random(4) === 0) && { stream: true }),
      ...(random(3) === 0 && { fallbacks: [`groq/${models[random(models.length)]}`] }),
    }
    let end: string
    try {
      const response = await fetch(`${server.url}/openai/v1/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-bf-session-id': `s${random(20)}`,
          ...(random(2) === 0 && { 'x-bf-hedge': 'true' }),
          ...(random(4) === 0 && { 'x-bf-rescue': 'true' }),
        },
        body: JSON.stringify(body),
        signal: leaving.signal,
      })
      await response.text()
      end = String(response.status)
    } catch {
      end = leaving.signal.aborted ? 'left' : 'broken'
    }
    clearTimeout(timer)
    ends[end] = (ends[end] ?? 0) + 1
  }

  async function worker(): Promise<void> {
    while (begun < calls) {
      begun++
      await one()
    }
  }

  await Promise.all(Array.from({ length: atOnce }, worker))
  // On a machine that is busy all answers are slow, and none so much more that another key is asked: one by one they are
  // as quick as they can be.
  for (let more = 0; hedges.totals.started === 0 && more < maxMore; more++) {
    await (await fetch(`${server.url}/openai/v1/chat/completions`, hedged)).text()
  }
  process.stdout.write(`  ends: ${JSON.stringify(ends)}\n`)
  process.stdout.write(`  hedges: ${JSON.stringify(hedges.totals)}\n`)
  // Every kind of end has happened, or the rest would show little.
  for (const end of ['200', '400', '404', '429', '500', '502', '503', '504', 'left']) {
    expect(ends[end] ?? 0).toBeGreaterThan(0)
  }

  expect(hedges.totals.started).toBeGreaterThan(0)

  const underway = (): number =>
    health.snapshot(performance.now()).reduce((sum, target) => sum + target.underway, 0)
  const probed = (): number =>
    health.snapshot(performance.now()).filter(({ isProbed }) => isProbed).length
  const held = (): Record<string, number> => ({
    inFlight: gates.inFlight(),
    waiting: gates.waiting(),
    keys: gates.snapshot().reduce((sum, gate) => sum + gate.inFlightOfLimitedKeys, 0),
    connections: inflight.size,
    deadlines: Math.max(0, watched() - watchedBefore),
    underway: underway(),
    probed: probed(),
    arrived: server.pending(),
    asked: provider.pendingRequests,
  })
  const nothing = Object.fromEntries(Object.keys(held()).map((name) => [name, 0]))
  const isIdle = (): boolean => Object.values(held()).every((count) => count === 0)
  const giveUpAt = performance.now() + 10_000
  await until(() => isIdle() || performance.now() > giveUpAt)
  expect(held()).toEqual(nothing)
  const { succeeded, failed, abandoned } = recorder.totals
  process.stdout.write(`  settled: ${JSON.stringify({ succeeded, failed, abandoned })}\n`)
  expect(succeeded + failed + abandoned).toBeLessThanOrEqual(calls)
  expect(succeeded + failed + abandoned).toBeGreaterThan(calls * 0.9)

  const full = async (): Promise<boolean> => {
    const statuses = Array.from({ length: 56 }, async () => {
      const response = await fetch(`${server.url}/openai/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'openai/slow', messages: [{ role: 'user', content: 'hi' }] }),
      })
      await response.text()
      return response.status
    })
    return (await Promise.all(statuses)).every((status) => status === 200)
  }
  // It serves as many calls at once as fit; the timers are short, so a busy machine may need another go.
  await until(full)
  expect(gates.inFlight()).toBe(0)

  await server.close()
  await provider.stop(true)
  if (socketsBefore === undefined) return
  const closedBy = performance.now() + 10_000
  await until(() => sockets()! <= socketsBefore || performance.now() > closedBy)
  expect(sockets()).toBeLessThanOrEqual(socketsBefore)
}, 60_000)
