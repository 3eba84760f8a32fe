import { afterEach, beforeEach, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// A provider's models are those of all of its keys, not of one that was drawn.

setDefaultTimeout(30_000)

let upstream: Upstream
let other: Upstream
let gateway: TestGateway
/** Status and models by key; the lists are as wild as vendors write them. */
let lists: Record<string, string[] | number>

beforeEach(async () => {
  lists = { k1: ['m1', 'm2'], k2: ['m2', 'm3'], k3: ['m4'] }
  upstream = await startUpstream()
  other = await startUpstream()
  const answer = ({ headers }: Request): Response => {
    const own = lists[headers.get('authorization')!.replace('Bearer ', '')]!
    if (typeof own === 'number') {
      const error = { message: 'refused', code: 'invalid_api_key' }
      return Response.json({ error }, { status: own })
    }
    // No serialiser would write it like this.
    const data = own.map((id) => `{"id" :"${id}","n":1.0}`).join()
    return new Response(`{"object": "list", "data":[${data}] }`, {
      headers: { 'content-type': 'application/json' },
    })
  }
  upstream.reply(Array.from({ length: 40 }, () => answer))
  const key = (n: number, more: object = {}) => ({
    name: `n${n}`,
    id: `id${n}`,
    value: `k${n}`,
    ...more,
  })
  gateway = await startGateway({
    config: {
      client: { allow_direct_keys: true },
      providers: {
        openai: {
          keys: [key(1), key(2, { weight: 0 }), key(3, { enabled: false })],
          network_config: { base_url: upstream.url },
        },
        groq: {
          keys: [{ name: 'g', id: 'idg', value: 'kg' }],
          network_config: { base_url: other.url },
        },
      },
    },
  })
})
afterEach(async () => {
  await gateway.stop()
  await upstream.stop()
  await other.stop()
})

async function list(query = '?provider=openai', headers: object = {}): Promise<any> {
  const response = await fetch(`${gateway.url}/openai/v1/models${query}`, {
    headers: { ...headers },
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

const idsOf = ({ body }: any): string[] => body.data.map(({ id }: { id: string }) => id)
const success = (key: string) => ({ key_id: key, provider: 'openai', status: 'success' })
const failed = (key: string) => ({
  key_id: key,
  provider: 'openai',
  status: 'failed',
  error: { message: 'refused', code: 'invalid_api_key', status_code: 401 },
})

describe('the models of a provider', () => {
  test('are those of every key that is on, each model once, with what each key came to', async () => {
    const answer = await list()
    expect(idsOf(answer)).toEqual(['openai/m1', 'openai/m2', 'openai/m3'])
    expect(answer.body.extra_fields).toMatchObject({
      request_type: 'list_models',
      provider: 'openai',
      key_statuses: [success('id1'), success('id2')],
    })
    expect(answer.headers.get('x-bifrost-provider')).toBe('openai')
    expect(upstream.requests).toHaveLength(2)
  })

  test('of one key are its bytes, with the names alone changed', async () => {
    const response = await fetch(`${gateway.url}/openai/v1/models?provider=openai`, {
      headers: { 'x-bf-api-key': 'n2', 'x-bf-extra-fields': 'false' },
    })
    expect(await response.text()).toBe(
      '{"object": "list", "data":[{"id" :"openai/m2","n":1.0},{"id" :"openai/m3","n":1.0}] }',
    )
    expect(upstream.requests).toHaveLength(1)
  })

  test('lack those of a key that is refused, and say so', async () => {
    lists['k1'] = 401
    const answer = await list()
    expect([answer.status, idsOf(answer)]).toEqual([200, ['openai/m2', 'openai/m3']])
    expect(answer.body.extra_fields.key_statuses).toEqual([failed('id1'), success('id2')])
    expect(JSON.stringify(answer.body)).not.toContain('k1')
  })

  test('are an error when every key is refused', async () => {
    lists = { k1: 401, k2: 401 }
    const { status, body } = await list()
    expect([status, body.error.code]).toEqual([502, 'upstream_credentials_exhausted'])
    expect(body.error.message).toEndWith('refused')
    expect(upstream.requests).toHaveLength(2)
    const health = (await (await fetch(`${gateway.url}/health`)).json()) as any
    expect(health.components.in_flight).toBe(0)
  })

  test('are explained key by key, whatever else is switched off', async () => {
    lists['k2'] = 401
    const headers = { 'x-bf-explain': 'true', 'x-bf-extra-fields': 'false' }
    const { trace, key_statuses } = (await list('?provider=openai', headers)).body.extra_fields
    expect(key_statuses).toEqual([success('id1'), failed('id2')])
    const said = trace.map(({ what }: { what: string }) => what)
    expect(said).toContain('each of 2 keys is asked')
    expect(said).toContain('n1 lists 2 models')
    expect(said).toContain('n2: upstream_error')
  })
})

describe('the models of all providers', () => {
  test('have what every key came to, and are explained provider by provider', async () => {
    other.reply([
      { json: { object: 'list', data: [{ id: 'g1' }] } },
      { status: 500, json: { error: { message: 'down' } } },
    ])
    const answer = await list('')
    expect(idsOf(answer)).toEqual(['openai/m1', 'openai/m2', 'openai/m3', 'groq/g1'])
    const { key_statuses } = answer.body.extra_fields
    expect(key_statuses).toEqual([
      success('id1'),
      success('id2'),
      { key_id: 'idg', provider: 'groq', status: 'success' },
    ])
    // From memory: nobody is asked again.
    await list('')
    expect(upstream.requests).toHaveLength(2)
    // Made anew, so that there is something to explain.
    const { extra_fields } = (await list('', { 'x-bf-explain': 'true' })).body
    expect(upstream.requests).toHaveLength(4)
    const of = (provider: string): string[] =>
      extra_fields.trace
        .filter((one: any) => one.provider === provider)
        .map(({ what }: { what: string }) => what)
    expect(of('openai')).toContain('n2 lists 2 models')
    expect(of('groq').join()).toContain('upstream_error')
    expect(extra_fields.key_statuses.at(-1)).toMatchObject({ provider: 'groq', status: 'failed' })
  })

  test.each([{}, { 'x-bf-list-models-provider': 'all' }])(
    'are not asked for with a key of the caller, which only its provider sees: %j',
    async (headers) => {
      lists['sk-own'] = ['mine']
      const answer = await list('', { authorization: 'Bearer sk-own', ...headers })
      expect(idsOf(answer)).toEqual(['openai/mine'])
      expect([upstream.requests.length, other.requests.length]).toEqual([1, 0])
    },
  )

  test('are those of the provider that is named with a key of the caller', async () => {
    other.reply({ json: { object: 'list', data: [{ id: 'g1' }] } })
    const answer = await list('?provider=groq', { authorization: 'Bearer gsk-own' })
    expect(idsOf(answer)).toEqual(['groq/g1'])
    expect(other.requests[0]!.headers.get('authorization')).toBe('Bearer gsk-own')
    expect(upstream.requests).toHaveLength(0)
  })

  describe('that are too long in coming', () => {
    const never = (): Promise<never> => new Promise(() => undefined)
    const late = (provider: string) => ({
      message: `Provider '${provider}' did not list its models within 10000 ms.`,
      code: 'upstream_timeout',
    })

    /** The wait for a list is ten seconds; here those of so many providers are over once they have been asked. */
    let hurried: number
    beforeEach(() => {
      const real = globalThis.setTimeout
      const wait = (run: () => void, ms?: number): unknown => {
        if (ms !== 10_000 || hurried-- <= 0) return real(run, ms)
        return void upstream.waitFor(2).then(run)
      }
      spyOn(globalThis, 'setTimeout').mockImplementation(wait as typeof setTimeout)
      upstream.clear()
      upstream.reply([never, never])
    })
    afterEach(() => spyOn(globalThis, 'setTimeout').mockRestore())

    test('are left out, and it is said of whom', async () => {
      hurried = 1
      other.reply({ json: { object: 'list', data: [{ id: 'g1' }] } })
      const answer = await list('')
      expect([answer.status, idsOf(answer)]).toEqual([200, ['groq/g1']])
      const [openai] = answer.body.extra_fields.key_statuses
      expect(openai).toMatchObject({ provider: 'openai', error: late('openai') })
    })

    test('are an error when nobody else has any, and not a caller who left', async () => {
      hurried = 2
      other.reply(never)
      const { status, headers, body } = await list('')
      expect([status, headers.get('x-should-retry')]).toEqual([504, null])
      expect(body.error).toMatchObject(late('openai'))
    })
  })
})
