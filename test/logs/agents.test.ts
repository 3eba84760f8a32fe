import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { linearPattern } from '#lib/linear.ts'
import { createDb } from '#store/db.ts'
import { BUILT_IN_APPS, createApps } from '#store/logs-apps.ts'
import { createMappingStore } from '#store/user-agents.ts'

import { accepted, load } from '../config/rig.ts'
import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// Which programs callers are, as their user agents say: known by itself, by the configuration, or told at run time.

const path = '/api/logs/user-agent-mappings'

const send = async (
  rig: LogRig,
  method: string,
  below: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: any }> => {
  const answer = await fetch(`${rig.gateway.url}${path}${below}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: await answer.json() }
}

/** The app of the row of a call with this user agent. */
const appOf = async (rig: LogRig, userAgent: string): Promise<unknown> => {
  const id = crypto.randomUUID()
  await rig.chat({}, { 'user-agent': userAgent, 'x-request-id': id })
  const { logs } = await rig.get(`/api/logs?request_id=${id}`)
  expect(logs).toHaveLength(1)
  expect(logs[0].user_agent).toBe(userAgent)
  return logs[0].app
}

describe('over a socket', () => {
  let rig: LogRig
  beforeAll(async () => {
    rig = await logRig({
      client: {
        user_agent_mappings: [
          { pattern: 'billing-', match_type: 'starts_with', app: 'Billing' },
          { pattern: '^curl/[0-9]+ internal$', match_type: 'regex', app: 'Probe' },
          { pattern: 'nobody', app: 'Nobody', is_active: false },
        ],
      },
    })
  })
  afterAll(async () => {
    await rig[Symbol.asyncDispose]()
  })

  test.each([
    ['OpenAI/Python 2.8.0', 'OpenAI Python SDK'],
    ['AsyncOpenAI/Python 2.8.0', 'OpenAI Python SDK'],
    ['OpenAI/JS 7.55.0', 'OpenAI Node SDK'],
    ['claude-cli/2.0.1 (external, cli)', 'Claude Code'],
    ['curl/8.5.0', 'curl'],
    ['billing-worker/7', 'Billing'],
    ['BILLING-worker/8', 'Billing'],
    ['curl/8 internal', 'Probe'],
    ['nobody/1', 'nobody'],
    ['own-service/1.0 (linux)', 'own-service'],
  ])('a call of %s is one of %s', async (userAgent, app) => {
    expect(await appOf(rig, userAgent)).toBe(app)
  })

  test('calls are found, listed and ranked by app and user agent', async () => {
    const { logs } = await rig.get(`/api/logs?apps=${encodeURIComponent('OpenAI Python SDK')}`)
    expect(logs.map((log: any) => log.user_agent).toSorted()).toEqual([
      'AsyncOpenAI/Python 2.8.0',
      'OpenAI/Python 2.8.0',
    ])
    const one = await rig.get('/api/logs?user_agents=billing-worker/7,curl/8.5.0&apps=Billing')
    expect(one.logs).toMatchObject([{ user_agent: 'billing-worker/7', app: 'Billing' }])
    // What is listed can be asked for, commas and all, and with others.
    for (const [agents, count] of [
      ['claude-cli/2.0.1 (external, cli)', 1],
      ['curl/8.5.0,claude-cli/2.0.1 (external, cli),billing-worker/7', 3],
      ['claude-cli/2.0.1 (external', 0],
    ] as const) {
      const query = `user_agents=${encodeURIComponent(agents)}`
      expect((await rig.get(`/api/logs?${query}`)).logs).toHaveLength(count)
      expect((await rig.get(`/api/logs/stats?${query}`)).total_requests).toBe(count)
      const exported = await fetch(`${rig.gateway.url}/api/logs/export?${query}`)
      expect((await exported.text()).split('\n').length - 1).toBe(count)
    }
    const data = await rig.get('/api/logs/filterdata?dimensions=apps,user_agents')
    expect(data.apps).toContain('Claude Code')
    expect(data.user_agents).toContain('claude-cli/2.0.1 (external, cli)')
    const { rankings } = await rig.get('/api/logs/rankings/by-dimension?dimension=app')
    expect(rankings).toContainEqual(expect.objectContaining({ id: 'Billing', total_requests: 2 }))
  })

  test('mappings come and go at run time, before all others', async () => {
    const userAgent = 'billing-night/1'
    expect(await appOf(rig, userAgent)).toBe('Billing')
    const added = await send(rig, 'POST', '', { pattern: 'Night', app: 'Night shift' })
    expect(added.status).toBe(201)
    expect(added.body).toMatchObject({
      pattern: 'Night',
      match_type: 'contains',
      app: 'Night shift',
      is_active: true,
    })
    const { id } = added.body
    expect(await appOf(rig, userAgent)).toBe('Night shift')
    const { mappings, configured, built_in: builtIn } = await rig.get(path)
    expect(mappings).toEqual([added.body])
    expect(configured.map(({ app }: any) => app)).toEqual(['Billing', 'Probe'])
    expect(builtIn).toHaveLength(BUILT_IN_APPS.length)

    const put = await send(rig, 'PUT', `/${id}`, { app: 'Nights', is_active: true })
    expect(put).toMatchObject({ status: 200, body: { id, pattern: 'Night', app: 'Nights' } })
    expect(await appOf(rig, userAgent)).toBe('Nights')
    expect((await send(rig, 'PUT', `/${id}`, { is_active: false })).status).toBe(200)
    expect(await appOf(rig, userAgent)).toBe('Billing')
    expect((await send(rig, 'DELETE', `/${id}`)).status).toBe(200)
    expect((await rig.get(path)).mappings).toEqual([])
    for (const method of ['PUT', 'DELETE']) {
      const gone = await send(rig, method, `/${id}`, { pattern: 'x', app: 'y' })
      expect(gone).toMatchObject({ status: 404, body: { error: { code: 'mapping_not_found' } } })
    }
    expect((await send(rig, 'DELETE', '/%zz')).status).toBe(404)
  })

  test.each([
    [{}, 'pattern'],
    [{ pattern: '', app: 'x' }, 'pattern'],
    [{ pattern: 7, app: 'x' }, 'pattern'],
    [{ pattern: 'x'.repeat(301), app: 'x' }, 'pattern'],
    [{ pattern: 'x' }, 'app'],
    [{ pattern: 'x', app: 'y'.repeat(61) }, 'app'],
    [{ pattern: 'x', app: 'y', match_type: 'glob' }, 'match_type'],
    [{ pattern: '(', app: 'y', match_type: 'regex' }, 'pattern'],
    [{ pattern: '(?=a)', app: 'y', match_type: 'regex' }, 'pattern'],
    [{ pattern: 'x', app: 'y', is_active: 'yes' }, 'is_active'],
    [{ pattern: 'x', app: 'y', logo: 'data:…' }, 'logo'],
  ])('a mapping that cannot be is a 400: %j', async (body, param) => {
    expect(await send(rig, 'POST', '', body)).toMatchObject({
      status: 400,
      body: { error: { param } },
    })
  })

  test('a pattern is there once, and only programs on this machine may ask', async () => {
    const mapping = { pattern: 'twice', app: 'x' }
    const { body } = await send(rig, 'POST', '', mapping)
    expect(await send(rig, 'POST', '', { ...mapping, app: 'y' })).toMatchObject({
      status: 409,
      body: { error: { code: 'mapping_exists' } },
    })
    // It may keep its own pattern.
    expect((await send(rig, 'PUT', `/${body.id}`, mapping)).status).toBe(200)
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const below = method === 'POST' ? '' : `/${body.id}`
      const answer = await send(rig, method, below, mapping, { 'x-forwarded-for': '1.2.3.4' })
      expect(answer.status).toBe(403)
    }
    await send(rig, 'DELETE', `/${body.id}`)
  })

  test('no text of a caller makes a pattern take long', async () => {
    const mapping = { pattern: '^(a+)+$', match_type: 'regex', app: 'many' }
    const { body } = await send(rig, 'POST', '', mapping)
    expect(await appOf(rig, `${'a'.repeat(200)}!`)).toBe('a'.repeat(60))
    expect(await appOf(rig, 'a'.repeat(200))).toBe('many')
    await send(rig, 'DELETE', `/${body.id}`)
  })

  test('a changed configuration counts for the calls that come then', async () => {
    const config = await Bun.file(rig.gateway.configPath).json()
    config.client.user_agent_mappings[0].app = 'Invoices'
    await Bun.write(rig.gateway.configPath, JSON.stringify(config))
    await rig.gateway.logged(({ message }) => message === 'configuration changed')
    expect(await appOf(rig, 'billing-worker/7')).toBe('Invoices')
  })

  test('the routes are in the API reference', async () => {
    const { paths } = await rig.get('/docs/json')
    expect(Object.keys(paths[path])).toEqual(['get', 'post'])
    expect(Object.keys(paths[`${path}/{id}`])).toEqual(['put', 'delete'])
  })
})

test('mappings outlive the process', () => {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-'))
  const log = createLogger({ level: 'error', style: 'json', write: () => undefined })
  const open = () => createDb({ path: join(dir, 'asbru.db'), log })
  const first = open()
  const facts = { pattern: 'p', match: 'exact', app: 'a', isActive: false } as const
  // Nothing is looked for in a file that is not there, and none is made.
  expect(createMappingStore(first).all()).toEqual([])
  expect(first.exists()).toBe(false)
  const added = createMappingStore(first).add(facts)
  first.close()
  const second = open()
  expect(createMappingStore(second).all()).toEqual([added])
  second.close()
  rmSync(dir, { recursive: true, force: true })
})

describe('what is known by itself', () => {
  const appFor = createApps([])

  test.each([
    ['OpenAI/Go 3.1.0', 'OpenAI Go SDK'],
    ['OpenAI/2.2.0 (.NET 9.0.0; Ubuntu 24.04)', 'OpenAI SDK'],
    ['langchainjs-openai/1.0.0 ((node/v22.1.0; linux; x64))', 'LangChain'],
    ['litellm/1.80.0', 'LiteLLM'],
    ['Cursor/2.1.0', 'Cursor'],
    ['Cline/3.35.0', 'Cline'],
    ['RooCode/3.30.0', 'Roo Code'],
    ['codex_cli_rs/0.60.0 (Mac OS 15.1; arm64)', 'Codex'],
    ['GeminiCLI/v0.16.0 (linux; x64)', 'Gemini CLI'],
    ['Continue/1.2.0', 'Continue'],
    ['ai/6.0.3 ai-sdk/openai/3.0.1 runtime/node.js/22', 'Vercel AI SDK'],
    ['ai-sdk/openai/2.0.0 ai-sdk/provider-utils/3.0.0', 'Vercel AI SDK'],
    ['n8n', 'n8n'],
    ['Python/3.13 aiohttp/3.12.0 Open WebUI', 'Open WebUI'],
    ['Python/3.13 aiohttp/3.12.0', 'aiohttp'],
    ['google-genai-sdk/1.50.0 gl-python/3.13', 'Google Gen AI SDK'],
    ['node', 'Node.js'],
    ['Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0', 'Browser'],
    ['Mozilla/5.0 (Macintosh) CherryStudio/1.6.0 Chrome/140', 'Cherry Studio'],
    ['(nothing)', undefined],
    ['', undefined],
  ])('%s is %s', (userAgent, app) => {
    expect(appFor(userAgent)).toBe(app)
  })

  test('stays bounded, whatever callers send', () => {
    for (let i = 0; i < 5000; i++) expect(appFor(`service-${i}/1`)).toBe(`service-${i}`)
    expect(appFor('curl/8')).toBe('curl')
  })

  test('rules are lists of patterns that can be used, none of them behind one that takes its place', () => {
    for (const [at, { pattern, match }] of BUILT_IN_APPS.entries()) {
      expect(match).not.toBe('regex')
      const before = BUILT_IN_APPS.slice(0, at).filter(
        (rule) => rule.match === match && rule.pattern === pattern,
      )
      expect(before).toEqual([])
    }
  })
})

describe('in the configuration', () => {
  test('the first that matches counts, however it matches', () => {
    const { apps } = accepted({
      client: {
        user_agent_mappings: [
          { pattern: 'B/1', match_type: 'exact', app: 'exact' },
          { pattern: 'b', match_type: 'starts_with', app: 'start' },
          { pattern: 'b', app: 'somewhere' },
          { pattern: '^C$', match_type: 'regex', app: 'regex' },
        ],
      },
    }).logs
    const appFor = createApps(apps)
    const all = ['b/1', 'B/12', 'a b', 'C', 'c'].map((userAgent) => appFor(userAgent))
    expect(all).toEqual(['exact', 'start', 'somewhere', 'regex', 'c'])
  })

  test.each([
    [{ pattern: '[', match_type: 'regex', app: 'x' }, 'pattern'],
    [{ pattern: '', app: 'x' }, 'pattern'],
    [{ pattern: 'x', app: 'x', match_type: 'glob' }, 'match_type'],
    [{ pattern: 'x', app: 'x', logo: 'x' }, 'logo'],
  ])('what cannot be is a problem with its place: %j', (mapping, name) => {
    const { problems } = load({ client: { user_agent_mappings: [mapping] } })
    expect(problems.map(({ pointer }) => pointer)).toEqual([
      `/client/user_agent_mappings/0/${name}`,
    ])
  })
})

test('patterns are RE2, which has a length', () => {
  expect(linearPattern('a.c')('xabcx')).toBe(true)
  expect(() => linearPattern('x'.repeat(501))).toThrow('at most 500')
  expect(() => linearPattern('\\1')).toThrow('RE2')
})
