import { afterAll, beforeAll, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { createMock } from '#providers/mock/handler.ts'

import { startGateway } from '../helpers/gateway.ts'

// What an explanation says before, and what a call does after it: over random configurations, with keys that fail.

const PROVIDERS = ['openai', 'groq', 'anthropic'] as const
const MODELS = ['m1', 'm2'] as const
type ProviderName = (typeof PROVIDERS)[number]
const OUTCOMES = [
  ...(['ok', 'ok', 'ok', 'mistake', 'mistake'] as const),
  ...(['server', 'auth', 'rate_limit', 'quota'] as const),
] as const

const models = fc.subarray([...MODELS])
const key = fc.record({
  weight: fc.nat({ max: 3 }),
  enabled: fc.boolean().map((value) => value || undefined),
  models: fc.oneof({ weight: 3, arbitrary: fc.constant(['*']) }, { weight: 1, arbitrary: models }),
  blacklisted: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: models },
  ),
  alias: fc.constantFrom<object>(
    {},
    {},
    { m1: 'real' },
    { M1: { model_id: 'other' } },
    { m1: 'gpt-4o' },
    { m1: 'gpt-4o-mini', m2: 'gpt-4o' },
  ),
  does: fc.constantFrom(...OUTCOMES),
})
const provider = fc.record({
  keys: fc.array(key, { minLength: 1, maxLength: 4 }),
  fallbacks: fc.constantFrom<string[]>([], ['groq'], ['anthropic/m2', 'openai/m1']),
  maxRetries: fc.nat({ max: 1 }),
  hedging: fc.constantFrom(undefined, undefined, true, false),
})
/** A virtual key that may use some keys of one provider for some models, and all of the others. */
const virtualKey = 'sk-bf-some'
const request = fc.record({
  provider: fc.constantFrom(...PROVIDERS),
  model: fc.constantFrom(...MODELS),
  fallbacks: fc.uniqueArray(
    fc.constantFrom(
      'openai/m1',
      'openai/m2',
      'groq/m1',
      'groq/m2',
      'anthropic',
      'anthropic/m2',
      'cohere/x',
    ),
    { maxLength: 3 },
  ),
  /** Otherwise the model is named alone, and a session may stay where it was served. */
  isPrefixed: fc.boolean(),
  session: fc.constantFrom<Record<string, string>>(
    {},
    { 'x-bf-session-id': 's1' },
    { 'x-claude-code-session-id': 's1' },
    { 'x-session-affinity': 's1' },
    { 'session-id': 's2', 'x-bf-session-affinity': 'off' },
  ),
  pin: fc.constantFrom(undefined, undefined, undefined, 0, 1),
  pinsById: fc.boolean(),
  hedge: fc.constantFrom(undefined, undefined, 'true', 'false'),
  caller: fc.constantFrom(undefined, undefined, undefined, virtualKey),
  stream: fc.boolean(),
})
// Only one of them can be drawn: between the explanation and the call the die would be cast again.
const oneTarget: fc.Arbitrary<number[]> = fc.constantFrom([1], [0, 3], [2, 0])
const rule = fc.record({
  model: fc.constantFrom('m1', 'm2', 'm3'),
  provider: fc.constantFrom<ProviderName | undefined>(...PROVIDERS, undefined),
  to: fc.constantFrom<string | undefined>(...MODELS, undefined),
  weights: oneTarget,
  fallbacks: fc.constantFrom<string[]>([], ['openai/m2', 'groq/']),
  chain: fc.boolean(),
  key: fc.constantFrom(undefined, undefined, 0),
})
const scenario = fc.record({
  rules: fc.oneof(
    { weight: 2, arbitrary: fc.array(rule, { maxLength: 0 }) },
    { weight: 1, arbitrary: fc.array(rule, { maxLength: 3 }) },
  ),
  providers: fc.record({ openai: provider, groq: provider, anthropic: provider }),
  version: fc.constantFrom(1, 2),
  hedgesAll: fc.boolean(),
  strategy: fc.constantFrom('weighted', 'least_loaded', 'cost'),
  before: fc.array(request, { maxLength: 4 }),
  /** The same was asked this often before. */
  again: fc.constantFrom(0, 1, 2, 2),
  request,
})

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never
type Wanted = Scenario['request']

/** One request as a provider got it. */
interface Got {
  readonly provider: string
  readonly key: string
  readonly url: string
  readonly body: string
}

const statuses = { server: 500, auth: 401, rate_limit: 429, quota: 402, mistake: 400 }

let server: Bun.Server<undefined>
let got: Got[] = []
let does: ReadonlyMap<string, (typeof OUTCOMES)[number]> = new Map()

