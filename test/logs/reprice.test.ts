import { afterAll, beforeAll, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { run } from '../cli/program.ts'
import { isSound, logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// `asbru reprice` beside a running gateway.

const usage = {
  prompt_tokens: 1000,
  completion_tokens: 200,
  total_tokens: 1200,
  prompt_tokens_details: { cached_tokens: 400 },
}
const completion = (more: object = {}) => ({
  id: 'c',
  object: 'chat.completion',
  created: 1,
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { ...usage, ...more },
})

let rig: LogRig
beforeAll(async () => {
  rig = await logRig()
  rig.upstream.reply([
    { json: completion() },
    { json: completion() },
    { json: completion({ cost: 0.5 }) },
    { status: 400, json: { error: { message: 'no' } } },
  ])
  await rig.chat({ model: 'openai/gpt-4o' }, { 'x-request-id': 'listed' })
  await rig.chat({ model: 'openai/mystery' }, { 'x-request-id': 'unlisted' })
  await rig.chat({ model: 'openai/mystery' }, { 'x-request-id': 'named' })
  await rig.chat({ model: 'openai/gpt-4o' }, { 'x-request-id': 'refused' })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

async function costs(): Promise<Record<string, number | null>> {
  const { body } = await rig.sql('SELECT id, cost FROM logs ORDER BY n')
  return Object.fromEntries(body.rows.map(({ id, cost }: any) => [id, cost]))
}

async function reprice(config: object, ...flags: string[]) {
  const dir = dirname(rig.dbPath)
  const path = `${dir}/prices.json`
  const text = JSON.stringify({ providers: { openai: { keys: [{ value: 'k' }] } }, ...config })
  writeFileSync(path, text)
  return await run(['reprice', '--app-dir', dir, '--config', path, ...flags])
}

// gpt-4o: 600 × 2.50, 400 × 1.25 and 200 × 10 per million.
const before = { listed: 0.004, unlisted: null, named: 0.5, refused: null }

test('the log has what each call cost, and says of which it is not known', async () => {
  expect(await costs()).toEqual(before)
})

test('new prices change old calls, but not what a provider charged itself', async () => {
  const prices = [
    { model: 'mystery', input: 1, output: 10 },
    { model: 'gpt-4o', input: 5 },
  ]
  const dry = await reprice({ prices }, '--dry-run')
  expect(dry).toMatchObject({
    code: 0,
    stdout: '3 calls looked at, 2 would change, 0 without a known price\n',
  })
  expect(await costs()).toEqual(before)

  const missing = await reprice({ prices }, '--missing')
  expect(missing.stdout).toBe('1 calls looked at, 1 changed, 0 without a known price\n')
  expect(await costs()).toEqual({ ...before, unlisted: 0.003 })

  const all = await reprice({ prices })
  expect(all.stdout).toBe('3 calls looked at, 1 changed, 0 without a known price\n')
  expect(await costs()).toEqual({ ...before, unlisted: 0.003, listed: 0.0055 })
})

test('prices of another day do not count, and what has no price any more has none', async () => {
  const prices = [{ model: 'mystery', input: 1, output: 1, until: '2020-01-01' }]
  expect((await reprice({ prices })).stdout).toBe(
    '3 calls looked at, 2 changed, 1 without a known price\n',
  )
  expect(await costs()).toEqual(before)
  expect(isSound(rig.dbPath)).toBe(true)
})

test('calls of providers that are no longer there stay as they are', async () => {
  const gone = { providers: { groq: { keys: [{ value: 'k' }] } } }
  const { stdout } = await reprice(gone)
  expect(stdout).toContain(' 0 changed')
  expect(await costs()).toEqual(before)
})

test.each([
  [['--app-dir', '/nonexistent'], 1],
  [['stray'], 2],
  [['--nonsense'], 2],
])('used wrongly: %j', async (args, code) => {
  const ended = await run(['reprice', ...args])
  expect(ended.code).toBe(code)
  expect(ended.stderr).toStartWith('asbru: ')
})
