// What `bun run verify` counts, against what `bun test` really writes.

import { afterAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { readReport, testFiles } from '../src/build/report.ts'

const dir = mkdtempSync(join(tmpdir(), 'asbru-report-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const imports = "import { afterAll, expect, test } from 'bun:test'\n"
const good = `${imports}test('good', () => expect(1).toBe(1))\n`

/** Runs `files` as the tests of a project of their own. */
async function run(name: string, files: Readonly<Record<string, string>>) {
  const project = join(dir, name)
  mkdirSync(join(project, 'test', 'deeper'), { recursive: true })
  writeFileSync(join(project, 'package.json'), '{}')
  for (const [file, text] of Object.entries(files)) writeFileSync(join(project, 'test', file), text)
  const report = join(project, 'report.xml')
  const child = Bun.spawn(
    [process.execPath, 'test', 'test', '--reporter=junit', `--reporter-outfile=${report}`],
    { cwd: project, stdout: 'ignore', stderr: 'ignore' },
  )
  await child.exited
  const { counts, files: seen } = readReport(existsSync(report) ? readFileSync(report, 'utf8') : '')
  return { counts, lost: testFiles(['test'], project).filter((file) => !seen.has(file)) }
}

test('passed, failed and left out', async () => {
  const bad = `test('bad & <worse>', () => expect(1).toBe(2))\ntest.todo('later')\n`
  const files = { 'a.test.ts': good + bad, 'deeper/b.test.ts': good, 'rig.ts': '' }
  expect(await run('counts', files)).toEqual({
    counts: { passed: 2, failed: 1, skipped: 1 },
    lost: [],
  })
})

test('files that do not load, or hold no test, are missed', async () => {
  const { counts, lost } = await run('broken', {
    'a.test.ts': good,
    'b.test.ts': "import './nowhere.ts'\n",
    'c.test.ts': `${good}throw new Error('late')\n`,
    'd.test.ts': imports,
  })
  expect(counts).toEqual({ passed: 1, failed: 0, skipped: 0 })
  expect(lost).toEqual(['test/b.test.ts', 'test/c.test.ts', 'test/d.test.ts'])
})

test('all are missed when one of them ends the process', async () => {
  const exit = `${imports}test('exit', () => process.exit(0))\n`
  const { counts, lost } = await run('ended', { 'a.test.ts': good, 'b.test.ts': exit })
  expect(counts).toEqual({ passed: 0, failed: 0, skipped: 0 })
  expect(lost).toEqual(['test/a.test.ts', 'test/b.test.ts'])
})

test('a path without test files is missed itself', () => {
  mkdirSync(join(dir, 'empty'))
  expect(testFiles(['empty', 'nowhere', 'x.test.ts'], dir)).toEqual([
    'empty',
    'nowhere',
    'x.test.ts',
  ])
})
