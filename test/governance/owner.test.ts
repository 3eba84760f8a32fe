import { describe, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'

import type { Call, Owner } from '#core/call.ts'
import { Secret } from '#lib/secret.ts'
import { callerOf } from '#pipeline/seat.ts'
import type { Services } from '#pipeline/services.ts'
import { readSession } from '#pipeline/sessions.ts'

import { CHAT, chat, governanceRig, keyOf } from './rig.ts'
import type { Answer, GovernanceRig } from './rig.ts'

const everything = { allow_all_providers: true }
const owners = {
  customers: [{ id: 'cust-acme', name: 'Acme' }],
  teams: [
    { id: 'team-search', name: 'Search', customer_id: 'cust-acme' },
    { id: 'team-other', name: 'Other' },
  ],
  virtual_keys: [
    { id: 'vk-a', name: 'a', value: 'sk-bf-a-0123456789', team_id: 'team-search', ...everything },
    { id: 'vk-b', name: 'b', value: 'sk-bf-b-0123456789', team_id: 'team-other', ...everything },
    { id: 'vk-c', name: 'c', value: 'sk-bf-c-0123456789', customer_id: 'cust-acme', ...everything },
  ],
}

const vk = (name: string) => ({ 'x-bf-vk': `sk-bf-${name}-0123456789` })

async function modelFor(rig: GovernanceRig, headers: Record<string, string>): Promise<string> {
  const { candidates } = await rig.explain({ model: 'openai/m' }, headers)
  return candidates[0].model
}

describe('routing rules', () => {
  const facts: readonly (readonly [string, readonly string[]])[] = [
    ['virtual_key_id == "vk-a"', ['a']],
    ['virtual_key_name == "b"', ['b']],
    ['team_id == "team-search"', ['a']],
    ['team_name in ["Search", "Other"]', ['a', 'b']],
    ['customer_id == "cust-acme"', ['a', 'c']],
    ['customer_name == "Acme" && team_name == ""', ['c']],
    ['virtual_key_id == ""', ['']],
  ]
  for (const [cel_expression, matching] of facts) {
    test(`know whose a call is: ${cel_expression}`, async () => {
      const routing_rules = [{ name: 'r', cel_expression, targets: [{ model: 'ruled' }] }]
      await using rig = await governanceRig({ ...owners, routing_rules })
      for (const name of ['a', 'b', 'c', '']) {
        const model = await modelFor(rig, name === '' ? {} : vk(name))
        expect([name, model]).toEqual([name, matching.includes(name) ? 'ruled' : 'm'])
      }
    })
  }

  test('are looked at from the most particular owner to none, each scope by priority', async () => {
    const rule = (scope: string, scope_id?: string, priority = 0) => ({
      name: `${scope} ${priority}`,
      scope,
      ...(scope_id !== undefined && { scope_id }),
      priority,
      targets: [{ model: `${scope}-${priority}` }],
    })
    const all = [
      rule('global', undefined, -5),
      rule('customer', 'cust-acme', -4),
      rule('team', 'team-search', 7),
      rule('team', 'team-search', 3),
      rule('virtual_key', 'vk-a', 100),
    ]
    const seen: string[][] = []
    for (const left of [all, all.slice(0, 4), all.slice(0, 3), all.slice(0, 2), all.slice(0, 1)]) {
      await using rig = await governanceRig({ ...owners, routing_rules: left })
      const got = []
      for (const headers of [vk('a'), vk('b'), vk('c'), {}]) got.push(await modelFor(rig, headers))
      seen.push(got)
    }
    const others = ['global--5', 'customer--4', 'global--5']
    expect(seen).toEqual([
      ['virtual_key-100', ...others],
      ['team-3', ...others],
      ['team-7', ...others],
      ['customer--4', ...others],
      ['global--5', 'global--5', 'global--5', 'global--5'],
    ])
  })

  test('that are another’s are said to be', async () => {
    const routing_rules = [
      { name: 'r', scope: 'team', scope_id: 'team-search', targets: [{ model: 'ruled' }] },
    ]
    await using rig = await governanceRig({ ...owners, routing_rules })
    const { trace } = await rig.explain({}, vk('b'))
    expect(trace.map(({ what }: { what: string }) => what)).toContainEqual(
      "rule 'r' does not match: the call belongs to another team, or to none",
    )
  })
})

describe('the log', () => {
  test('has whose a call was and which rule decided, and nowhere the value', async () => {
    const routing_rules = [
      {
        id: 'rule-1',
        name: 'to groq',
        cel_expression: 'model == "g"',
        targets: [{ provider: 'groq' }],
      },
    ]
    await using rig = await governanceRig(
      { ...owners, routing_rules },
      { logs: true, client: { logging_headers: ['x-bf-vk', 'authorization', 'x-note'] } },
    )
    const note = { 'x-note': 'my key is sk-bf-a-0123456789', 'x-bf-lh-key': 'sk-bf-a-0123456789' }
    await rig.post(CHAT, chat({ user: 'sk-bf-a-0123456789' }), { ...vk('a'), ...note })
    await rig.post(CHAT, chat({ model: 'g' }), vk('b'))
    await rig.post(CHAT, chat({ model: 'g' }))
    await rig.post(CHAT, chat(), { 'x-bf-vk': 'sk-bf-nobody-0123456789', ...note })
    await rig.post(
      CHAT,
      chat({ messages: [{ role: 'user', content: 'is sk-bf-c-0123456789 mine?' }] }),
    )
    const { body } = await rig.get('/api/logs?limit=10')
    const rows = body.logs.toReversed()
    expect(rows.map((row: any) => row.virtual_key_id ?? null)).toEqual([
      'vk-a',
      'vk-b',
      null,
      null,
      null,
    ])
    expect(rows.map((row: any) => row.virtual_key_name ?? null)).toEqual([
      'a',
      'b',
      null,
      null,
      null,
    ])
    expect(rows.map((row: any) => row.routing_rule_id ?? null)).toEqual([
      null,
      'rule-1',
      'rule-1',
      null,
      null,
    ])
    expect(rows[0]).toMatchObject({ team_name: 'Search', customer_id: 'cust-acme' })
    const details = await Promise.all(
      rows.map(async ({ id }: { id: string }) => (await rig.get(`/api/logs/${id}`)).body),
    )
    const all = [
      JSON.stringify(body),
      JSON.stringify(details),
      JSON.stringify(rig.gateway.logs),
      (await rig.get('/api/logs/export?format=ndjson')).body,
      (await rig.get('/metrics')).body,
      JSON.stringify(await rig.explain({ user: 'sk-bf-a-0123456789' }, vk('a'))),
    ]
    for (const text of all) expect(String(text)).not.toContain('0123456789')
    const mine = await rig.get('/api/logs?virtual_key_ids=vk-b')
    expect(mine.body.logs).toHaveLength(1)
  })

  test('has whose a request was that became no call', async () => {
    const old = {
      name: 'old',
      id: 'vk-old',
      value: 'sk-bf-old',
      expires_at: '2020-01-01T00:00:00Z',
    }
    const virtual_keys = [...owners.virtual_keys, { ...old, ...everything }]
    await using rig = await governanceRig({ ...owners, virtual_keys }, { logs: true })
    await rig.post(CHAT, chat(), { 'x-bf-vk': 'sk-bf-old' })
    await rig.post(CHAT, { messages: 'none' }, { authorization: `Bearer ${vk('a')['x-bf-vk']}` })
    await rig.post(CHAT, { messages: 'none' })
    const { body } = await rig.get('/api/logs')
    const whose = body.logs.map((row: any) => [row.status_code, row.virtual_key_id, row.team_name])
    expect(whose.toReversed()).toEqual([
      [403, 'vk-old', null],
      [400, 'vk-a', 'Search'],
      [400, null, null],
    ])
  })

  test('keeps what was said as the virtual key has it', async () => {
    const key = (name: string, disable_content_logging: boolean | null) => ({
      ...{ id: name, name, value: `sk-bf-${name}`, disable_content_logging },
      ...everything,
    })
    const virtual_keys = [key('off', true), key('on', false), key('as-is', null)]
    for (const disable_content_logging of [true, false]) {
      await using rig = await governanceRig(
        { virtual_keys },
        { logs: true, client: { disable_content_logging } },
      )
      const kept: boolean[] = []
      for (const name of ['off', 'on', 'as-is']) {
        const id = `${name}-call`
        await rig.post(CHAT, chat(), { 'x-bf-vk': `sk-bf-${name}`, 'x-request-id': id })
        const { body } = await rig.get(`/api/logs/${id}`)
        kept.push(JSON.stringify(body).includes('Hello'))
      }
      expect(kept).toEqual([false, true, !disable_content_logging])
    }
  })
})

describe('jobs', () => {
  const submit = (rig: GovernanceRig, headers: Record<string, string>) =>
    rig.post('/v1/async/chat/completions', chat(), headers)
  const ended = async (rig: GovernanceRig, id: string, headers: Record<string, string>) => {
    for (;;) {
      const answer = await rig.get(`/v1/async/jobs/${id}`, headers)
      if (answer.status !== 200 && answer.status !== 202) return answer
      if (answer.body.status === 'completed' || answer.body.status === 'failed') return answer
      await Bun.sleep(5)
    }
  }

  test('belong to the virtual key that made them, however it is carried', async () => {
    await using rig = await governanceRig(owners)
    const { body: job } = await submit(rig, vk('a'))
    const path = `/v1/async/jobs/${job.id}`
    const done = await ended(rig, job.id, vk('a'))
    expect(done.body).toMatchObject({ status: 'completed' })
    const value = vk('a')['x-bf-vk']
    const carriers: Record<string, string>[] = [
      { authorization: `Bearer ${value}` },
      { 'x-api-key': value },
    ]
    for (const headers of carriers) {
      expect(await rig.get(path, headers)).toMatchObject({ status: 200 })
    }
    const strip = ({ status, body }: Answer) => ({ status, ...body, event_id: undefined })
    const unknown = strip(await rig.get(`/v1/async/jobs/${crypto.randomUUID()}`, vk('a')))
    expect(unknown.status).toBe(404)
    const others: Record<string, string>[] = [vk('b'), {}, { authorization: 'Bearer dummy' }]
    for (const headers of others) {
      expect(strip(await rig.get(path, headers))).toEqual(unknown)
      expect(strip(await rig.post(`${path}/cancel`, {}, headers))).toEqual(unknown)
    }
    const { body: mine } = await rig.get('/v1/async/jobs', vk('a'))
    expect(mine.data.map(({ id }: { id: string }) => id)).toEqual([job.id])
    expect((await rig.get('/v1/async/jobs', vk('b'))).body.data).toEqual([])
  })

  test('that nobody owns are seen by whoever knows the id', async () => {
    await using rig = await governanceRig(owners)
    const { body: job } = await submit(rig, {})
    expect((await ended(rig, job.id, vk('a'))).body).toMatchObject({ status: 'completed' })
    expect((await rig.get('/v1/async/jobs', vk('a'))).body.data).toEqual([])
  })

  test('outlive the value of their key, and the key itself is asked for again when they run', async () => {
    const gate = Promise.withResolvers<void>()
    await using rig = await governanceRig(owners, { sections: { async: { concurrency: 1 } } })
    rig.openai.reply([
      { gate: gate.promise, json: { id: 'c', object: 'chat.completion', choices: [] } },
    ])
    const { body: first } = await submit(rig, vk('a'))
    const { body: second } = await submit(rig, vk('b'))
    await rig.openai.waitFor(1)
    const config = JSON.parse(readFileSync(rig.gateway.configPath, 'utf8'))
    config.governance.virtual_keys = config.governance.virtual_keys.flatMap((key: any) =>
      key.name === 'b' ? [] : [{ ...key, value: `${key.value}-new` }],
    )
    writeFileSync(rig.gateway.configPath, JSON.stringify(config))
    const rotated = { 'x-bf-vk': `${vk('a')['x-bf-vk']}-new` }
    while ((await rig.post(CHAT, {}, rotated)).status === 401) await Bun.sleep(10)
    expect((await rig.get(`/v1/async/jobs/${first.id}`, vk('a'))).status).toBe(401)
    gate.resolve()
    expect((await ended(rig, first.id, rotated)).body).toMatchObject({ status: 'completed' })
    // The owner of the second is gone: nobody can ask for it, and it was not run for nobody.
    expect((await rig.get(`/v1/async/jobs/${second.id}`, rotated)).status).toBe(404)
    expect((await submit(rig, rotated)).status).toBe(202)
    await rig.openai.waitFor(2)
    expect(rig.openai.requests.length).toBeLessThanOrEqual(2)
  })
})

test('stored responses are continued and read by the virtual key that they were made with', async () => {
  await using rig = await governanceRig(owners, { providers: { mock: {} } })
  const { body } = await rig.post(
    '/openai/v1/responses',
    { model: 'groq/m', input: 'one' },
    vk('a'),
  )
  const path = `/openai/v1/responses/${body.id}`
  const query = '?provider=groq'
  expect((await rig.get(path + query, vk('a'))).status).toBe(200)
  for (const headers of [vk('b'), {}]) {
    expect((await rig.get(path + query, headers)).status).toBe(404)
    const next = { model: 'groq/m', input: 'two', previous_response_id: body.id }
    expect((await rig.post('/openai/v1/responses', next, headers)).status).toBe(400)
  }
  const next = { model: 'groq/m', input: 'two', previous_response_id: body.id }
  expect((await rig.post('/openai/v1/responses', next, vk('a'))).status).toBe(200)
})

test('in a queue and in sessions, a virtual key is somebody of its own', () => {
  const owner = { virtualKeyId: 'vk-a' } as Owner
  const of = (caller: object, headers: Record<string, string> = {}): Call =>
    ({ caller: { directKey: undefined, azureEndpoint: undefined, ...caller }, headers }) as Call
  const session = { 'x-bf-session-id': 's' }
  const services = {} as Services
  const names = [
    of({ owner }),
    of({ owner }, session),
    of({ owner, directKey: new Secret('sk-own') }),
    of({ owner: { ...owner, virtualKeyId: 'vk-b' } }),
    of({}, session),
  ].map((call) => callerOf(call, services))
  expect(names.slice(0, 3)).toEqual(Array(3).fill(names[0]))
  expect(new Set(names).size).toBe(3)
  const ids = [of({ owner }, session), of({}, session)].map((call) => readSession(call)?.id)
  expect(ids[0]).not.toBe(ids[1]!)
})

test('virtual keys are taken from the file while the gateway runs', async () => {
  await using rig = await governanceRig(owners)
  const fresh = { 'x-bf-vk': 'sk-bf-fresh-0123456789' }
  expect((await rig.post(CHAT, chat(), fresh)).status).toBe(401)
  const config = JSON.parse(readFileSync(rig.gateway.configPath, 'utf8'))
  config.governance.virtual_keys[0].is_active = false
  config.governance.virtual_keys.push({
    ...{ name: 'fresh', value: fresh['x-bf-vk'] },
    provider_configs: [{ provider: 'openai', key_ids: ['dear'] }],
  })
  writeFileSync(rig.gateway.configPath, JSON.stringify(config))
  while ((await rig.post(CHAT, chat(), fresh)).status === 401) await Bun.sleep(10)
  expect((await rig.post(CHAT, chat(), vk('a'))).body.type).toBe('virtual_key_blocked')
  rig.openai.clear()
  expect((await rig.post(CHAT, chat(), fresh)).status).toBe(200)
  expect(keyOf(rig.openai.requests[0]!)).toBe('sk-dear-0123456789')
  // A broken file changes nothing.
  config.governance.virtual_keys[1].team_id = 'gone'
  writeFileSync(rig.gateway.configPath, JSON.stringify(config))
  await rig.gateway.logged((line) => JSON.stringify(line).includes('there is no team with this id'))
  expect((await rig.post(CHAT, chat(), fresh)).status).toBe(200)
})
