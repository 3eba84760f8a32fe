import { readFile } from 'node:fs/promises'

import type { Problem } from './problem.ts'

// Bigger than any configuration; what is bigger was named by mistake.
const maxBytes = 16 * 1024 * 1024

export type Source =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly problem: Problem }

/** Reads a configuration file as UTF-8. Never throws. */
export async function readSource(path: string): Promise<Source> {
  try {
    const bytes = await readFile(path)
    if (bytes.byteLength > maxBytes) return unreadable('is too big to be a configuration')
    return { kind: 'text', text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' }
    if (error instanceof TypeError) return unreadable('is not UTF-8 text')
    return unreadable(`cannot be read (${typeof code === 'string' ? code : String(error)})`)
  }
}

function unreadable(message: string): Source {
  return { kind: 'unreadable', problem: wholeFile(`the file ${message}`) }
}

/** A problem with the file as such. */
export function wholeFile(message: string): Problem {
  return { pointer: '', line: 1, column: 1, message }
}
