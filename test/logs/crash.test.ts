import { expect, test } from 'bun:test'
import { join } from 'node:path'

import { scratch, serve } from '../cli/program.ts'
import { isSound } from './rig.ts'

test('what was logged before a kill is there after it, and the file is sound', async () => {
  using dir = scratch()
  const path = join(dir.path, 'logs.db')
  const call = async (url: string, id: string): Promise<void> => {
    const answer = await fetch(`${url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': id },
      body: JSON.stringify({ model: 'mock/echo', messages: [{ role: 'user', content: id }] }),
    })
    await answer.text()
  }
  const total = async (url: string): Promise<number> => {
    const answer = await fetch(`${url}/api/logs/stats`)
    return ((await answer.json()) as { total_requests: number }).total_requests
  }
  let known = 0
  for (let round = 0; round < 4; round++) {
    await using program = await serve(['--app-dir', dir.path])
    expect(await total(program.url)).toBeGreaterThanOrEqual(known)
    await Promise.all(Array.from({ length: 20 }, (_, i) => call(program.url, `${round}-${i}`)))
    known = await total(program.url)
    expect(known).toBeGreaterThanOrEqual(20 * (round + 1))
    // In the middle of whatever it does with these.
    const more = Promise.allSettled(
      Array.from({ length: 50 }, (_, i) => call(program.url, `${round}-more-${i}`)),
    )
    await call(program.url, `${round}-last`).catch(() => undefined)
    program.kill('SIGKILL')
    await program.exited
    await more
    expect(isSound(path)).toBe(true)
  }
})

test('an orderly end writes what is queued', async () => {
  using dir = scratch()
  {
    await using program = await serve(['--app-dir', dir.path])
    const answer = await fetch(`${program.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'last-words' },
      body: JSON.stringify({ model: 'mock/echo', messages: [{ role: 'user', content: 'x' }] }),
    })
    await answer.text()
    program.kill('SIGTERM')
    expect(await program.exited).toEqual({ code: 0, signal: null })
  }
  await using again = await serve(['--app-dir', dir.path])
  const row = await fetch(`${again.url}/api/logs/last-words`)
  expect(await row.json()).toMatchObject({ id: 'last-words', status: 'success' })
})