beforeAll(() => {
  const mock = createMock()
  server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    development: false,
    async fetch(sent) {
      const [, name = ''] = new URL(sent.url).pathname.split('/')
      const body = await sent.text()
      const credential =
        sent.headers.get('x-api-key') ?? sent.headers.get('authorization')?.replace('Bearer ', '')
      const used = credential?.replace('sk-secret-', '') ?? ''
      got.push({ provider: name, key: used, url: sent.url, body })
      const outcome = does.get(used) ?? 'ok'
      if (outcome !== 'ok') {
        // Nobody waits that long: the key rests until the test is over.
        return Response.json(
          { type: 'error', error: { type: 'failed', message: 'as it should' } },
          { status: statuses[outcome], headers: { 'retry-after': '60' } },
        )
      }
      const path = sent.url.replace(`/${name}/`, '/').replaceAll(/"m[12]"/g, '"echo"')
      const asked = body.replace(/"model":"[^"]*"/, '"model":"echo"')
      return mock(new Request(path, { method: sent.method, headers: sent.headers, body: asked }))
    },
  })
})

afterAll(() => server.stop(true))

function ruleOf(given: Scenario['rules'][number], n: number): object {
  const { provider: name, to, key: pinned } = given
  const target = {
    ...(name !== undefined && { provider: name }),
    ...((to !== undefined || name === undefined) && { model: to ?? 'm1' }),
    ...(name !== undefined && pinned !== undefined && { provider_key_name: `${name}-${pinned}` }),
  }
  return {
    name: `rule ${n}`,
    cel_expression: `model == "${given.model}"`,
    priority: n,
    chain_rule: given.chain,
    fallbacks: given.fallbacks,
    targets: given.weights.map((weight, at) => {
      return at === 0 ? { ...target, weight } : { ...target, model: 'm2', weight }
    }),
  }
}

function configOf(given: Scenario): object {
  const { providers, strategy, rules, version, hedgesAll } = given
  return {
    version,
    client: {
      load_balancing: strategy,
      circuit_breaker: { min_failures: 1, open_in_seconds: 60 },
      // Nobody waits that long: a second candidate is announced, and never asked.
      hedging: { enabled: hedgesAll, min_samples: 1, max_share: 1, ...anHour },
    },
    governance: {
      routing_rules: rules.map(ruleOf),
      virtual_keys: [
        {
          name: 'some',
          value: virtualKey,
          allow_all_providers: true,
          provider_configs: [
            {
              provider: 'openai',
              key_ids: ['openai-0-id', 'openai-2-id'].slice(
                0,
                providers.openai.keys.length > 2 ? 2 : 1,
              ),
              allowed_models: ['m1'],
            },
          ],
        },
      ],
    },
    providers: Object.fromEntries(
      Object.entries(providers).map(([name, { keys, fallbacks, maxRetries, hedging }]) => [
        name,
        {
          keys: keys.map((each, n) => ({
            name: `${name}-${n}`,
            id: `${name}-${n}-id`,
            value: `sk-secret-${name}-${n}`,
            weight: each.weight,
            enabled: each.enabled ?? false,
            models: each.models,
            blacklisted_models: each.blacklisted,
            aliases: each.alias,
          })),
          fallbacks,
          hedging,
          network_config: {
            base_url: `http://localhost:${server.port}/${name}`,
            max_retries: maxRetries,
            retry_backoff_initial: 1,
            retry_backoff_max: 1,
          },
        },
      ]),
    ),
  }
}

const anHour = { min_delay_in_seconds: 3600, max_delay_in_seconds: 3600 }

function described(wanted: Wanted) {
  const { provider: named, model, fallbacks, session, pin, stream, isPrefixed } = wanted
  const name = isPrefixed ? named : 'openai'
  return {
    headers: {
      'content-type': 'application/json',
      ...session,
      ...(pin !== undefined &&
        (wanted.pinsById
          ? { 'x-bf-api-key-id': `${name}-${pin}-id` }
          : { 'x-bf-api-key': `${name}-${pin}` })),
      ...(wanted.hedge !== undefined && { 'x-bf-hedge': wanted.hedge }),
      ...(wanted.caller !== undefined && { 'x-bf-vk': wanted.caller }),
    },
    body: {
      model: isPrefixed ? `${name}/${model}` : model,
      messages: [{ role: 'user', content: 'hi' }],
      stream,
      ...(fallbacks.length > 0 && { fallbacks }),
    },
  }
}

async function call(
  url: string,
  wanted: Wanted,
  more: object = {},
): Promise<{ response: Response; text: string }> {
  const { headers, body } = described(wanted)
  const response = await fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, ...more },
    body: JSON.stringify(body),
  })
  return { response, text: await response.text() }
}

/**
 * Which candidates the last request of the real call may have been for, when each request was for the same candidate as
 * the one before it or for the next. More than one where candidates are alike; throws when there is none.
 */
function walk(candidates: any[], sent: readonly Got[]): readonly number[] {
  let places: readonly number[] = [-1]
  for (const each of sent) {
    const fits = (at: number): boolean =>
      candidates[at]?.provider === each.provider &&
      candidates[at].prospects.some(
        ({ keys, request: explained }: any) =>
          keys.includes(each.key) && explained.url === each.url && explained.body === each.body,
      )
    places = [...new Set(places.flatMap((at) => [at, at + 1]))].filter(fits)
    if (places.length === 0) {
      throw new Error(`sent, but not explained: ${JSON.stringify({ each, candidates, sent })}`)
    }
  }
  return places
}

