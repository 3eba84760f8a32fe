import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'

import type { GatewayError } from '#core/errors.ts'

import { response, ROOMY, storeRig } from './rig.ts'
import type { StoreRig } from './rig.ts'

function errors({ logs }: StoreRig): readonly string[] {
  return logs.filter(({ level }) => level === 'error').map(({ message }) => message)
}

async function refusal(rig: StoreRig): Promise<GatewayError> {
  try {
    await rig.store.get('a', '', ROOMY)
  } catch (thrown) {
    return thrown as GatewayError
  }
  throw new Error('nothing was refused')
}

test('nothing is opened or made before it is needed', () => {
  using rig = storeRig()
  expect(statSync(rig.path, { throwIfNoEntry: false })).toBeUndefined()
  expect(rig.store.isUsable()).toBe(true)
  expect(statSync(rig.path).mode & 0o777).toBe(0o600)
})

test('the file is in WAL mode and passes its own check', () => {
  using rig = storeRig()
  rig.store.put(response('a'), ROOMY)
  const other = new Database(rig.path, { readonly: true })
  expect(other.query('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
  expect(other.query('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
  other.close()
})

test('what is written after the file was deleted is in a new one, and not lost with the process', () => {
  using rig = storeRig()
  rig.store.put(response('a'), ROOMY)
  for (const end of ['', '-wal', '-shm']) rmSync(rig.path + end)
  rig.store.put(response('b'), ROOMY)
  using other = new Database(rig.path, { readonly: true })
  expect(other.query('SELECT id FROM responses').all()).toEqual([{ id: 'b' }])
  expect(errors(rig)).toEqual([expect.stringContaining('deleted')])
})

test('a file that is no database is left as it is, and said once', async () => {
  using rig = storeRig()
  writeFileSync(rig.path, 'my diary, and nothing else. '.repeat(100))
  expect(rig.store.isUsable()).toBe(false)
  expect(await refusal(rig)).toMatchObject({ kind: 'store_unavailable', status: 503 })
  expect(await refusal(rig)).toMatchObject({ kind: 'store_unavailable' })
  expect(errors(rig)).toHaveLength(1)
  expect(statSync(rig.path).size).toBe(2800)
})

test('a path that cannot be a file is said once', async () => {
  using rig = storeRig()
  mkdirSync(rig.path)
  expect(rig.store.isUsable()).toBe(false)
  expect((await refusal(rig)).message).toContain('cannot be used')
  expect(errors(rig)).toHaveLength(1)
})

test('a file of a newer version is not touched', async () => {
  using rig = storeRig()
  const newer = new Database(rig.path, { create: true })
  newer.run('PRAGMA user_version = 999')
  newer.close()
  expect((await refusal(rig)).message).toContain('newer version')
})

test('what was wrong may get better', async () => {
  using rig = storeRig('file', 0)
  mkdirSync(rig.path)
  expect(rig.store.isUsable()).toBe(false)
  rmSync(rig.path, { recursive: true })
  expect(rig.store.put(response('a'), ROOMY)).toBe(true)
  expect(rig.logs.map(({ level }) => level)).toEqual(['error', 'info'])
})

test('while another process writes, nothing is added and everything can be read', async () => {
  using rig = storeRig('file', 0)
  rig.store.put(response('a'), ROOMY)
  const other = new Database(rig.path)
  other.run('BEGIN IMMEDIATE')
  expect(() => rig.store.put(response('b'), ROOMY)).toThrow('store')
  expect(await rig.store.get('a', '', ROOMY)).toBeDefined()
  other.run('ROLLBACK')
  other.close()
  expect(rig.store.put(response('b'), ROOMY)).toBe(true)
})

test('after a failure to write it says for a while that it cannot', () => {
  using rig = storeRig('file', 60_000)
  rig.store.put(response('a'), ROOMY)
  const other = new Database(rig.path)
  other.run('BEGIN IMMEDIATE')
  expect(() => rig.store.put(response('b'), ROOMY)).toThrow()
  other.run('ROLLBACK')
  other.close()
  expect(rig.store.isUsable()).toBe(false)
})

test('a full disk refuses what is new and shows what is there', async () => {
  using rig = storeRig('file', 0)
  rig.store.put(response('a'), ROOMY)
  rig.db.use((sqlite) => {
    const { page_count } = sqlite.query('PRAGMA page_count').get() as { page_count: number }
    sqlite.run(`PRAGMA max_page_count = ${page_count}`)
  })
  const large = response('b', { head: JSON.stringify({ x: 'x'.repeat(100_000) }) })
  expect(() => rig.store.put(large, ROOMY)).toThrow('full')
  expect(await rig.store.get('a', '', ROOMY)).toBeDefined()
  expect(await rig.store.get('b', '', ROOMY)).toBeUndefined()
})

test('a closed file stands alone, without its log', () => {
  using rig = storeRig()
  rig.store.put(response('a'), ROOMY)
  rig.store.close()
  expect(statSync(`${rig.path}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0)
})
