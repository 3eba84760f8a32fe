import { Database } from 'bun:sqlite'
import type { Statement } from 'bun:sqlite'

import { createBodies } from './logs-bodies.ts'
import { LOG_LAYOUT } from './logs-tables.ts'

// Questions in SQL. They run in a process of their own, because nothing but its end stops SQLite in the middle of a
// statement, on a connection that can read the log and nothing else.

export interface SqlLimits {
  readonly maxRows: number
  readonly maxMs: number
}

/** What a statement gave. */
export interface SqlAnswer {
  readonly columns: readonly string[]
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  /** There were more rows than wanted. */
  readonly is_cut: boolean
}

/** The asker's mistake, in words for them. */
export class BadSql extends Error {
  override readonly name = 'BadSql'
}

const maxSqlChars = 100_000
const maxAnswerChars = 16 * 1024 * 1024
const maxHeapBytes = 256 * 1024 * 1024

/**
 * Runs one `SELECT` over the log at `path`. Throws `BadSql` for anything else, for one that SQLite does not take and
 * for one that takes longer than it may.
 */
export async function runSql(path: string, sql: string, limits: SqlLimits): Promise<SqlAnswer> {
  checkSql(sql)
  const child = Bun.spawn([...ownCommand(), 'sql-role'], {
    // It needs nothing of what this process knows.
    env: {},
    stdin: new Blob([JSON.stringify({ path, sql, maxRows: limits.maxRows })]),
    stdout: 'pipe',
    stderr: 'ignore',
  })
  let isLate = false
  const limit = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, limits.maxMs)
  try {
    const text = await child.stdout.text()
    await child.exited
    if (isLate) throw new BadSql(`The statement took longer than ${limits.maxMs} ms.`)
    if (text === '') throw new BadSql('The statement needs too much memory.')
    const answer = JSON.parse(text) as SqlAnswer | { readonly failure: string }
    if ('failure' in answer) throw new BadSql(answer.failure)
    return answer
  } finally {
    clearTimeout(limit)
    child.kill('SIGKILL')
  }
}

/** How this program is started again. */
function ownCommand(): string[] {
  const isCompiled = /[/\\](?:\$bunfs|~BUN)[/\\]/.test(import.meta.path)
  return isCompiled
    ? [process.execPath]
    : [process.execPath, Bun.fileURLToPath(new URL('../main.ts', import.meta.url))]
}

/** What the process for a statement does: reads it, runs it, and writes what it gave as JSON text. */
export function answerSql(request: string): string {
  const { path, sql, maxRows } = JSON.parse(request) as {
    path: string
    sql: string
    maxRows: number
  }
  let sqlite: Database | undefined
  try {
    checkSql(sql)
    sqlite = new Database(path, { readonly: true, strict: true })
    for (const pragma of [
      'busy_timeout = 1000',
      'query_only = 1',
      'trusted_schema = 0',
      'cell_size_check = 1',
      'temp_store = 2',
      `hard_heap_limit = ${maxHeapBytes}`,
    ]) {
      sqlite.run(`PRAGMA ${pragma}`)
    }
    checkLayout(sqlite)
    return collect(sqlite, sql, maxRows)
  } catch (thrown) {
    return JSON.stringify({ failure: thrown instanceof Error ? thrown.message : String(thrown) })
  } finally {
    sqlite?.close()
  }
}

/** What is in a file of another layout would be misread. Throws `BadSql`. */
function checkLayout(sqlite: Database): void {
  const layout = sqlite.query<{ user_version: number }, []>('PRAGMA user_version').get()
  if (layout?.user_version === LOG_LAYOUT) return
  throw new BadSql('The log was written by another version of Asbru. A gateway begins a new one.')
}

type Row = Record<string, unknown>

