import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { readReport, testFiles } from './report.ts'

// `bun run verify`: everything that has to hold before a change is handed on. Prints one line per step and, last,
// the sum of both test runs as `N passed, N failed`, where a step that fails otherwise counts as one failure.

const minute = 60_000
const perTestMs = 30_000
const bun = process.execPath
const binary = join('dist', process.platform === 'win32' ? 'asbru.exe' : 'asbru')
const reports = mkdtempSync(join(tmpdir(), 'asbru-verify-'))
const total = { passed: 0, failed: 0, skipped: 0 }
let current: Bun.Subprocess | undefined

/** Runs one command to its end or to its limit; true when it ended well. */
async function step(
  name: string,
  command: readonly string[],
  limitMs: number,
  env: Record<string, string> = {},
): Promise<boolean> {
  console.log(`\n== ${name}: ${command.slice(1).join(' ')}`)
  const startedAt = performance.now()
  const child = Bun.spawn([...command], {
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    env: { ...process.env, ...env },
    // A group of its own, so that what a test has started ends with it.
    detached: true,
  })
  current = child
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    killGroup(child)
  }, limitMs)
  const exitCode = await child.exited
  clearTimeout(timer)
  killGroup(child)
  current = undefined
  const why = isLate
    ? `FAILED (still running after ${limitMs / minute} minutes)`
    : `FAILED (${child.signalCode ?? exitCode})`
  const isGood = exitCode === 0 && !isLate
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`== ${name}: ${isGood ? 'ok' : why} in ${seconds} s`)
  return isGood
}

function killGroup(child: Bun.Subprocess): void {
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left, which is how it should be.
  }
}

async function check(name: string, command: readonly string[], limitMs: number): Promise<boolean> {
  const isGood = await step(name, command, limitMs)
  if (!isGood) total.failed++
  return isGood
}

async function tests(
  name: string,
  paths: readonly string[],
  limitMs: number,
  env: Record<string, string> = {},
): Promise<void> {
  const report = join(reports, `${name}.xml`)
  const flags = ['--only-failures', `--timeout=${perTestMs}`, '--reporter=junit']
  const command = [bun, 'test', ...paths, ...flags, `--reporter-outfile=${report}`]
  const isGood = await step(name, command, limitMs, env)
  const { counts, files } = readReport(existsSync(report) ? readFileSync(report, 'utf8') : '')
  // Bun leaves out files that do not load, and writes nothing at all when a test ends the process.
  const lost = testFiles(paths).filter((file) => !files.has(file))
  for (const file of lost) console.log(`== ${name}: no result of ${file}`)
  total.passed += counts.passed
  total.skipped += counts.skipped
  total.failed += counts.failed + lost.length
  if (!isGood && counts.failed + lost.length === 0) total.failed++
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    if (current) killGroup(current)
    rmSync(reports, { recursive: true, force: true })
    process.exit(130)
  })
}

await check('format', [bun, 'fmt', '--check'], minute)
await check('types', [bun, 'check'], 2 * minute)
await check('lint', [bun, 'run', 'lint'], 3 * minute)
await tests('source', ['test'], 10 * minute)
// A binary of an earlier run must not stand in for one that could not be built.
rmSync(binary, { force: true })
const isBuilt = await check('build', [bun, 'src/build/build.ts'], 3 * minute)
if (isBuilt && statSync(binary).size > 0) {
  const onBinary = [
    ...['test/http', 'test/pipeline', 'test/sdk', 'test/cli', 'test/fidelity'],
    ...['test/logs', 'test/async', 'test/metrics', 'test/prices'],
    ...['test/governance', 'test/tracing'],
    ...['test/binary.test.ts', 'test/readme.test.ts'],
  ]
  await tests('binary', onBinary, 10 * minute, { ASBRU_BINARY: join(process.cwd(), binary) })
}
rmSync(reports, { recursive: true, force: true })
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`)
process.exit(total.failed === 0 ? 0 : 1)
