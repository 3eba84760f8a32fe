import { afterAll, beforeAll, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { createMock } from '#providers/mock/handler.ts'

import { startGateway } from '../helpers/gateway.ts'
import { chat } from './rig.ts'

// Over random virtual keys: nothing is ever sent that they may not have, and an explanation says before what a call
// does after it.

const PROVIDERS = ['openai', 'groq', 'mistral'] as const
const MODELS = ['m1', 'm2', 'm3'] as const
const KEYS = ['a', 'b'] as const

const list = fc.oneof(fc.constant(undefined), fc.constant(['*']), fc.subarray([...MODELS]))
const grant = fc.record({
  weight: fc.constantFrom<(number | null)[]>(null, 0, 1, 3),
  allowed_models: list,
  blacklisted_models: fc.oneof(fc.constant([]), fc.subarray([...MODELS], { maxLength: 2 })),
  key_ids: fc.oneof(fc.constant(undefined), fc.subarray([...KEYS])),
})
const scenario = fc.record({
  grants: fc.record({ openai: grant, groq: grant, mistral: grant }, { requiredKeys: [] }),
  allowsAll: fc.boolean(),
  rule: fc.option(fc.constantFrom(...PROVIDERS), { nil: undefined }),
  alias: fc.constantFrom(...MODELS),
  failing: fc.subarray([...PROVIDERS]),
  request: fc.record({
    provider: fc.constantFrom<(string | undefined)[]>(undefined, undefined, ...PROVIDERS),
    model: fc.constantFrom(...MODELS, 'alias'),
    fallbacks: fc.subarray(['groq/m1', 'mistral', 'openai/alias'], { maxLength: 2 }),
    pin: fc.constantFrom<(string | undefined)[]>(undefined, undefined, 'groq-a', 'openai-b'),
  }),
})

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

interface Got {
  readonly provider: string
  readonly key: string
  readonly model: string
}

let server: Bun.Server<undefined>
let got: Got[] = []
let failing: readonly string[] = []

beforeAll(() => {
  const mock = createMock()
  server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    development: false,
    async fetch(sent) {
      const [, provider = ''] = new URL(sent.url).pathname.split('/')
      const body = (await sent.json()) as { model: string }
      const key = sent.headers.get('authorization')?.replace('Bearer sk-', '') ?? ''
      got.push({ provider, key, model: body.model })
      if (failing.includes(provider)) {
        return Response.json({ error: { message: 'busy' } }, { status: 503 })
      }
      const path = sent.url.replace(`/${provider}/`, '/')
      return mock(
        new Request(path, { method: 'POST', headers: sent.headers, body: JSON.stringify(body) }),
      )
    },
  })
})
afterAll(() => server.stop(true))

function configOf({ grants, allowsAll, rule, alias }: Scenario): object {
  const keys = (provider: string) =>
    KEYS.map((name) => {
      const value = `sk-${provider}-${name}`
      // One of the keys has the alias, so that what it means is to be had with that key alone.
      return { name: `${provider}-${name}`, value, ...(name === 'a' && { aliases: { alias } }) }
    })
  return {
    version: 2,
    client: { circuit_breaker: { enabled: false } },
    providers: Object.fromEntries(
      PROVIDERS.map((provider) => [
        provider,
        {
          keys: keys(provider),
          network_config: {
            base_url: `http://localhost:${server.port}/${provider}`,
            allow_private_network: true,
            max_retries: 0,
          },
        },
      ]),
    ),
    governance: {
      ...(rule && {
        routing_rules: [
          { name: 'r', cel_expression: 'model == "m2"', targets: [{ provider: rule }] },
        ],
      }),
      virtual_keys: [
        {
          name: 'vk',
          value: 'sk-bf-vk',
          allow_all_providers: allowsAll,
          provider_configs: Object.entries(grants).map(([provider, { key_ids, ...own }]) => ({
            provider,
            ...own,
            ...(key_ids && { key_ids: key_ids.map((name) => `${provider}-${name}`) }),
          })),
        },
      ],
    },
  }
}

/** Whether the virtual key may have this, told without the code that decides it. */
function isGranted({ grants, allowsAll, alias }: Scenario, asked: string, sent: Got): boolean {
  const given = (grants as Record<string, Scenario['grants']['openai']>)[sent.provider]
  if (!given) return allowsAll
  const { allowed_models: allowed = ['*'], blacklisted_models: blacklisted, key_ids: keys } = given
  if (keys && !keys.some((name) => sent.key === `${sent.provider}-${name}`)) return false
  const names = asked === 'alias' && sent.model === alias ? ['alias', alias] : [sent.model]
  if (names.some((name) => (blacklisted as string[]).includes(name))) return false
  return (
    (allowed as string[]).includes('*') ||
    names.some((name) => (allowed as string[]).includes(name))
  )
}

test('property: a virtual key has what it was given and no more, and explanations agree', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      got = []
      failing = given.failing
      const gateway = await startGateway({ config: configOf(given) })
      try {
        const { provider, model, fallbacks, pin } = given.request
        const body = chat({
          model: provider === undefined ? model : `${provider}/${model}`,
          ...(fallbacks.length > 0 && { fallbacks }),
        })
        // The same session, so that the same provider and the same key are drawn again.
        const headers = {
          'x-bf-vk': 'sk-bf-vk',
          'x-bf-session-id': 'session',
          ...(pin !== undefined && { 'x-bf-api-key': pin }),
        }
        const post = (path: string, sent: object, more = {}) =>
          fetch(gateway.url + path, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...more },
            body: JSON.stringify(sent),
          })
        const described = { path: '/v1/chat/completions', headers, body }
        const explained: any = await (await post('/api/explain', described)).json()
        expect(got).toEqual([])
        const answer = await post('/openai/v1/chat/completions', body, headers)
        const said: any = await answer.json()
        for (const sent of got) {
          const asked = sent.model === given.alias && model !== sent.model ? 'alias' : sent.model
          expect([sent, isGranted(given, asked, sent)]).toEqual([sent, true])
        }
        if (explained.refused) {
          expect(got).toEqual([])
          expect([answer.status, said.error.code]).toEqual([
            explained.status,
            explained.error.error.code,
          ])
          return
        }
        const [first] = explained.candidates
        expect(got[0]!.provider).toBe(first.provider)
        const mayServe = explained.candidates.flatMap((candidate: any) =>
          candidate.keys
            .filter(({ share }: { share?: number }) => share !== undefined)
            .map(({ name }: { name: string }) => name),
        )
        for (const { key } of got) expect(mayServe).toContain(key)
      } finally {
        await gateway.stop()
      }
    }),
    { numRuns: 150 },
  )
}, 60_000)
