import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { run, scratch, serve } from './program.ts'

// Each starts the program more than once, on a machine that may be busy.
setDefaultTimeout(60_000)

const start = (folder: string) =>
  run(['serve', '--host', '127.0.0.1', '--port', '0', '--app-dir', folder])

test('a second gateway over one folder is refused, and the first does not notice', async () => {
  using dir = scratch()
  await using first = await serve(['--app-dir', dir.path])
  const { code, stdout, stderr } = await start(dir.path)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toBe(
    `asbru: another Asbru (process ${first.pid}) is using ${dir.path}. Stop it, or give this one a folder of its own with --app-dir.\n`,
  )
  expect((await fetch(`${first.url}/health`)).status).toBe(200)
})

test('a folder is free again when its gateway was killed, and when it was stopped', async () => {
  using dir = scratch()
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    await using program = await serve(['--app-dir', dir.path])
    expect(readFileSync(dir.file('asbru.pid'), 'utf8')).toBe(`${program.pid}\n`)
    program.kill(signal)
    await program.exited
  }
})

test('who is there is not named when nobody can say so', async () => {
  using dir = scratch()
  await using _ = await serve(['--app-dir', dir.path])
  writeFileSync(dir.file('asbru.pid'), 'nonsense')
  const { code, stderr } = await start(dir.path)
  expect(code).toBe(1)
  expect(stderr).toStartWith(`asbru: another Asbru is using ${dir.path}. `)
})

test('a folder that cannot be made holds nobody up, and is said', async () => {
  using dir = scratch()
  writeFileSync(dir.file('plain'), '')
  const below = join(dir.file('plain'), 'below')
  await using one = await serve(['--app-dir', below])
  await using two = await serve(['--app-dir', below])
  for (const { url, logged } of [one, two]) {
    expect((await fetch(`${url}/health`)).status).toBe(200)
    const said = await logged(({ message }) => String(message).includes('cannot be written to'))
    expect(said).toMatchObject({ level: 'warn', path: below })
  }
})
