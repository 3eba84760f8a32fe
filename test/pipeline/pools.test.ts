import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import type { Snapshot } from '#config/snapshot.ts'
import { createLogger } from '#core/log.ts'
import { arrive, takeIn } from '#http/intake.ts'
import { createCredentials } from '#pipeline/credentials.ts'
import { createGates } from '#pipeline/gates.ts'
import { createHealth } from '#pipeline/health.ts'
import { createHedges } from '#pipeline/hedge.ts'
import { createInflight } from '#pipeline/inflight.ts'
import type { Outcome } from '#pipeline/outcome.ts'
import { MAX_POOLS, POOL_SIZE, poolOptions, Pools } from '#pipeline/pools.ts'
import { createRecorder } from '#pipeline/record.ts'
import { run } from '#pipeline/run.ts'
import { createSessions } from '#pipeline/sessions.ts'
import { createDb } from '#store/db.ts'
import { createResponseStore } from '#store/responses.ts'

import { accepted } from '../config/rig.ts'
import { exchange, post } from '../http/wire.ts'
import type { RawAnswer } from '../http/wire.ts'
import { CHAT, startRig, until } from './rig.ts'

// Requests over TLS go to the pool that has room for them, so that their connections are used again. Whatever the
// pool, the provider's certificate is looked at in the same way.

const fixture = (name: string): Promise<string> =>
  Bun.file(join(import.meta.dir, '../fixtures/tls', name)).text()
const cert = await fixture('cert.pem')
const certOfOther = await fixture('other.pem')
const key = await fixture('key.pem')

/** A provider over TLS that answers when it is told to, and knows which connections it was asked over. */
class Provider implements AsyncDisposable {
  readonly ports = new Set<number>()
  /** Requests that wait for their answer, oldest first. */
  readonly held: (() => void)[] = []
  holds = false
  readonly #server: Bun.Server<undefined>

  constructor(ownCert: string) {
    this.#server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      development: false,
      tls: { cert: ownCert, key },
      fetch: async (request, server) => {
        this.ports.add(server.requestIP(request)!.port)
        const { model } = (await request.json()) as { model: string }
        if (this.holds) await new Promise<void>((resolve) => this.held.push(resolve))
        return Response.json({ id: model, object: 'chat.completion', choices: [] })
      },
    })
  }

  get url(): string {
    return `https://127.0.0.1:${this.#server.port}`
  }

  /** Answers the oldest `count`. */
  answer(count: number): void {
    for (const resolve of this.held.splice(0, count)) resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.answer(this.held.length)
    await this.#server.stop(true)
  }
}

let provider: Provider
beforeEach(() => {
  provider = new Provider(cert)
})
afterEach(() => provider[Symbol.asyncDispose]())

describe('a place', () => {
  test('is in the first pool that has one', () => {
    const pools = new Pools()
    const take = (count: number): number[] => Array.from({ length: count }, () => pools.take())
    expect(new Set(take(POOL_SIZE))).toEqual(new Set([0]))
    expect(new Set(take(POOL_SIZE))).toEqual(new Set([1]))
    expect(take(1)).toEqual([2])
    pools.give(1)
    pools.give(0)
    expect(take(3)).toEqual([0, 1, 2])
  })

  test('is in the last pool when all are full', () => {
    const pools = new Pools()
    const taken = Array.from({ length: (MAX_POOLS + 3) * POOL_SIZE }, () => pools.take())
    expect(taken.filter((pool) => pool === MAX_POOLS)).toHaveLength(3 * POOL_SIZE)
    for (const pool of taken) pools.give(pool)
    expect(pools.take()).toBe(0)
  })
})

test('a pool has its own option, always the same, and the first has none', () => {
  expect(poolOptions(0)).toBeUndefined()
  const all = Array.from({ length: MAX_POOLS }, (_, index) => poolOptions(index + 1)!)
  expect(new Set(all.map(({ passphrase }) => passphrase)).size).toBe(MAX_POOLS)
  expect(all.every((options) => Object.isFrozen(options))).toBe(true)
  expect(all.map((_, index) => poolOptions(index + 1) === all[index])).not.toContain(false)
  expect(poolOptions(MAX_POOLS + 1)).toBe(all.at(-1))
})

