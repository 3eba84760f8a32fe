import { expect, test } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createFolder } from '../async/folder.ts'
import { gate } from '../async/rig.ts'
import { startUpstream } from '../helpers/upstream.ts'

const path = '/v1/async/chat/completions'
const value = 'sk-bf-restart-0123456789'
const mine = { 'x-bf-vk': value, 'x-mine': `the ${value} again` }
const ask = (content: string, model = 'openai/gpt-4o'): object => ({
  model,
  messages: [{ role: 'user', content }],
})

test('after a kill jobs are still those of their virtual key, and have what it has by then', async () => {
  await using upstream = await startUpstream()
  const keyFor = (allowed_models: readonly string[]) => ({
    client: { enforce_auth_on_inference: true },
    async: { lease_in_seconds: 0.3, concurrency: 1 },
    governance: {
      virtual_keys: [
        {
          name: 'mine',
          id: 'vk-mine',
          value,
          provider_configs: [{ provider: 'openai', allowed_models }],
        },
        { name: 'other', value: 'sk-bf-other', allow_all_providers: true },
      ],
    },
  })
  await using folder = createFolder(upstream.url, keyFor(['gpt-4o', 'gpt-4o-mini']))
  upstream.reply({ gate: gate().opened, json: {} })
  let gateway = await folder.start()
  const running = (await gateway.post(path, ask('one'), mine)).body.id
  await upstream.waitFor(1)
  const waiting = (await gateway.post(path, ask('two'), mine)).body.id
  const forbidden = (await gateway.post(path, ask('three', 'openai/gpt-4o-mini'), mine)).body.id
  for (const name of readdirSync(folder.path)) {
    if (name === 'config.json') continue
    expect([name, readFileSync(join(folder.path, name), 'latin1').includes(value)]).toEqual([
      name,
      false,
    ])
  }
  await gateway.kill()
  const configPath = join(folder.path, 'config.json')
  const { providers } = JSON.parse(readFileSync(configPath, 'utf8')) as { providers: object }
  writeFileSync(configPath, JSON.stringify({ providers, ...keyFor(['gpt-4o']) }))
  gateway = await folder.start()
  for (const id of [running, waiting]) {
    const { body } = await gateway.ended(`${path}/${id}`, mine)
    expect(body).toMatchObject({ status: 'completed' })
  }
  expect((await gateway.ended(`${path}/${forbidden}`, mine)).body).toMatchObject({
    status: 'failed',
    error: { error: { code: 'model_blocked' } },
  })
  expect((await gateway.get(`${path}/${running}`, { 'x-bf-vk': 'sk-bf-other' })).status).toBe(404)
  expect((await gateway.get(`${path}/${running}`)).status).toBe(401)
  expect(upstream.requests).toHaveLength(3)
}, 30_000)
