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
  become(config: object): Promise<void>
  ask(more?: object): Promise<Response>
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

/** Resolves when so many calls wait for the provider. */
async function waitingIs({ url }: TestGateway, count: number): Promise<void> {
  const line = `asbru_queue_length{provider="openai"} ${count}\n`
  while (!(await (await fetch(`${url}/metrics`)).text()).includes(line));
}
