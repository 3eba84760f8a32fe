import { afterAll, beforeAll, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

// Whose calls they were, as `/metrics` tells it, and what they cost those.

const upstream = await startUpstream()
let gateway: TestGateway
beforeAll(async () => {
  gateway = await startGateway({
    config: {
      providers: {
        openai: { keys: [{ value: 'k' }], network_config: { base_url: `${upstream.url}/v1` } },
      },
      governance: {
        customers: [{ id: 'cust-acme', name: 'Acme' }],
        teams: [{ id: 'team-search', name: 'Search', customer_id: 'cust-acme' }],
        virtual_keys: [
          {
            ...{ id: 'vk-a', name: 'a', value: 'sk-bf-a-0123456789', team_id: 'team-search' },
            allow_all_providers: true,
          },
          {
            ...{ id: 'vk-b', name: 'b', value: 'sk-bf-b-0123456789', is_active: false },
            allow_all_providers: true,
          },
        ],
        routing_rules: [
          {
            id: 'r1',
            name: 'minis',
            cel_expression: 'model == "x"',
            targets: [{ model: 'gpt-4o' }],
          },
        ],
        pricing_overrides: [
          {
            ...{ scope: 'virtual_key', virtual_key_id: 'vk-a', match_type: 'wildcard' },
            ...{ pattern: '*', patch: { input_cost_per_token: 0.001, output_cost_per_token: 0 } },
          },
        ],
      },
    },
  })
})
afterAll(() => Promise.all([gateway.stop(), upstream.stop()]))

async function ask(model: string, key?: string): Promise<number> {
  upstream.reply({
    json: {
      ...{ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o' },
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
    },
  })
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key !== undefined && { 'x-bf-vk': key }) },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi' }] }),
  })
  await response.text()
  return response.status
}

test('calls, tokens and cost by virtual key, team, customer and rule', async () => {
  expect(await ask('openai/gpt-4o', 'sk-bf-a-0123456789')).toBe(200)
  expect(await ask('openai/x', 'sk-bf-a-0123456789')).toBe(200)
  expect(await ask('openai/gpt-4o')).toBe(200)
  expect(await ask('openai/gpt-4o', 'sk-bf-b-0123456789')).toBe(403)
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  const [owned, ruled, plain, ...more] = text
    .split('\n')
    .filter((line) => line.startsWith('bifrost_cost_total{'))
  expect(more).toEqual([])
  const labels = 'virtual_key_id="vk-a",virtual_key_name="a",routing_engine_used="governance'
  const owners =
    'team_id="team-search",team_name="Search",customer_id="cust-acme",customer_name="Acme"} 0.01'
  expect(owned).toContain(`${labels}",selected_key_id=`)
  expect(owned).toEndWith(owners)
  expect(ruled).toContain(
    `${labels},routing-rule",routing_rule_id="r1",routing_rule_name="minis",selected_key_id=`,
  )
  expect(ruled).toEndWith(owners)
  expect(plain).not.toContain('virtual_key')
  expect(plain).not.toContain('team')
  // Whom the gateway itself refused is a request, and no call.
  expect(text).toContain(
    'http_requests_total{path="/openai/v1/chat/completions",method="POST",status="403"} 1',
  )
  expect(text).not.toContain('sk-bf-a')
})
