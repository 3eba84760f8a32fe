import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { checkSql } from '#store/logs-sql.ts'

import { run } from '../cli/program.ts'
import { isSound, logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

let rig: LogRig
beforeAll(async () => {
  rig = await logRig()
  await rig.chat({}, { 'x-request-id': 'one' })
  await rig.chat(
    { messages: [{ role: 'user', content: 'x'.repeat(2000) }] },
    { 'x-request-id': 'two' },
  )
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

test('a SELECT sees the log, bodies unpacked', async () => {
  const { status, body } = await rig.sql(
    'SELECT id, object, request FROM logs JOIN details USING (n) ORDER BY n;',
  )
  expect(status).toBe(200)
  expect(body).toMatchObject({
    columns: ['id', 'object', 'request'],
    rows: [{ id: 'one', object: 'chat_completion' }, { id: 'two' }],
    is_cut: false,
  })
  expect(body.rows[1].request).toContain('xxxxxxxx')
})

test('columns of the same name are all shown, each with its own values', async () => {
  const { body } = await rig.sql(
    `SELECT a.id, b.id, COUNT(*), COUNT(*) + 1 AS "COUNT(*)" /* ; */
     FROM logs a JOIN logs b ON b.n > a.n GROUP BY a.n ORDER BY a.n DESC; -- the end`,
  )
  expect(body).toEqual({
    columns: ['id', 'id:1', 'COUNT(*)', 'COUNT(*):1'],
    rows: [{ id: 'one', 'id:1': 'two', 'COUNT(*)': 1, 'COUNT(*):1': 2 }],
    is_cut: false,
  })
  const { stdout } = await run(['sql', '--app-dir', dirname(rig.dbPath), 'VALUES (1, 2)'])
  expect(stdout).toBe('column1  column2\n1        2\n')
})

test('with a limit, more rows are cut off', async () => {
  const { body } = await rig.sql('SELECT id FROM logs', { limit: 1 })
  expect(body).toMatchObject({ rows: [{ id: 'one' }], is_cut: true })
})

test('rows are cut off where the answer gets too long, however few they are', async () => {
  const six = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6)
    SELECT i, printf('%.*c', 5000000, 'x') AS x FROM n`
  const { body } = await rig.sql(six)
  expect([body.rows.length, body.is_cut]).toEqual([3, true])
})

describe('refused', () => {
  test.each([
    `DELETE FROM logs`,
    `INSERT INTO logs (id) VALUES ('x')`,
    `WITH x AS (SELECT 1) DELETE FROM logs`,
    `SELECT 1; DELETE FROM logs`,
    `ATTACH DATABASE '/tmp/x.db' AS x`,
    `PRAGMA query_only = 0`,
    `SELECT * FROM pragma_database_list`,
    `SELECT * FROM "pragma_database_list"`,
    `SELECT * FROM 'pragma_database_list'`,
    `SELECT * FROM 'PRAGMA_table_info'('logs')`,
    `SELECT load_extension('x')`,
    `VACUUM INTO '/tmp/x.db'`,
    `SELECT 1 /* ; */ ; -- x\n DROP TABLE logs`,
    `CREATE TABLE x (a)`,
    `SELECT nonsense FROM logs`,
    `SELECT '`,
    `EXPLAIN DELETE FROM logs`,
    `SELECT hex(zeroblob(1000000000))`,
    `SELECT $a('), file FROM pragma_database_list WHERE name <> coalesce($b('), '')`,
    `SELECT :a(['), zeroblob(9) AS x -- ')`,
    `SELECT @a("), * FROM dbstat WHERE name <> coalesce(@b("), '')`,
    `SELECT ?`,
    `SELECT \uFEFF$a('), name FROM pragma_database_list WHERE name <> coalesce(\uFEFF$b('), '')`,
  ])('%s', async (sql) => {
    const { status, body } = await rig.sql(sql)
    expect([status, body.error.param]).toEqual([400, 'sql'])
    expect((await rig.get('/api/logs')).logs).toHaveLength(2)
  })

  test('one that goes on and on, without holding up the gateway', async () => {
    const endless = rig.sql(
      'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n',
    )
    expect((await rig.chat({}, { 'x-request-id': 'meanwhile' })).status).toBe(200)
    const { status, body } = await endless
    expect(status).toBe(400)
    expect(body.error.message).toContain('took longer')
  }, 20_000)

  test('a row that whoever asks could not hold', async () => {
    const { status, body } = await rig.sql(`SELECT printf('%.*c', 20000000, 'x') AS x`)
    expect([status, body.error.message]).toEqual([400, 'A row is longer than 16 MB, as JSON.'])
  })

  test('a body that is none', async () => {
    expect((await rig.sql('')).status).toBe(400)
    expect((await rig.sql('SELECT 1', { limit: 0 })).status).toBe(400)
  })
})

