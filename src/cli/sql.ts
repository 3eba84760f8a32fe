import { existsSync } from 'node:fs'
import { join } from 'node:path'

import type { Environment } from '#config/reference.ts'
import { answerSql, BadSql, runSql } from '#store/logs-sql.ts'
import type { SqlAnswer } from '#store/logs-sql.ts'

import { parseFlags } from './flags.ts'
import { output } from './output.ts'

const maxRows = 1000
const maxMs = 30_000

/** `asbru sql 'SELECT …'`: asks the log in the app dir, with or without a gateway running. Returns the exit code. */
export async function sql(argv: readonly string[], env: Environment): Promise<number> {
  const parsed = parseFlags(argv, env, { json: 'boolean', limit: 'string' })
  if (!parsed.ok) return usageError(parsed.message)
  const [given, stray] = parsed.positionals
  if (stray !== undefined) return usageError(`sql takes one statement; quote it`)
  const limit = Number(parsed.own['limit'] ?? maxRows)
  if (!Number.isInteger(limit) || limit < 1) return usageError('--limit must be a whole number')
  const statement = given ?? (await new Response(Bun.stdin.stream()).text())
  if (statement.trim() === '') return usageError('sql needs a statement')
  const path = join(parsed.flags.appDir, 'logs.db')
  if (!existsSync(path)) {
    console.error(`asbru: ${path} does not exist; nothing has been logged there.`)
    return 1
  }
  try {
    const answer = await runSql(path, statement, { maxRows: limit, maxMs })
    const code = await output(parsed.own['json'] === true ? lines(answer) : table(answer))
    if (answer.is_cut) console.error(`asbru: only the first ${answer.rows.length} rows are shown.`)
    return code
  } catch (thrown) {
    if (!(thrown instanceof BadSql)) throw thrown
    console.error(`asbru: ${thrown.message}`)
    return 1
  }
}

/** The process that runs one statement: it can be ended at any moment, which a statement cannot. */
export async function sqlRole(): Promise<number> {
  const request = await new Response(Bun.stdin.stream()).text()
  await Bun.write(Bun.stdout, answerSql(request))
  return 0
}

function usageError(message: string): number {
  console.error(`asbru: ${message.replace(/\.$/, '')}.\nSee asbru help.`)
  return 2
}

function lines({ rows }: SqlAnswer): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

const maxCellChars = 60

function table({ columns, rows }: SqlAnswer): string {
  const cells = [[...columns], ...rows.map((row) => columns.map((name) => cell(row[name])))]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)))
  return cells
    .map(
      (row) =>
        `${row
          .map((text, i) => text.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** On one line, and without what would move the cursor of a terminal. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replaceAll(
    /\p{Cc}+/gu,
    ' ',
  )
  return text.length > maxCellChars ? `${text.slice(0, maxCellChars - 1)}…` : text
}
