import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { loadConfig } from '#config/load.ts'
import { isRecord } from '#config/record.ts'
import type { Environment } from '#config/reference.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { readSource } from '#config/source.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { readUsage } from '#openai/usage.ts'
import { priceOf } from '#prices/price.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'
import { repriceLog } from '#store/logs-reprice.ts'
import type { PricedRow } from '#store/logs-reprice.ts'

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
    const { seen, changed, unpriced } = await repriceLog(path, (row) => costOf(row, snapshot), {
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

/** Undefined, which leaves a row alone, when its provider is no longer configured. */
function costOf(row: PricedRow, snapshot: Snapshot): number | null | undefined {
  const settings = snapshot.providers.get(row.provider)
  const written = parsedOrNothing(row.usage)
  const usage = readUsage(written)
  if (!settings || !usage) return undefined
  const { model, modelUsed, object, atMs } = row
  const prefix = `${row.provider}/`
  const asked = model?.startsWith(prefix) ? model.slice(prefix.length) : model
  const models = [modelUsed ?? undefined, asked ?? undefined]
  const serviceTier = isRecord(written) ? written['service_tier'] : undefined
  const work = { settings, models, endpoint: object, atMs, serviceTier }
  return priceOf(work, usage, snapshot)?.total ?? null
}

function parsedOrNothing(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // A row that somebody else wrote; it is left alone.
    return undefined
  }
}

function usageError(message: string): number {
  console.error(`asbru: ${message}.\nSee asbru help.`)
  return 2
}
