import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// `bun run verify`: everything that has to hold before a change is handed on. Prints one line per step and, last,
// the sum of both test runs as `N passed, N failed`.

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const bun = process.execPath
const reports = mkdtempSync(join(tmpdir(), 'asbru-verify-'))
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
let broken = 0

function step(name: string, command: readonly string[], env: Record<string, string> = {}): void {
  console.log(`\n== ${name}: ${command.slice(1).join(' ')}`)
  const startedAt = performance.now()
  const { exitCode } = Bun.spawnSync([...command], {
    stdout: 'inherit',
    stderr: 'inherit',
    env: { ...process.env, ...env },
  })
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`== ${name}: ${exitCode === 0 ? 'ok' : `FAILED (${exitCode})`} in ${seconds} s`)
  if (exitCode !== 0) broken++
}

function tests(name: string, paths: readonly string[], env: Record<string, string>): void {
  const report = join(reports, `${name}.xml`)
  const before = broken
  step(
    name,
    [bun, 'test', ...paths, '--only-failures', '--reporter=junit', `--reporter-outfile=${report}`],
    env,
  )
  const counts = readCounts(report)
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
  // A file that does not even load counts as an error of the run and in no test.
  if (broken > before && counts.failed === 0) total.failed++
}

function readCounts(report: string): Counts {
  let head: string
  try {
    head = /<testsuites\b[^>]*>/.exec(readFileSync(report, 'utf8'))?.[0] ?? ''
  } catch {
    // No report: the runner itself failed, which its exit code has said.
    return { passed: 0, failed: 0, skipped: 0 }
  }
  const number = (name: string): number =>
    Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0)
  const failed = number('failures') + number('errors')
  const skipped = number('skipped')
  return { passed: number('tests') - failed - skipped, failed, skipped }
}

step('format', [bun, 'fmt', '--check'])
step('types', [bun, 'check'])
step('lint', [bun, 'run', 'lint'])
tests('source', ['./test'], {})
step('build', [bun, 'src/build/build.ts'])
tests('binary', ['./test/http', './test/pipeline', './test/sdk', './test/cli', './test/binary.test.ts'], {
  ASBRU_BINARY: join(process.cwd(), 'dist', 'asbru'),
})
rmSync(reports, { recursive: true, force: true })
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`)
process.exit(broken === 0 ? 0 : 1)
