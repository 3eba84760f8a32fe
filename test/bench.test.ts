import { afterEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { assemble, type Contender, type Parts } from '#bench/contenders.ts'
import { rareWord } from '#bench/filling.ts'
import { createFleet, type Fleet, parseLine } from '#bench/fleet.ts'
import { bodyOf, type Job } from '#bench/job.ts'
import { percentile, startLoad } from '#bench/load.ts'
import { aimed, measure, median, pairedRatio, takeTurns, typical } from '#bench/measure.ts'
import type { Round } from '#bench/measure.ts'
import { base } from '#bench/stage.ts'
import { figure, renderRows } from '#bench/table.ts'
import { eventsPerShortStream, eventsPerStream, startUpstream } from '#bench/upstream.ts'
import { usageOf } from '#bench/usage.ts'
import { createReader, feed, type Sink } from '#bench/wire.ts'

// The parts as processes, a tiny load, and whether every answer is counted. How fast is not asked here.

const program = [process.execPath, `${import.meta.dir}/../src/main.ts`]
const cleanUps: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp()
})

async function start(
  gateway: readonly string[] = program,
): Promise<{ parts: Parts; fleet: Fleet }> {
  const fleet = createFleet(undefined)
  cleanUps.push(() => fleet.stopAll())
  const parts = await assemble(fleet, { self: program, gateway })
  cleanUps.push(() => parts.clean())
  return { parts, fleet }
}

function job(parameters: Partial<Job>): Omit<Job, 'url'> {
  return { ...base, concurrency: 8, requests: 8, timeoutMs: 20_000, ...parameters }
}

describe('the roles as processes', () => {
  test('floor and load generator: 200 requests, 200 answers', async () => {
    const { parts } = await start()
    const floor = await parts.startFloor()
    const round = await measure(parts.loader, floor, job({ requests: 200 }))
    expect(round).toMatchObject({ ok: 200, errors: 0, events: 0 })
    expect(round.p99Us).toBeGreaterThanOrEqual(round.p50Us)
    if (process.platform === 'linux') expect(round.residentMb).toBeGreaterThan(0)
    const stats = await (await fetch(new URL('/stats', parts.direct.url))).json()
    expect(stats).toMatchObject({ requests: 200, streams: 0, open: 0 })
  })

  test('streams through the floor all end with their terminator', async () => {
    const { parts } = await start()
    const floor = await parts.startFloor()
    const burst = job({ model: 'bench-burst', kind: 'stream', requests: 40 })
    const short = job({ model: 'bench-short', kind: 'stream', spreadMs: 20 })
    const [rounds] = await takeTurns(parts.loader, [floor], burst, 2)
    expect(typical(rounds ?? [])).toMatchObject({
      ok: 80,
      errors: 0,
      events: 80 * (eventsPerStream + 1),
    })
    expect(await parts.loader.run(aimed(floor, short))).toMatchObject({
      ok: 8,
      errors: 0,
      events: 8 * (eventsPerShortStream + 1),
    })
  })

  test('streams are held open until they are released', async () => {
    const { parts } = await start()
    const floor = await parts.startFloor()
    const idle = job({ model: 'bench-idle', kind: 'hold', concurrency: 20, requests: 20 })
    let stood = 0
    let open: unknown
    const result = await parts.loader.hold(aimed(floor, idle), async (held) => {
      stood = held
      open = await (await fetch(new URL('/stats', parts.direct.url))).json()
    })
    expect(stood).toBe(20)
    expect(open).toMatchObject({ streams: 20, open: 20 })
    expect(result).toMatchObject({ ok: 20, errors: 0 })
  })

  test('streams with a slow beginning, and pauses between them, are all answered', async () => {
    const { parts } = await start()
    const floor = await parts.startFloor()
    const tail = job({ model: 'bench-tail', kind: 'stream', requests: 64, pauseMs: 1 })
    const result = await parts.loader.run(aimed(floor, tail))
    expect(result).toMatchObject({ ok: 64, errors: 0, events: 64 * (eventsPerShortStream + 1) })
  })

  test('a log is filled, within its bound, and can be searched', async () => {
    const { parts } = await start()
    const home = parts.newFolder()
    const order = { path: join(home, 'logs.db'), rows: 6000, maxBytes: 1e9 }
    const filled = await parts.fillLog(order)
    expect(filled.filled).toBe(6000)
    const path = join(parts.newFolder(), 'logs.db')
    const maxBytes = Math.ceil(filled.bytes / 2)
    const bounded = await parts.fillLog({ ...order, path, maxBytes })
    expect(bounded.peakBytes).toBeLessThanOrEqual(maxBytes + bounded.batchBytes)
    const gateway = await parts.startGateway((usual) => ({ ...usual, client: {} }), { home })
    const total = async (search: string): Promise<number> => {
      const answer = await fetch(new URL(`/api/logs/stats?${search}`, gateway.url))
      return ((await answer.json()) as { total_requests: number }).total_requests
    }
    expect(await total('')).toBe(6000)
    expect(await total(`content_search=${rareWord}`)).toBe(2)
    expect(await total('providers=openai,anthropic,gemini,mistral,groq')).toBe(6000)
  }, 60_000)

  test('a body of a megabyte arrives', async () => {
    const { parts } = await start()
    const image = job({ bodyBytes: 2 ** 20, image: true, concurrency: 2, requests: 4 })
    const result = await parts.loader.run(aimed(parts.direct, image))
    expect(result).toMatchObject({ ok: 4, errors: 0 })
  })

  test('a gateway that does not start is named, with what it said', async () => {
    const script = 'console.error("no such port"); process.exit(3)'
    const { parts } = await start([process.execPath, '-e', script, '--'])
    let problem: unknown
    try {
      await parts.startGateway()
    } catch (error) {
      problem = error
    }
    expect(String(problem)).toContain('gateway ended with code 3')
    expect(String(problem)).toContain('no such port')
  })

  test('the fleet leaves no process behind', async () => {
    const { parts, fleet } = await start()
    const floor: Contender = await parts.startFloor()
    await fleet.stopAll()
    expect(() => process.kill(floor.pid ?? 0, 0)).toThrow()
  })
})

