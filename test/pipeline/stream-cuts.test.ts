import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { playback } from '../helpers/upstream.ts'
import { FIXTURES } from './fixtures.ts'
import type { Fixture } from './fixtures.ts'
import { strictly, until } from './rig.ts'

// Every fixture in every slicing, and cut at every offset: whatever happens upstream, the caller gets an HTTP
// error or one well-formed stream.

interface Play {
  readonly fixture: Fixture
  readonly slicing?: 'whole' | 'line' | 'byte' | number
  readonly cut?: number
  readonly reset?: boolean
}

const plays = new Map<string, Play>()
let upstream: ReturnType<typeof Bun.serve>
let gateway: TestGateway

beforeAll(async () => {
  upstream = Bun.serve({
    port: 0,
    hostname: 'localhost',
    idleTimeout: 0,
    development: false,
    fetch: answer,
  })
  const key = { name: 'k', value: 'sk-k', models: ['*'], weight: 1 }
  gateway = await startGateway({
    config: {
      providers: { openai: { keys: [key], network_config: { base_url: upstream.url.origin } } },
    },
  })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop(true)
})

function answer(request: Request): Response {
  const { fixture, slicing = 'whole', cut, reset } = plays.get(request.headers.get('play') ?? '')!
  const bytes = new TextEncoder().encode(fixture.stream).subarray(0, cut)
  const body = new ReadableStream({
    type: 'direct',
    async pull(controller: {
      write(piece: Uint8Array): void
      flush(): Promise<void>
      close(error?: Error): void
    }) {
      for (const piece of playback(bytes, slicing)) {
        controller.write(piece)
        await controller.flush()
      }
      // Without a reason, because Bun would print it.
      if (reset) await Promise.reject()
      controller.close()
    },
  } as unknown as Bun.DirectUnderlyingSource)
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

let ids = 0

async function play(it: Play): Promise<{ status: number; text: string }> {
  const id = `play-${ids++}`
  plays.set(id, it)
  const response = await fetch(`${gateway.url}/openai/v1${it.fixture.path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-bf-eh-play': id },
    body: JSON.stringify(it.fixture.request),
  })
  const text = await response.text()
  plays.delete(id)
  return { status: response.status, text }
}

describe.each(FIXTURES)('$name', (fixture) => {
  test.each(['whole', 'line', 'byte', 2, 7] as const)('in pieces: %s', async (slicing) => {
    const { status, text } = await play({ fixture, slicing })
    expect(status).toBe(200)
    const stream = strictly(text)
    expect(stream.end).toBe(fixture.end)
    expect(stream.events).toHaveLength(fixture.events)
    const extra = stream.events.map(({ data }) => data.extra_fields !== undefined)
    expect(extra.indexOf(true)).toBe(fixture.events - 1)
  })

  test.each([false, true])(
    'cut at every offset, by reset: %p',
    async (reset) => {
      const { length } = new TextEncoder().encode(fixture.stream)
      const completeAt =
        Buffer.byteLength(fixture.stream.slice(0, fixture.stream.indexOf(fixture.complete))) +
        Buffer.byteLength(fixture.complete)
      const cuts = Array.from({ length }, (_, cut) => cut)
      const ends = new Map<number, string>()
      async function worker(): Promise<void> {
        for (let cut = cuts.pop(); cut !== undefined; cut = cuts.pop()) {
          const { status, text } = await play({ fixture, cut, reset })
          if (status === 200) ends.set(cut, endOf(text, cut))
          else {
            expect(status).toBe(502)
            expect(JSON.parse(text).error.message).toBeString()
            ends.set(cut, 'status')
          }
        }
      }
      await Promise.all(Array.from({ length: 16 }, worker))
      expect(ends.size).toBe(length)
      if (fixture.complete === 'never') return
      // After a reset nobody knows what of the last bytes arrived; an orderly end is complete or it is not.
      if (reset) return
      for (const [cut, end] of ends) {
        const wanted = cut >= completeAt ? [fixture.end] : ['status', 'error']
        expect([cut, wanted.includes(end)]).toEqual([cut, true])
      }
    },
    60_000,
  )
})

function endOf(text: string, cut: number): string {
  try {
    return strictly(text).end
  } catch (cause) {
    throw new Error(`cut at ${cut}: ${JSON.stringify(text)}`, { cause })
  }
}

test('after all of that nothing is left in flight', async () => {
  await until(async () => {
    const health: any = await (await fetch(`${gateway.url}/health`)).json()
    return health.components.in_flight === 0
  })
})
