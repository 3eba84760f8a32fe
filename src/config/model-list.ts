import { below } from './problem.ts'
import type { Report } from './problem.ts'
import type { ModelList, ModelPattern } from './virtual-key.ts'

const prefix = 'regex:'
const maxPatternLength = 500

/** A list of models as it is written: names, `*`, and `regex:` with a pattern that RE2 understands. */
export function modelList(written: readonly string[], pointer: string, report: Report): ModelList {
  const names = new Set<string>()
  const patterns: ModelPattern[] = []
  written.forEach((name, i) => {
    const here = below(pointer, i)
    if (name === '' || name !== name.trim()) {
      report.problem(here, 'must be a model name without white space around it')
    } else if (name.startsWith(prefix)) {
      const pattern = compiled(name, here, report)
      if (pattern) patterns.push(pattern)
    } else names.add(name.toLowerCase())
  })
  return { isAll: names.has('*'), names, patterns }
}

function compiled(source: string, pointer: string, report: Report): ModelPattern | undefined {
  const text = source.slice(prefix.length)
  if (text.length > maxPatternLength) {
    report.problem(pointer, `must have at most ${maxPatternLength} characters`)
    return undefined
  }
  // Loaded with the first pattern: a start without any does not pay for it.
  const { RE2JS } = require('re2js') as typeof import('re2js')
  try {
    const pattern = RE2JS.compile(text, RE2JS.CASE_INSENSITIVE)
    return { source, test: (model) => pattern.matches(model) }
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message.slice(0, 200) : 'it is none'
    report.problem(pointer, `is not a valid pattern: ${why}`)
    return undefined
  }
}