test('what is quoted or commented is no word of its own', () => {
  for (const sql of [
    ...[`SELECT 'attach; pragma'`, `SELECT 1 -- ; vacuum`, `select /* ; */ 1;`],
    ...[`SELECT request ->> '$.model' FROM details`, `SELECT 1 AS cost$, 2 AS "a:b", 3 AS é$`],
  ]) {
    checkSql(sql)
  }
  expect(() => checkSql(`SELECT 1 'a' ; 'b'`)).toThrow('one statement')
})

test('nothing of all this has changed or added a file', () => {
  const own = /^(?:asbru|logs)\.db(?:-wal|-shm)?$|^config\.json$|^asbru\.(?:lock|pid)$/
  const names = readdirSync(dirname(rig.dbPath)).toSorted()
  expect(names.filter((name) => !own.test(name))).toEqual([])
  expect(isSound(rig.dbPath)).toBe(true)
})

describe('asbru sql', () => {
  const dir = (): string => dirname(rig.dbPath)

  test('prints a table, or a line of JSON for each row', async () => {
    const sql = `SELECT id, provider FROM logs WHERE id IN ('one', 'two') ORDER BY n`
    const plain = await run(['sql', '--app-dir', dir(), sql])
    expect(plain).toMatchObject({ code: 0, stdout: 'id   provider\none  openai\ntwo  openai\n' })
    const json = await run(['sql', '--app-dir', dir(), '--json', '--limit', '1', sql])
    expect(json).toMatchObject({ code: 0, stdout: '{"id":"one","provider":"openai"}\n' })
    expect(json.stderr).toContain('only the first 1 rows')
  })

  test.each(['sql', 'tail', 'reprice'])('and its like say what is wrong once: %s', async (name) => {
    const { code, stderr } = await run([name, '--nonsense'])
    expect([code, stderr]).toEqual([2, 'asbru: unknown flag --nonsense.\nSee asbru help.\n'])
  })

  test('refuses what is no SELECT, and says where there is no log', async () => {
    const refused = await run(['sql', '--app-dir', dir(), 'DELETE FROM logs'])
    expect([refused.code, refused.stderr]).toEqual([1, 'asbru: Only SELECT can be run.\n'])
    const missing = await run(['sql', '--app-dir', '/nonexistent', 'SELECT 1'])
    expect(missing.code).toBe(1)
    expect(missing.stderr).toContain('does not exist')
  })

  test('does not misread the log of another version', async () => {
    const old = mkdtempSync(join(tmpdir(), 'asbru-old-'))
    try {
      {
        using sqlite = new Database(join(old, 'logs.db'))
        sqlite.run('CREATE TABLE logs (n INTEGER PRIMARY KEY, id TEXT)')
        sqlite.run('PRAGMA user_version = 2')
      }
      const { code, stderr } = await run(['sql', '--app-dir', old, 'SELECT id FROM logs'])
      expect([code, stderr]).toEqual([
        1,
        'asbru: The log was written by another version of Asbru. A gateway begins a new one.\n',
      ])
    } finally {
      rmSync(old, { recursive: true })
    }
  })
})
