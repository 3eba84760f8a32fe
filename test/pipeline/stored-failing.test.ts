import { expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Inference goes on whatever happens to the store, and no answer claims to be kept that is not.

interface Rig extends AsyncDisposable {
  post(body: object): Promise<{ status: number; body: any }>
  get(path: string): Promise<{ status: number; body: any }>
  readonly errors: () => readonly unknown[]
}

async function rig(config: object, breakStore: (dir: string) => void = () => {}): Promise<Rig> {
  const upstream = await startUpstream()
  const provider = { keys: [{ value: 'k' }], network_config: { base_url: upstream.url } }
  const gateway = await startGateway({ config: { providers: { cerebras: provider }, ...config } })
  breakStore(dirname(gateway.configPath))
  const url = `${gateway.url}/openai/v1/responses`
  const read = async (response: Response) => ({
    status: response.status,
    body: await response.json(),
  })
  return {
    post: async (body) => {
      const headers = { 'content-type': 'application/json' }
      const request = JSON.stringify({ model: 'cerebras/llama', ...body })
      return read(await fetch(url, { method: 'POST', headers, body: request }))
    },
    get: async (path) => read(await fetch(url + path)),
    errors: () => gateway.logs.filter(({ level }) => level === 'error'),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

test('switched off, nothing is kept and whoever needs it is told why', async () => {
  await using gateway = await rig({ response_store: { enabled: false } })
  const made = await gateway.post({ input: 'Hello' })
  expect(made).toMatchObject({ status: 200, body: { store: false } })
  const next = await gateway.post({ input: 'x', previous_response_id: made.body.id })
  expect(next).toMatchObject({
    status: 400,
    body: { error: { param: 'previous_response_id', code: 'previous_response_not_found' } },
  })
  expect(next.body.error.message).toContain('response_store.enabled')
  expect(await gateway.get(`/${made.body.id}`)).toMatchObject({ status: 404 })
})

test('with a file that cannot be one, answers go on and say that they were not kept', async () => {
  await using gateway = await rig({}, (dir) => mkdirSync(join(dir, 'asbru.db')))
  for (let n = 0; n < 3; n++) {
    expect(await gateway.post({ input: 'Hello' })).toMatchObject({
      status: 200,
      body: { store: false },
    })
  }
  const next = await gateway.post({ input: 'x', previous_response_id: 'resp_1' })
  expect(next).toMatchObject({ status: 400, body: { error: { param: 'previous_response_id' } } })
  expect(next.body.error.message).toContain('cannot be used')
  const found = await gateway.get('/resp_1')
  expect(found).toMatchObject({ status: 503, body: { error: { code: 'store_unavailable' } } })
  expect(gateway.errors()).toHaveLength(1)
})

test('an answer larger than the store says that it was not kept', async () => {
  await using gateway = await rig({ response_store: { max_size_mb: 0.01 } })
  const small = await gateway.post({ input: 'Hello' })
  expect(small.body.store).toBe(true)
  const large = await gateway.post({ input: 'x'.repeat(20_000) })
  expect(large).toMatchObject({ status: 200, body: { store: false } })
  expect(await gateway.get(`/${large.body.id}`)).toMatchObject({ status: 404 })
})

test('what has become too old is gone', async () => {
  await using gateway = await rig({ response_store: { retention_days: 0 } })
  const made = await gateway.post({ input: 'Hello' })
  await Bun.sleep(2)
  expect(await gateway.get(`/${made.body.id}`)).toMatchObject({ status: 404 })
})

test('many small turns make one conversation that ends in a clear refusal', async () => {
  await using gateway = await rig({})
  let previous: string | undefined
  let turns = 0
  for (; turns < 510; turns++) {
    const made = await gateway.post({ input: 'x', previous_response_id: previous })
    if (made.status !== 200) {
      expect(made.body.error.code).toBe('context_length_exceeded')
      break
    }
    previous = made.body.id
  }
  expect(turns).toBeGreaterThan(490)
  expect(turns).toBeLessThan(510)
})
