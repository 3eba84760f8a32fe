export type Level = 'debug' | 'info' | 'warn' | 'error'

export const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']

export type Fields = Readonly<Record<string, unknown>>

/** Writes one line per event. Values that are secrets must be `Secret`s: they print redacted. */
export interface Logger {
  readonly level: Level
  debug(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

/**
 * A logger that drops what is below `level` and hands finished lines to `write`.
 * `json` gives one object per line; `pretty` is for a person at a terminal.
 */
export function createLogger(options: {
  level: Level
  style: 'json' | 'pretty'
  write: (line: string) => void
}): Logger {
  const { level, style, write } = options
  const threshold = LEVELS.indexOf(level)
  const at =
    (own: Level) =>
    (message: string, fields?: Fields): void => {
      if (LEVELS.indexOf(own) < threshold) return
      const time = new Date().toISOString()
      write(
        style === 'json'
          ? jsonLine({ time, level: own, message, ...fields })
          : `${time.slice(11, 23)} ${own.toUpperCase().padEnd(5)} ${message}${prettyFields(fields)}\n`,
      )
    }
  return { level, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function jsonLine(record: Fields): string {
  try {
    return `${JSON.stringify(record, plain)}\n`
  } catch (cause) {
    // A cyclic value must not cost us the line that reports a failure.
    const { time, level, message } = record
    return `${JSON.stringify({ time, level, message, fields: `not printable: ${String(cause)}` })}\n`
  }
}

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) {
    return { name: value.name, message: value.message, stack: value.stack, cause: value.cause }
  }
  return typeof value === 'bigint' ? String(value) : value
}

function prettyFields(fields: Fields | undefined): string {
  if (!fields) return ''
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        ` ${key}=${typeof value === 'string' ? value : jsonLine({ value }).slice(9, -2)}`,
    )
    .join('')
}
