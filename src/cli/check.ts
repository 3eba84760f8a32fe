import { describe } from '#config/describe.ts'
import { loadConfig } from '#config/load.ts'
import type { Problem } from '#config/problem.ts'
import type { Environment } from '#config/reference.ts'
import { configJsonSchema } from '#config/schema-document.ts'
import type { VendorFacts } from '#config/snapshot.ts'
import { readSource, wholeFile } from '#config/source.ts'

export interface CheckInput {
  /** Undefined checks a start without a file. */
  readonly configPath?: string | undefined
  /** Print the JSON Schema of `config.json` instead of checking anything. */
  readonly schema: boolean
  /** One JSON document instead of lines. */
  readonly json: boolean
  readonly vendors: readonly VendorFacts[]
  readonly operations: readonly string[]
  readonly write: (text: string) => void
  readonly env: Environment
  readonly detected?: readonly string[]
}

/** `asbru check`: the configuration as it would run, secrets hidden, or all that is wrong. Returns the exit code. */
export async function check(input: CheckInput): Promise<number> {
  const { configPath, write } = input
  if (input.schema) {
    write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
    return 0
  }
  const source = configPath === undefined ? undefined : await readSource(configPath)
  const fatal = !source || source.kind === 'text' ? undefined : problemOf(source)
  const { snapshot, problems } = fatal
    ? { snapshot: undefined, problems: [fatal] }
    : loadConfig({
        ...input,
        text: source?.kind === 'text' ? source.text : undefined,
        path: configPath,
        generation: 1,
      })
  const config = snapshot && describe(snapshot)
  const warnings = snapshot?.warnings ?? []
  if (input.json) {
    const document = { ok: snapshot !== undefined, path: configPath, problems, warnings, config }
    write(`${JSON.stringify(document, null, 2)}\n`)
  } else {
    if (config) write(`${JSON.stringify(config, null, 2)}\n`)
    for (const problem of problems) write(`${problemLine(configPath, problem)}\n`)
    for (const warning of warnings) write(`warning: ${warning}\n`)
  }
  return snapshot ? 0 : 1
}

/**
 * `path:line:column pointer message`; terminals and editors make a link of it. Names of the file that hold line ends, or
 * orders to a terminal, are written as JSON would.
 */
export function problemLine(path: string | undefined, problem: Problem): string {
  const { pointer, line, column, message } = problem
  const text = `${pointer === '' ? '' : `${pointer} `}${message}`
  const shown = text.replace(/\p{Cc}/gu, (char) => {
    const code = char.charCodeAt(0).toString(16).padStart(4, '0')
    return `\\u${code}`
  })
  return `${path ?? 'config'}:${line}:${column} ${shown}`
}

function problemOf(
  source: { readonly kind: 'missing' } | { readonly kind: 'unreadable'; readonly problem: Problem },
): Problem {
  return source.kind === 'missing' ? wholeFile('there is no such file') : source.problem
}
