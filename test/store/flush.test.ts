import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createDb } from '#store/db.ts'
import { createFlush } from '#store/flush.ts'

const quiet = { level: 'error', debug() {}, info() {}, warn() {}, error() {} } as const

function folder() {
  const path = mkdtempSync(join(tmpdir(), 'asbru-flush-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

test('what is committed is in the files that were written through', async () => {
  using dir = folder()
  const path = join(dir.path, 'asbru.db')
  const db = createDb({ path, log: quiet })
  db.use((sqlite) => sqlite.run(`CREATE TABLE kept (x)`))
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      db.use((sqlite) => sqlite.run(`INSERT INTO kept VALUES (?1)`, [i]))
      await db.durable()
    }),
  )
  // What a machine that lost its power would find: the files as they are, nothing closed.
  for (const end of ['', '-wal']) copyFileSync(path + end, join(dir.path, `copy.db${end}`))
  using copy = new Database(join(dir.path, 'copy.db'))
  expect(copy.query('SELECT COUNT(*) AS count FROM kept').get()).toEqual({ count: 20 })
  db.close()
})

test('whoever asks during a wait gets one that begins after it, shared by all of them', async () => {
  const steps: string[] = []
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
  let begun = 0
  const flush = createFlush('/nowhere/asbru.db', quiet, async (path) => {
    expect(path).toEndWith('-wal')
    const turn = begun++
    steps.push(`begin ${turn}`)
    await gates[turn]!.promise
  })
  const note = (name: string) => flush().then(() => steps.push(name))
  const first = note('a')
  const others = [note('b'), note('c')]
  gates[0]!.resolve()
  await first
  // A turn later the next one has begun; whoever comes now is too late for it.
  await Bun.sleep(0)
  const last = note('d')
  gates[1]!.resolve()
  await Promise.all(others)
  gates[2]!.resolve()
  await last
  expect(begun).toBe(3)
  const at = (step: string): number => steps.indexOf(step)
  expect(steps.slice(0, 3)).toEqual(['begin 0', 'a', 'begin 1'])
  expect(at('d')).toBeGreaterThan(at('begin 2'))
  expect([at('b'), at('c')].every((place) => place < at('d'))).toBe(true)
})

test('a disk that cannot do it is told of, and nobody is refused', async () => {
  const warnings: string[] = []
  const log = { ...quiet, warn: (message: string) => warnings.push(message) }
  const flush = createFlush('/nowhere/asbru.db', log, () => Promise.reject(new Error('EIO')))
  await flush()
  expect(warnings).toEqual(['what is stored may not survive a loss of power'])
  using dir = folder()
  // No file: closed by whoever was the last, and all of it in its place.
  await createFlush(join(dir.path, 'asbru.db'), log)()
  expect(warnings).toHaveLength(1)
  // In memory there is nothing to write through.
  await createDb({ path: undefined, log: quiet }).durable()
})
