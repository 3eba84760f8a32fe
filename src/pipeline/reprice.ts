import type { Snapshot } from '#config/snapshot.ts'
import { readUsage } from '#openai/usage.ts'
import { priceOf } from '#prices/price.ts'
import { tierNamed } from '#prices/tiers.ts'
import type { PricedRow } from '#store/logs-reprice.ts'
import type { LogStore } from '#store/logs.ts'

// Costs of logged calls, computed anew with the prices that are known now for the day of each call.

/**
 * What a logged call cost; null when nobody knows, and undefined, which leaves a row alone, when its provider is no
 * longer configured.
 */
export function costOfRow(row: PricedRow, snapshot: Snapshot): number | null | undefined {
  const settings = snapshot.providers.get(row.provider)
  const written = parsedOrNothing(row.usage)
  const usage = readUsage(written)
  if (!settings || !usage) return undefined
  const { model, modelUsed, object, atMs } = row
  const prefix = `${row.provider}/`
  const asked = model?.startsWith(prefix) ? model.slice(prefix.length) : model
  const models = [modelUsed ?? undefined, asked ?? undefined]
  const serviceTier = tierNamed(usage.serviceTier)
  const whose = { keyId: row.keyId ?? undefined, virtualKeyId: row.virtualKeyId ?? undefined }
  const work = { settings, models, endpoint: object, atMs, serviceTier, ...whose }
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

/** How a run stands that prices the calls whose cost is not known. */
export interface RepricingStatus {
  readonly state: 'idle' | 'running' | 'completed' | 'cancelled' | 'failed'
  /** Rows looked at, rows that have a cost now, and rows whose cost is still not known. */
  readonly processed: number
  readonly updated: number
  readonly skipped: number
  readonly startedAtMs: number | undefined
  readonly endedAtMs: number | undefined
  readonly failure: string | undefined
}

export interface Repricing {
  /** Whether it began; false while another run is under way. */
  start(rowsInStep: number): boolean
  cancel(): void
  readonly status: RepricingStatus
}

const pauseMs = 5
const idle: RepricingStatus = {
  state: 'idle',
  processed: 0,
  updated: 0,
  skipped: 0,
  startedAtMs: undefined,
  endedAtMs: undefined,
  failure: undefined,
}

/** Reads and writes in the threads of the log; here a row is only priced. One run at a time. */
export function createRepricing(logs: LogStore, snapshot: () => Snapshot): Repricing {
  let status = idle
  let run = { isCancelled: false }

  async function walk(rowsInStep: number, own: typeof run): Promise<void> {
    let after = 0
    while (!own.isCancelled) {
      const about = { of: 'unpriced', after, limit: rowsInStep } as const
      const text = await logs.ask({ kind: 'sums', about, filters: {} })
      const rows = JSON.parse(text) as PricedRow[]
      const costs: [number, number][] = []
      for (const row of rows) {
        const cost = costOfRow(row, snapshot())
        if (typeof cost === 'number') costs.push([row.n, cost])
      }
      const updated = costs.length === 0 ? 0 : await logs.change({ kind: 'cost', costs })
      status = {
        ...status,
        processed: status.processed + rows.length,
        updated: status.updated + updated,
        skipped: status.skipped + rows.length - updated,
      }
      if (rows.length < rowsInStep) return
      after = rows.at(-1)!.n
      await Bun.sleep(pauseMs)
    }
  }

  return {
    start(rowsInStep) {
      if (status.state === 'running') return false
      run = { isCancelled: false }
      const own = run
      status = { ...idle, state: 'running', startedAtMs: Date.now() }
      const end = (state: RepricingStatus['state'], failure?: string): void => {
        status = { ...status, state, failure, endedAtMs: Date.now() }
      }
      walk(rowsInStep, own).then(
        () => end(own.isCancelled ? 'cancelled' : 'completed'),
        (thrown: unknown) => end('failed', thrown instanceof Error ? thrown.message : 'unknown'),
      )
      return true
    },
    cancel() {
      run.isCancelled = true
    },
    get status() {
      return status
    },
  }
}