/** A statement whose columns all have names of their own: of two with the same one a row could hold only the last. */
function prepared(sqlite: Database, sql: string): Statement<Row, []> {
  const statement = sqlite.prepare<Row, []>(sql)
  const names = statement.columnNames
  if (new Set(names).size === names.length) return statement
  statement.finalize()
  // SQLite calls the second `model` of what is selected from `model:1`.
  const alone = sql.replaceAll(parts, (part) => (isComment(part) ? ' ' : part))
  return sqlite.prepare<Row, []>(`SELECT * FROM (${alone.trim().replace(/;\s*$/, '')})`)
}

/** An `SqlAnswer` as JSON text: whoever asked has to hold it, so it is no longer than it may be. */
function collect(sqlite: Database, sql: string, maxRows: number): string {
  const bodies = createBodies(sqlite)
  const statement = prepared(sqlite, sql)
  const rows: string[] = []
  let chars = 0
  let isCut = false
  for (const row of statement.iterate()) {
    const text = rows.length < maxRows ? shownRow(row, bodies) : ''
    chars += text.length
    if (rows.length >= maxRows || chars > maxAnswerChars) {
      isCut = true
      break
    }
    rows.push(text)
  }
  if (isCut && rows.length === 0) {
    throw new BadSql(`A row is longer than ${maxAnswerChars / 1024 ** 2} MB, as JSON.`)
  }
  const columns = JSON.stringify(statement.columnNames)
  return `{"columns":${columns},"rows":[${rows.join(',')}],"is_cut":${isCut}}`
}

function shownRow(
  row: Readonly<Record<string, unknown>>,
  bodies: ReturnType<typeof createBodies>,
): string {
  const shown: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(row)) {
    shown[name] = value instanceof Uint8Array ? shownBytes(value, bodies) : value
  }
  return JSON.stringify(shown)
}

/** Bodies are shown; other bytes are no text that could be. */
function shownBytes(value: Uint8Array, bodies: ReturnType<typeof createBodies>): string {
  return bodies(value) ?? `<${value.length} bytes>`
}

/** SQLite takes a text for a name where only a name can stand; these are no values that somebody looks for. */
const forbiddenTexts = /^(?:pragma_\w+|sqlite_dbpage|dbstat)$/i
const forbidden =
  /^(?:attach|detach|pragma\w*|vacuum|load_extension|readfile|writefile|edit|sqlite_dbpage|dbstat|zeroblob|randomblob)$/i

/** What is not looked into, names, in which a `$` may stand, and how parameters begin. A mark of byte order is a space. */
const parts =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|[\w\x80-\ufefe\uff00-\uffff][\w$\x80-\ufefe\uff00-\uffff]*|[$@:#?]/g

/**
 * Throws `BadSql` unless the text is one statement that only reads. The connection could not write anyway; this is
 * what tells so in words, and what keeps out the statements that reach other files.
 */
export function checkSql(sql: string): void {
  if (sql.length > maxSqlChars) throw new BadSql('The statement is too long.')
  if (sql.includes('\0')) throw new BadSql('The statement holds a NUL character.')
  const words = sql
    .replaceAll(parts, (part) => {
      // Behind a name in brackets go on until they are closed, whatever quotes are in them; and nobody gives it a value.
      if (/^[$@:#?]/.test(part)) throw new BadSql('Parameters cannot be used here.')
      const inside = ` ${part.slice(1, -1)} `
      // A quoted name is a name all the same.
      if (/^["`[]/.test(part)) return inside
      if (part.startsWith("'")) return forbiddenTexts.test(inside.trim()) ? inside : ' 0 '
      return isComment(part) ? ' ' : part
    })
    .trim()
    .replace(/;\s*$/, '')
  if (words.includes(';')) throw new BadSql('Only one statement can be run.')
  if (!/^(?:select|with|values)\b/i.test(words)) throw new BadSql('Only SELECT can be run.')
  const bad = words.match(/[\w$]+/g)?.find((word) => forbidden.test(word))
  if (bad !== undefined) throw new BadSql(`'${bad}' cannot be used here.`)
}

function isComment(part: string): boolean {
  return part.startsWith('--') || part.startsWith('/*')
}
