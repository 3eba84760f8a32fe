import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { LOG_TABLES } from '#store/logs-tables.ts'

// Both are views with joins inside. SQLite opens them up when they are joined plainly; as the right side of a LEFT
// JOIN the second is made whole first, which takes seconds where there are a million calls.

const planOf = (sql: string): string => {
  using db = new Database(':memory:')
  db.run(LOG_TABLES)
  const steps = db.query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`).all()
  return steps.map(({ detail }) => detail).join('\n')
}

test.each(['id = ?1', 'logs.n > ?1 ORDER BY logs.n LIMIT 100', 'session_id = ?1 ORDER BY logs.n'])(
  'a call and its details are found without walking over all calls: %s',
  (where) => {
    const plan = planOf(`SELECT * FROM logs JOIN details USING (n) WHERE ${where}`)
    expect(plan).not.toContain('MATERIALIZE')
    expect(plan).not.toMatch(/^SCAN (?:calls|texts)/m)
    expect(planOf(`SELECT * FROM logs LEFT JOIN details USING (n) WHERE ${where}`)).toContain(
      'MATERIALIZE',
    )
  },
)

test('nothing joins details to the left', () => {
  const folder = join(import.meta.dir, '..', '..', 'src', 'store')
  const found = readdirSync(folder).filter((name) =>
    readFileSync(join(folder, name), 'utf8').includes('LEFT JOIN details'),
  )
  expect(found).toEqual([])
})
