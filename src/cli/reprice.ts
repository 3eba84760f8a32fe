import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { loadConfig } from '#config/load.ts'
import type { Environment } from '#config/reference.ts'
import { readSource } from '#config/source.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { costOfRow } from '#pipeline/reprice.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'
import { repriceLog } from '#store/logs-reprice.ts'

import { problemLine } from './check.ts'
import { parseFlags } from './flags.ts'

/**
 * `asbru reprice [--missing] [--dry-run]`: computes the cost of logged calls anew, with the prices that this build and
 * the configuration have for the day of each call; a gateway may be running. Returns the exit code.
 */
export async function reprice(argv: readonly string[], env: Environment): Promise<number> {
  const parsed = parseFlags(argv, env, { missing: 'boolean', 'dry-run': 'boolean' })
  if (!parsed.ok) return usageError(parsed.message)
  if (parsed.positionals.length > 0) return usageError('reprice takes only flags')
  const { configPath, configGiven, appDir } = parsed.flags
  const source = await readSource(configPath)
  if (source.kind === 'unreadable' || (source.kind === 'missing' && configGiven)) {
    const why = source.kind === 'missing' ? 'does not exist' : source.problem.message
    console.error(`asbru: ${configPath}: ${why}`)
    return 1
  }
  const { snapshot, problems } = loadConfig({
    text: source.kind === 'text' ? source.text : undefined,
    path: source.kind === 'text' ? configPath : undefined,
    env,
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
  })
  if (!snapshot) {
    for (const problem of problems) console.error(problemLine(configPath, problem))
    return 1
  }
  const path = join(appDir, 'logs.db')
  if (!existsSync(path)) {
    console.error(`asbru: ${path} does not exist; nothing has been logged there.`)
    return 1
  }
  const isDry = parsed.own['dry-run'] === true
  const onlyMissing = parsed.own['missing'] === true
  try {
    const { seen, changed, unpriced } = await repriceLog(path, (row) => costOfRow(row, snapshot), {
      onlyMissing,
      isDry,
    })
    console.log(
      `${seen} calls looked at, ${changed} ${isDry ? 'would change' : 'changed'}, ${unpriced} without a known price`,
    )
    return 0
  } catch (thrown) {
    console.error(`asbru: ${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    return 1
  }
}

function usageError(message: string): number {
  console.error(`asbru: ${message.replace(/\.$/, '')}.\nSee asbru help.`)
  return 2
}