describe('the load generator counts', () => {
  function against(answer: string): { url: string } {
    const listener = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        data(socket) {
          socket.end(answer)
        },
      },
    })
    cleanUps.push(() => listener.stop(true))
    return { url: `http://127.0.0.1:${listener.port}/` }
  }

  const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
  const cases: [string, Partial<Job>, string, RegExp][] = [
    [
      'a refusal',
      {},
      'HTTP/1.1 429 Slow\r\nconnection: close\r\ncontent-length: 4\r\n\r\nwait',
      /status 429: wait/,
    ],
    [
      'an answer of somebody else',
      {},
      'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}',
      /without the mark/,
    ],
    ['half an answer', {}, 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{', /closed before/],
    [
      'a stream without a terminator',
      { kind: 'stream' },
      `${chunked}9\r\ndata: {}\n\r\n0\r\n\r\n`,
      /a stream ended with/,
    ],
    [
      'a stream cut short',
      { kind: 'stream' },
      `${chunked}10\r\ndata: {}\n\ndata: \r\n`,
      /closed before/,
    ],
    ['noise', {}, `${chunked}zz\r\n`, /chunk size/],
  ]
  test.each(cases)('%s as an error', async (_name, parameters, answer, problem) => {
    const { url } = against(answer)
    const work = { ...job({ concurrency: 2, requests: 6, ...parameters }), url }
    const result = await startLoad(work).done
    expect(result).toMatchObject({ ok: 0, errors: 6 })
    expect(result.firstError).toMatch(problem)
  })

  test('an address where nobody listens as errors', async () => {
    const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
    const url = `http://127.0.0.1:${listener.port}/`
    listener.stop(true)
    const result = await startLoad({ ...job({ concurrency: 2, requests: 5 }), url }).done
    expect(result).toMatchObject({ ok: 0, errors: 5 })
    expect(result.firstError).toContain('cannot connect')
  })

  test('what is unfinished when time is up', async () => {
    const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
    cleanUps.push(() => listener.stop(true))
    const url = `http://127.0.0.1:${listener.port}/`
    const result = await startLoad({ ...job({ requests: 5, timeoutMs: 50 }), url }).done
    expect(result).toMatchObject({ ok: 0, errors: 5 })
    expect(result.firstError).toContain('5 of 5 unfinished')
  })

  test('a held stream that ends too early', async () => {
    const { url } = against(`${chunked}a\r\ndata: {}\n\n\r\n0\r\n\r\n`)
    let held: number | undefined
    const work = { ...job({ kind: 'hold', concurrency: 3, requests: 3 }), url }
    const result = await startLoad(work, (count) => (held = count)).done
    expect(held).toBeDefined()
    expect(result).toMatchObject({ ok: 0, errors: 3 })
  })
})

