import { expect, setDefaultTimeout, test } from 'bun:test'
import { closeSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import { scratch, serve } from '../cli/program.ts'
import type { Serving } from '../cli/program.ts'
import { isSound } from './rig.ts'

// Each starts the program, on a machine that may be busy.
setDefaultTimeout(60_000)

async function chat({ url }: Serving, id: string): Promise<number> {
  const answer = await fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': id },
    body: JSON.stringify({ model: 'mock/echo', messages: [{ role: 'user', content: id }] }),
  })
  await answer.text()
  return answer.status
}

/** How many calls the log has, or why it does not say. */
async function logged({ url }: Serving, search = ''): Promise<number | string> {
  const answer = await fetch(`${url}/api/logs/stats?${search}`)
  const body = (await answer.json()) as { total_requests: number; error?: { code: string } }
  return body.error?.code ?? body.total_requests
}

const asides = (dir: string): number =>
  readdirSync(dir).filter((name) => name.startsWith('logs.db.damaged-')).length

/** Damages all of a file behind a place. */
function overwrite(path: string, from: number): void {
  const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 }
  const file = openSync(path, 'r+')
  if (size > from) writeSync(file, Buffer.alloc(size - from, 0xee), 0, size - from, from)
  closeSync(file)
}

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

test('a log that is damaged when it starts is moved aside; calls are answered, and logged anew', async () => {
  using dir = scratch()
  writeFileSync(dir.file('logs.db'), 'this was a log once. '.repeat(5000))
  await using program = await serve(['--app-dir', dir.path])
  expect(await chat(program, 'a')).toBe(200)
  expect(await chat(program, 'b')).toBe(200)
  await program.logged(({ message }) => /the log begins anew/.test(String(message)))
  while ((await logged(program)) === 0) expect(await chat(program, 'more')).toBe(200)
  expect(asides(dir.path)).toBe(1)
  program.kill('SIGTERM')
  expect(await program.exited).toEqual({ code: 0, signal: null })
  expect(isSound(dir.file('logs.db'))).toBe(true)
})

test('a log that only those who read it find damaged begins anew, without a new start', async () => {
  using dir = scratch()
  await using program = await serve(['--app-dir', dir.path])
  for (let n = 0; n < 5; n++) await chat(program, `before-${n}`)
  expect(await logged(program)).toBe(5)
  // All of it. The thread that writes has its own pages in memory, and goes on.
  for (const name of ['logs.db', 'logs.db-wal']) overwrite(dir.file(name), 0)
  const found = program.logged(({ message }) => /the log begins anew/.test(String(message)))
  for (let n = 0; (await logged(program)) !== 'store_unavailable'; n++) {
    expect(await chat(program, `during-${n}`)).toBe(200)
  }
  await found
  expect(await chat(program, 'after')).toBe(200)
  const row = await fetch(`${program.url}/api/logs/after`)
  expect(await row.json()).toMatchObject({ id: 'after', status: 'success' })
  expect(asides(dir.path)).toBe(1)
})

test('a log that is damaged while it is written harms no call, and begins anew', async () => {
  using dir = scratch()
  {
    await using program = await serve(['--app-dir', dir.path])
    for (let n = 0; n < 50; n++) await chat(program, `before-${n}`)
    expect(await logged(program)).toBe(50)
    // Everything behind the first page, as when a disk loses what it was given.
    overwrite(dir.file('logs.db'), 4096)
    overwrite(dir.file('logs.db-wal'), 0)
    for (let n = 0; n < 20; n++) expect(await chat(program, `during-${n}`)).toBe(200)
    program.kill('SIGTERM')
    expect(await program.exited).toEqual({ code: 0, signal: null })
  }
  await using again = await serve(['--app-dir', dir.path])
  let total = await logged(again)
  for (let n = 0; typeof total !== 'number' || total < 3; n++) {
    expect(await chat(again, `after-${n}`)).toBe(200)
    total = await logged(again)
  }
  expect(isSound(dir.file('logs.db'))).toBe(true)
})
