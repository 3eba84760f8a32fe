import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'

// What a run of `bun test` came to, read from its JUnit report.

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export interface TestReport {
  readonly counts: Counts
  /** Files that have results, as paths from the repository with `/`. */
  readonly files: ReadonlySet<string>
}

/** Reads a report; a text that is none has no results. */
export function readReport(xml: string): TestReport {
  const head = /<testsuites\b[^>]*>/.exec(xml)?.[0] ?? ''
  const number = (name: string): number =>
    Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0)
  const failed = number('failures') + number('errors')
  const skipped = number('skipped')
  const files = [...xml.matchAll(/<testcase\b[^>]*\bfile="([^"]*)"/g)].map(([, file]) =>
    (file ?? '').replaceAll('\\', '/'),
  )
  return {
    counts: { passed: number('tests') - failed - skipped, failed, skipped },
    files: new Set(files),
  }
}

/** The test files at `paths`; a path without one stands for itself, so that it is missed like a file without results. */
export function testFiles(paths: readonly string[], root = '.'): string[] {
  const glob = new Bun.Glob('**/*.test.ts')
  return paths.flatMap((path) => {
    const whole = join(root, path)
    if (!existsSync(whole) || statSync(whole).isFile()) return [path]
    const found = [...glob.scanSync(whole)].map((file) => `${path}/${file.replaceAll('\\', '/')}`)
    return found.length > 0 ? found.toSorted() : [path]
  })
}