describe('connections over TLS', () => {
  // Four pools, the last of them not full. Callers have sockets of their own: `fetch` would count them in.
  const atOnce = 200

  async function start() {
    const rig = await startRig({ baseUrl: provider.url, network: { ca_cert_pem: cert } })
    provider.holds = true
    let sent = 0
    const answers: Promise<RawAnswer>[] = []
    return {
      rig,
      /** Has `count` more requests wait at the provider. */
      async send(count: number): Promise<void> {
        const awaited = provider.held.length + count
        for (let n = 0; n < count; n++) {
          const body = Buffer.from(JSON.stringify({ ...CHAT, model: `openai/m${sent++}` }))
          const headers = { 'content-type': 'application/json', connection: 'close' }
          answers.push(
            exchange(rig.gateway.url, post('/openai/v1/chat/completions', body, headers)),
          )
        }
        await until(() => provider.held.length === awaited)
      },
      /** Has the oldest `count` answered, and their places given back. */
      async answer(count: number): Promise<void> {
        provider.answer(count)
        const settled = sent - provider.held.length
        const served = () =>
          rig.gateway.logs.filter(({ message }) => message === 'request served').length
        await until(() => served() === settled)
      },
      /** The models that were answered, in the order they were asked in. */
      async answered(): Promise<unknown[]> {
        return (await Promise.all(answers)).map((answer) => [answer.status, answer.json().id])
      },
      expected: () => Array.from({ length: sent }, (_, n) => [200, `m${n}`]),
    }
  }

  test('are used again by the next burst', async () => {
    const load = await start()
    await using _ = load.rig
    for (let round = 0; round < 3; round++) {
      await load.send(atOnce)
      await load.answer(atOnce)
    }
    expect(await load.answered()).toEqual(load.expected())
    expect(provider.ports.size).toBe(atOnce)
  })

  test('are used again while as many requests as ever are in flight', async () => {
    const load = await start()
    await using _ = load.rig
    await load.send(atOnce)
    for (const some of [100, 70, 150, 64, 65, 199]) {
      await load.answer(some)
      await load.send(some)
    }
    await load.answer(atOnce)
    expect(await load.answered()).toEqual(load.expected())
    expect(provider.ports.size).toBe(atOnce)
  })
})

describe('in every pool', () => {
  const pools = Array.from({ length: MAX_POOLS + 1 }, (_, pool) => pool)

  function snapshotWith(network: object, { url } = provider): Snapshot {
    return accepted({
      providers: {
        openai: {
          keys: [{ name: 'main', value: 'sk-provider-0123456789', models: ['*'], weight: 1 }],
          network_config: { base_url: url, ...network },
        },
      },
    })
  }

  /** One call when the pools before `pool` are full. */
  async function ask(snapshot: Snapshot, pool: number): Promise<Outcome> {
    const credentials = createCredentials()
    const gates = createGates()
    const health = createHealth(() => snapshot.client.breaker)
    const busy = gates.of('openai').pools
    for (let n = 0; n < pool * POOL_SIZE; n++) busy.take()
    const log = createLogger({ level: 'error', style: 'json', write: () => undefined })
    const services = {
      credentials,
      gates,
      health,
      hedges: createHedges(),
      sessions: createSessions(),
      inflight: createInflight(),
      recorder: createRecorder(log),
      responses: createResponseStore(createDb({ path: undefined, log }), log),
    }
    const request = new Request('http://127.0.0.1/openai/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...CHAT, model: `openai/m${pool}` }),
    })
    const hints = { defaultProvider: 'openai' }
    const call = await takeIn(
      'chat_completion',
      arrive(request, '/openai/v1'.length),
      hints,
      snapshot,
    )
    return await run(call, snapshot, services)
  }

  /** One after the other, so that only a pool of its own makes a call open a connection. */
  async function outcomes(snapshot: Snapshot): Promise<string[]> {
    const seen: string[] = []
    for (const pool of pools) {
      seen.push(
        await ask(snapshot, pool).then(
          () => 'answered',
          (error: { kind: string; message: string }) => `${error.kind}: ${error.message}`,
        ),
      )
    }
    return seen
  }
  const all = (outcome: string): string[] => pools.map(() => outcome)

  const refused = (code: string): string[] =>
    all(`upstream_unreachable: Provider 'openai' could not be reached (${code}).`)

  test('a certificate that nobody vouches for is refused', async () => {
    expect(await outcomes(snapshotWith({}))).toEqual(refused('DEPTH_ZERO_SELF_SIGNED_CERT'))
    expect(provider.ports.size).toBe(0)
  })

  test('a certificate for another host is refused', async () => {
    await using other = new Provider(certOfOther)
    const snapshot = snapshotWith({ ca_cert_pem: certOfOther }, other)
    expect(await outcomes(snapshot)).toEqual(refused('ERR_TLS_CERT_ALTNAME_INVALID'))
    expect(other.ports.size).toBe(0)
  })

  test.each([
    ['that the configuration vouches for', { ca_cert_pem: cert }],
    ['that the configuration does not want checked', { insecure_skip_verify: true }],
  ])('a certificate %s is taken', async (_, network) => {
    const snapshot = snapshotWith(network)
    expect(await outcomes(snapshot)).toEqual(all('answered'))
    expect(provider.ports.size).toBe(pools.length)
  })
})
