import { Database } from 'bun:sqlite'

import { rowsWith } from '#store/logs-lookup.ts'

/** The numbers of all rows that the index of words of a log has for a search. */
export function numbersWith(path: string, search: string): number[] {
  using sqlite = new Database(path, { readonly: true })
  const among = rowsWith(sqlite, search)
  const numbers: number[] = []
  for (let n = among.low; n <= among.high; n++) if (among.has(n)) numbers.push(n)
  return numbers
}
