// How figures are written: one markdown table, numbers as measured.

/** One line of the table; `met` is undefined where no target was set or nothing could be measured. */
export interface Row {
  scenario: string
  floor: string
  gateway: string
  ratio: string
  target: string
  met: boolean | undefined
}

export const missing = 'n/a'

/** The table in markdown, without a line end. */
export function renderRows(rows: readonly Row[]): string {
  return renderTable(
    ['scenario', 'floor', 'gateway', 'ratio', 'target', 'met'],
    rows.map((row) => [
      row.scenario,
      row.floor,
      row.gateway,
      row.ratio,
      row.target,
      row.met === undefined ? '–' : row.met ? 'yes' : 'no',
    ]),
  )
}

/** Columns as wide as their widest cell, all but the first aligned to the right. */
export function renderTable(
  titles: readonly string[],
  cells: readonly (readonly string[])[],
): string {
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => (row[column] ?? '').length)),
  )
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join(' | ')} |`
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  return [line(titles), `| ${rule.join(' | ')} |`, ...cells.map(line)].join('\n')
}

/** A number with as many digits as it has meaning: 1,234 · 56.7 · 0.89. */
export function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return missing
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

/** Microseconds as milliseconds. */
export function ms(us: number): string {
  return `${figure(us / 1000)} ms`
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}
