import { afterEach, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// What the gateway remembers of providers, and who waits for them, when the configuration changes under it.

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function upstream(): Promise<Upstream> {
  const started = await startUpstream()
  closing.push(() => started.stop())
  return started
}

interface Following {
  readonly gateway: TestGateway
  /** Writes another configuration, and resolves when it is in force. */
  readonly become: (config: object) => Promise<void>
  readonly ask: (more?: object) => Promise<Response>
}

async function following(config: object): Promise<Following> {
  const gateway = await startGateway({ config })
  closing.push(() => gateway.stop())
  let generation = 1
  return {
    gateway,
    async become(next) {
      const awaited = ++generation
      writeFileSync(gateway.configPath, JSON.stringify(next))
      await gateway.logged(
        (line) => line.message === 'configuration changed' && line.generation === awaited,
      )
    },
    ask: (more = {}) =>
      fetch(`${gateway.url}/openai/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          model: 'openai/gpt-x',
          messages: [{ role: 'user', content: 'hi' }],
          ...more,
        }),
      }),
  }
}

const answer = {
  json: {
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-x',
    choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  },
}

/** Who has asked and is answered when told so. */
function held(count: number) {
  const gate = Promise.withResolvers<void>()
  const reply = async (): Promise<Response> => {
    await gate.promise
    return Response.json(answer.json)
  }
  return { replies: Array.from({ length: count }, () => reply), release: gate.resolve }
}

const openai = ({ url }: Upstream, more: object) => ({
  providers: {
    openai: {
      keys: [{ name: 'main', value: 'sk-main' }],
      network_config: { base_url: url },
      ...more,
    },
  },
})

test('who waits for a place of a provider has it as soon as there are more', async () => {
  const provider = await upstream()
  const { replies, release } = held(4)
  provider.reply(replies)
  const rooms = (concurrency: number) =>
    openai(provider, { concurrency_and_buffer_size: { concurrency, buffer_size: 10 } })
  const { gateway, become, ask } = await following(rooms(1))
  const answers = [ask(), ask(), ask(), ask()]
  await provider.waitFor(1)
  await waitingIs(gateway, 3)
  await become(rooms(4))
  await provider.waitFor(4)
  release()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
})

test.each([
  ['higher', { concurrency: 4 }],
  ['gone', {}],
])('who waits for a key has it as soon as its limit is %s', async (_, more) => {
  const provider = await upstream()
  const { replies, release } = held(4)
  provider.reply(replies)
  const limited = (limit: object) =>
    openai(provider, { keys: [{ name: 'main', value: 'sk-main', ...limit }] })
  const { gateway, become, ask } = await following(limited({ concurrency: 1 }))
  const answers = [ask(), ask(), ask(), ask()]
  await provider.waitFor(1)
  await waitingIs(gateway, 3)
  await become(limited(more))
  await provider.waitFor(4)
  release()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
})

/** Two keys, of which the first is asked practically always. */
const keyed = (provider: Upstream, value: string) =>
  openai(provider, {
    keys: [
      { name: 'first', value, weight: 1_000_000 },
      { name: 'second', value: 'sk-second', weight: 0.000001 },
    ],
  })

const lastKey = (provider: Upstream): string | null | undefined =>
  provider.requests.at(-1)?.headers.get('authorization')

test('a key that was refused is asked again once it has another value', async () => {
  const provider = await upstream()
  const { become, ask } = await following(keyed(provider, 'sk-revoked'))
  provider.reply([{ status: 401, json: { error: { message: 'no' } } }, answer, answer, answer])
  await (await ask()).text()
  await (await ask()).text()
  expect(lastKey(provider)).toBe('Bearer sk-second')
  await become(keyed(provider, 'sk-new'))
  await (await ask()).text()
  expect(lastKey(provider)).toBe('Bearer sk-new')
})

test('what a change leaves as it was stays known', async () => {
  const provider = await upstream()
  const { become, ask } = await following(keyed(provider, 'sk-revoked'))
  provider.reply([{ status: 401, json: { error: { message: 'no' } } }, answer, answer])
  await (await ask()).text()
  await become({ ...keyed(provider, 'sk-revoked'), client: { drop_excess_requests: true } })
  await (await ask()).text()
  expect(lastKey(provider)).toBe('Bearer sk-second')
})

test('a refusal of the old value that comes late is not held against the new one', async () => {
  const provider = await upstream()
  const { become, ask } = await following(keyed(provider, 'sk-revoked'))
  const late = Promise.withResolvers<void>()
  provider.reply([
    async () => {
      await late.promise
      return Response.json({ error: { message: 'no' } }, { status: 401 })
    },
    answer,
    answer,
  ])
  const first = ask()
  await provider.waitFor(1)
  await become(keyed(provider, 'sk-new'))
  late.resolve()
  await (await first).text()
  await (await ask()).text()
  expect(lastKey(provider)).toBe('Bearer sk-new')
})

test('a provider whose breaker is open is asked again once it is somewhere else', async () => {
  const [broken, mended, other] = [await upstream(), await upstream(), await upstream()]
  const at = ({ url }: Upstream) => ({
    providers: {
      openai: {
        keys: [{ name: 'main', value: 'sk-main' }],
        network_config: { base_url: url },
        fallbacks: ['groq/x'],
      },
      groq: { keys: [{ name: 'g', value: 'gsk' }], network_config: { base_url: other.url } },
    },
  })
  const { become, ask } = await following(at(broken))
  for (let n = 0; n < 20; n++) {
    if (n < 10) broken.reply({ status: 500, json: { error: { message: 'no' } } })
    other.reply(answer)
    await (await ask()).text()
  }
  expect(broken.requests.length).toBeLessThan(10)
  mended.reply(answer)
  await become(at(mended))
  const response = await ask()
  expect(response.headers.get('x-bifrost-provider')).toBe('openai')
  expect(mended.requests).toHaveLength(1)
})

const busy = {
  name: 'busy',
  primary_provider: 'openai',
  fallback_provider: 'groq',
  condition: { signals: [{ source: 'response_header', header_name: 'x-busy' }] },
}

test('a policy holds on as it was written when its sign was seen, and not as another one', async () => {
  const [primary, other] = [await upstream(), await upstream()]
  const groq = { keys: [{ name: 'g', value: 'gsk' }], network_config: { base_url: other.url } }
  const steered = (cooldown: string) => ({
    providers: { ...openai(primary, {}).providers, groq },
    circuit_breaker_config: { policies: [{ ...busy, default_cooldown: cooldown }] },
  })
  const { become, ask } = await following(steered('1h'))
  const served = async () => {
    const response = await ask()
    await response.text()
    return response.headers.get('x-bifrost-provider')
  }
  primary.reply({ ...answer, headers: { 'x-busy': 'yes' } })
  expect(await served()).toBe('openai')
  expect(await served()).toBe('groq')
  await become({ ...steered('1h'), client: { drop_excess_requests: true } })
  expect(await served()).toBe('groq')
  await become(steered('1s'))
  expect(await served()).toBe('openai')
})

/** Resolves when so many calls wait for the provider. */
async function waitingIs({ url }: TestGateway, count: number): Promise<void> {
  const line = `asbru_queue_length{provider="openai"} ${count}\n`
  while (!(await (await fetch(`${url}/metrics`)).text()).includes(line));
}