const runs = process.env['ASBRU_BINARY'] === undefined ? 150 : 15

/** What the scenarios have to hold, some of each. */
const kinds = [
  'refused',
  'served',
  'fellBack',
  'failed',
  'outOfOrder',
  'routed',
  'hedged',
  'unknown',
  'stayed',
  'moved',
  'cheapest',
  'owned',
] as const
type Seen = Record<(typeof kinds)[number], number>

test('a call does what its explanation says', async () => {
  const seen = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Seen
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const behaviour = new Map<string, (typeof OUTCOMES)[number]>()
      for (const name of PROVIDERS) {
        for (const [n, each] of given.providers[name].keys.entries()) {
          behaviour.set(`${name}-${n}`, each.does)
        }
      }
      does = behaviour
      const gateway = await startGateway({ config: configOf(given) })
      try {
        for (const wanted of given.before) await call(gateway.url, wanted)
        for (let n = 0; n < given.again; n++) await call(gateway.url, given.request)
        got = []
        const answer = await fetch(`${gateway.url}/api/explain`, {
          method: 'POST',
          body: JSON.stringify({ path: '/v1/chat/completions', ...described(given.request) }),
        })
        const explanation: any = await answer.json()
        expect(got).toEqual([])
        const { response, text } = await call(gateway.url, given.request, {
          'x-bf-explain': 'true',
        })
        if (given.request.caller !== undefined && !explanation.refused) seen.owned++
        check(explanation, response, text, seen)
      } finally {
        await gateway.stop()
      }
    }),
    { numRuns: runs, seed: 20_261_121 },
  )
  // Otherwise the scenarios have become dull, and the property holds of nothing.
  if (runs > 100) {
    for (const [what, count] of Object.entries(seen)) console.log(what, count)
  }
}, 120_000)

function check(explanation: any, response: Response, text: string, seen: Seen): void {
  if (explanation.refused) {
    seen.refused++
    const { event_id: _, extra_fields: __, ...envelope } = JSON.parse(text)
    const { event_id: ___, ...said } = explanation.error
    expect([response.status, envelope]).toEqual([explanation.status, said])
    expect(got).toEqual([])
    return
  }
  const { candidates, trace } = explanation
  const told = JSON.stringify(trace)
  if (told.includes('leads to')) seen.routed++
  if (told.includes('took the session over')) seen.moved++
  const happened = text + (response.headers.get('x-bf-trace') ?? '')
  if (happened.includes("the session's own")) seen.stayed++
  if (happened.includes('among the cheapest')) seen.cheapest++
  for (const { keys } of candidates) {
    const shares = keys.map(({ share = 0 }: { share?: number }) => share)
    expect(shares.reduce((sum: number, share: number) => sum + share, 0)).toBeCloseTo(1, 4)
  }
  if (
    candidates.some(
      ({ fallback_index: index }: any, at: number) =>
        at > 0 && index < candidates[at - 1].fallback_index,
    )
  ) {
    seen.outOfOrder++
  }
  const places = walk(candidates, got)
  expect(got.length).toBeGreaterThan(0)
  const [first] = got
  const share = candidates[0].keys.find(({ name }: any) => name === first!.key)?.share
  expect(share).toBeGreaterThan(0)
  // Whether a second candidate would be asked, and when, is said of each key that may be the first.
  const hedge = candidates[0].hedging.find(({ key: name }: any) => name === first!.key)
  const [, afterMs] = /hedged after (\d+) ms/.exec(happened) ?? []
  expect(afterMs).toBe(hedge.after_ms === undefined ? undefined : String(hedge.after_ms))
  if (afterMs !== undefined) seen.hedged++
  const isUnknown = /not hedged: too little/.test(happened)
  expect(isUnknown).toBe(hedge.why.startsWith('too little'))
  if (isUnknown) seen.unknown++
  if (response.status !== 200) {
    seen.failed++
    // Nobody who could have helped was left out.
    expect(places).toContain(candidates.length - 1)
    expect(got.every((each) => does.get(each.key) !== 'ok')).toBe(true)
    return
  }
  seen.served++
  const index = Number(response.headers.get('x-bifrost-fallback-index') ?? 0)
  if (index > 0) seen.fellBack++
  const served = places.map((at) => candidates[at])
  expect(served.map(({ fallback_index: own }) => own)).toContain(index)
  expect(served.map(({ provider: name }) => name)).toContain(
    response.headers.get('x-bifrost-provider'),
  )
  // Everybody who was asked before had failed, and whoever could serve did.
  expect(does.get(got.at(-1)!.key)).toBe('ok')
  const used = got.slice(0, -1)
  expect(used.every((each) => does.get(each.key) !== 'ok')).toBe(true)
}