describe('messages off a socket', () => {
  const message =
    'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n, 0\r\nworld\r\n0\r\n\r\n' +
    'POST /y HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /z HTTP/1.1\r\nhost: a\r\n\r\n'

  test.each([1, 2, 3, 7, 1000])('in pieces of %d bytes are the same', (size) => {
    const seen: string[] = []
    const sink: Sink<string[]> = {
      head: (owner, text) => owner.push(`head ${text.split(' ')[1]}`, ''),
      body: (owner, bytes, from, to) => {
        owner.push((owner.pop() ?? '') + bytes.toString('latin1', from, to))
      },
      end: (owner) => owner.push('end'),
    }
    const reader = createReader()
    const bytes = Buffer.from(message)
    for (let at = 0; at < bytes.length; at += size) {
      feed(reader, bytes.subarray(at, at + size), sink, seen)
    }
    const messages = [
      ['head /x', 'hello, 0\r\nworld', 'end'],
      ['head /y', 'abc', 'end'],
      ['head /z', '', 'end'],
    ]
    expect(seen).toEqual(messages.flat())
  })
})

describe('figures', () => {
  test('requests have about the size asked for and parse', () => {
    for (const bodyBytes of [1024, 8192, 100_000, 2 ** 20]) {
      for (const image of [false, true]) {
        const body = bodyOf({ model: 'openai/x', kind: 'unary', bodyBytes, image })
        expect(JSON.parse(body)).toMatchObject({ model: 'openai/x' })
        expect(Math.abs(body.length - bodyBytes) / bodyBytes).toBeLessThan(0.15)
      }
    }
  })

  test('percentile, median and digits', () => {
    const sorted = new Float64Array([1, 2, 3, 4])
    expect([percentile(sorted, 0.5), percentile(sorted, 0.99)]).toEqual([3, 4])
    expect(percentile(new Float64Array(0), 0.5)).toBe(0)
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5])
    // Each is twice its neighbour, however fast the machine was at the time.
    const rounds = [
      [{ cpuUs: 10 }, { cpuUs: 30 }, { cpuUs: undefined }, { cpuUs: 11 }],
      [{ cpuUs: 20 }, { cpuUs: 60 }, { cpuUs: 5 }, { cpuUs: 99 }],
    ] as unknown as Round[][]
    expect(pairedRatio(rounds, ({ cpuUs }) => cpuUs)).toBe(2)
    expect(pairedRatio([[], []], ({ cpuUs }) => cpuUs)).toBeUndefined()
    expect([1234.5, 56.78, 0.894, undefined].map(figure)).toEqual(['1,235', '56.8', '0.89', 'n/a'])
  })

  test('a missed target is written as missed', () => {
    const row = { scenario: 'a', floor: '1', gateway: '3', ratio: '3.00×', target: '≤ 2.00×' }
    const table = renderRows([
      { ...row, met: false },
      { ...row, met: true },
      { ...row, met: undefined },
    ])
    const marks = table.split('\n').map((line) => line.split('|').at(-2)?.trim())
    expect(marks).toEqual(['met', '--:', 'no', 'yes', '–'])
  })

  test('the usage of a process is known where the kernel tells it', () => {
    const usage = usageOf(process.pid)
    if (process.platform === 'linux') expect(usage?.residentMb).toBeGreaterThan(1)
    else expect(usage).toBeUndefined()
    expect(usageOf(2 ** 30)).toBeUndefined()
  })

  test('lines that are no objects are not heard', () => {
    expect(['{"a":1}', '{', 'ready', '[1]'].map(parseLine)).toEqual([
      { a: 1 },
      undefined,
      undefined,
      undefined,
    ])
  })
})

test('the upstream answers usage only when asked', async () => {
  const upstream = startUpstream()
  cleanUps.push(upstream.stop)
  const ask = async (extra: object): Promise<string> => {
    const body = JSON.stringify({ model: 'bench-burst', stream: true, ...extra })
    return (await fetch(upstream.url, { method: 'POST', body })).text()
  }
  expect(await ask({})).not.toContain('"usage"')
  const asked = await ask({ stream_options: { include_usage: true } })
  expect(asked).toContain('"usage"')
  expect(asked.endsWith('data: [DONE]\n\n')).toBe(true)
  expect(asked.split('data: ').length - 1).toBe(eventsPerStream + 2)
})
