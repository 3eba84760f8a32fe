import { expect, test } from 'bun:test'

import { describe } from '#config/describe.ts'

import { accepted, refused } from './rig.ts'

const secret = `whsec_${Buffer.from('0123456789abcdef').toString('base64')}`
const hook = { name: 'hook', url: 'https://example.com/hook', secret }

test('jobs have defaults, and a TTL of 0 is the standard one', () => {
  const standard = {
    enabled: true,
    concurrency: 32,
    maxQueued: 10_000,
    maxBytes: 1024 ** 3,
    onRestart: 'retry',
    maxStarts: 5,
    allowStream: false,
    leaseMs: 15_000,
    resultTtlMs: 3_600_000,
    deliveryHistoryMs: 30 * 86_400_000,
  }
  expect(accepted({}).async).toEqual(standard as never)
  expect(accepted({ client: { async_job_result_ttl: 0 } }).async.resultTtlMs).toBe(3_600_000)
  expect(accepted({ client: { async_job_result_ttl: 60 } }).async.resultTtlMs).toBe(60_000)
  expect(accepted({ logs_store: { enabled: false } }).async.enabled).toBe(false)
  const warnings = accepted({ client: { async_job_result_ttl: 60 } }).warnings.join(' ')
  expect(warnings).not.toContain('async_job_result_ttl')
  const kept = accepted({ client: { webhook_config: { delivery_history_retention_days: 7 } } })
  expect(kept.async.deliveryHistoryMs).toBe(7 * 86_400_000)
  expect(kept.warnings.join(' ')).not.toContain('webhook_config')
})

test('a webhook has defaults, and its secret is shown to nobody', () => {
  const snapshot = accepted({
    webhooks: [{ ...hook, headers: { 'X-Token': 'a-token-0123456789' } }],
  })
  expect(snapshot.webhooks.get('hook')).toMatchObject({
    id: 'hook',
    url: 'https://example.com/hook',
    includeResponse: false,
    everyJob: false,
    allowPrivateNetwork: false,
    maxRetries: 4,
    initialBackoffMs: 30_000,
    maxBackoffMs: 1_800_000,
    timeoutMs: 10_000,
    maxResponseBytes: 256 * 1024,
    maxConcurrent: 10,
  })
  const shown = JSON.stringify([snapshot.webhooks.get('hook'), describe(snapshot)])
  expect(shown).not.toContain(secret)
  expect(shown).not.toContain('a-token-0123456789')
})

test.each([
  [{ url: 'http://example.com/' }, '/webhooks/0/url'],
  [{ url: 'https://u:p@example.com/' }, '/webhooks/0/url'],
  [{ url: 'https://10.0.0.1/' }, '/webhooks/0/url'],
  [{ url: 'https://localhost/' }, '/webhooks/0/url'],
  [{ url: 'nothing' }, '/webhooks/0/url'],
  [{ url: 'http://169.254.169.254/', allow_private_network: true }, '/webhooks/0/url'],
  [{ secret: 'whsec_c2hvcnQ=' }, '/webhooks/0/secret'],
  [{ secret: 'plain-secret-0123456789' }, '/webhooks/0/secret'],
  [{ secret: 'env.NOT_SET' }, '/webhooks/0/secret'],
  [{ headers: { 'a b': 'x' } }, '/webhooks/0/headers/a b'],
  [{ headers: { 'Webhook-Id': 'x' } }, '/webhooks/0/headers/Webhook-Id'],
  [{ headers: { 'Content-Length': '1' } }, '/webhooks/0/headers/Content-Length'],
  [{ events: ['other'] }, '/webhooks/0/events/0'],
  [{ unknown: 1 }, '/webhooks/0/unknown'],
])('%j is refused', (wrong, pointer) => {
  const problems = refused({ webhooks: [{ ...hook, ...wrong }] })
  expect(problems.map((problem) => problem.pointer)).toContain(pointer)
})

test('private addresses and plain http are taken when that is asked for; names are unique', () => {
  const near = { ...hook, url: 'http://10.0.0.1/x', allow_private_network: true }
  expect(accepted({ webhooks: [near] }).webhooks.size).toBe(1)
  expect(refused({ webhooks: [hook, hook] })).toMatchObject([{ pointer: '/webhooks/1/name' }])
  const other = { ...hook, name: 'other', id: 'hook' }
  expect(refused({ webhooks: [hook, other] })).toMatchObject([{ pointer: '/webhooks/1/id' }])
})
