import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { createDb } from '#store/db.ts'
import { createResponseStore } from '#store/responses.ts'

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

test('an answer that could not be written says so itself', async () => {
  let dir = ''
  await using gateway = await rig({}, (own) => {
    dir = own
  })
  const first = await gateway.post({ input: 'Hello' })
  expect(first.body.store).toBe(true)
  const other = new Database(join(dir, 'asbru.db'))
  other.run('BEGIN IMMEDIATE')
  const second = await gateway.post({ input: 'Hello' })
  expect(second).toMatchObject({ status: 200, body: { store: false } })
  // What is there can still be read.
  expect(await gateway.get(`/${first.body.id}`)).toMatchObject({ status: 200 })
  other.run('ROLLBACK')
  other.close()
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

test('a conversation of more turns than are kept together ends in a clear refusal', async () => {
  let dir = ''
  await using gateway = await rig({}, (own) => {
    dir = own
  })
  const log = createLogger({ level: 'error', style: 'json', write: () => undefined })
  const store = createResponseStore(createDb({ path: join(dir, 'asbru.db'), log }), log)
  const limits = { maxAgeMs: 1e9, maxBytes: 1e9, maxCount: 1e6 }
  for (let n = 0; n <= 501; n++) {
    const previousId = n === 0 ? undefined : `resp_${n - 1}`
    const head = JSON.stringify({ id: `resp_${n}`, object: 'response' })
    const own = { owner: '', provider: 'cerebras', model: 'm', input: [], output: [] }
    store.put({ id: `resp_${n}`, previousId, head, ...own }, limits)
  }
  store.close()
  const within = await gateway.post({ input: 'x', previous_response_id: 'resp_400' })
  expect(within.status).toBe(200)
  const beyond = await gateway.post({ input: 'x', previous_response_id: 'resp_501' })
  expect(beyond).toMatchObject({
    status: 400,
    body: { error: { code: 'context_length_exceeded', param: 'previous_response_id' } },
  })
})
