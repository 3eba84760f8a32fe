import { readFileSync, statSync } from 'node:fs'

import { Secret } from '#lib/secret.ts'

import type { Environment } from './reference.ts'
import type { VendorFacts } from './snapshot.ts'

const maxFileBytes = 256 * 1024

/**
 * What the environment says for a vendor, by the name of the variable. Where a variable names a file the file's
 * content stands in its place; a file that cannot be read counts as not set.
 */
export function buildAmbient(facts: VendorFacts, env: Environment): Record<string, Secret> {
  const ambient: Record<string, Secret> = {}
  for (const { name, isFile } of facts.ambient ?? []) {
    const value = env[name]?.trim()
    if (!value) continue
    const found = isFile ? contentOf(value) : value
    if (found !== undefined) ambient[name] = new Secret(found)
  }
  return ambient
}

function contentOf(path: string): string | undefined {
  try {
    return statSync(path).size > maxFileBytes ? undefined : readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
