import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { createDb } from '#store/db.ts'
import type { Db } from '#store/db.ts'
import { createResponseStore } from '#store/responses.ts'
import type { NewResponse, ResponseStore } from '#store/responses.ts'
import type { Limits } from '#store/sweep.ts'

export const ROOMY: Limits = { maxAgeMs: 1e9, maxBytes: 1e9, maxCount: 1e6 }

export interface StoreRig extends Disposable {
  readonly dir: string
  readonly path: string
  readonly db: Db
  readonly store: ResponseStore
  readonly logs: { readonly level: string; readonly message: string }[]
  /** What the store takes for now. */
  clock: { nowMs: number }
  /** Another one over the same file, as after a restart. */
  again(): ResponseStore
}

/** A store in a folder of its own, or in memory. */
export function storeRig(where: 'file' | 'memory' = 'file', retryMs?: number): StoreRig {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-store-'))
  const path = join(dir, 'asbru.db')
  const logs: StoreRig['logs'] = []
  const log = createLogger({
    level: 'debug',
    style: 'json',
    write: (line) => void logs.push(JSON.parse(line) as (typeof logs)[number]),
  })
  const clock = { nowMs: 1_000_000_000 }
  const open: ResponseStore[] = []
  const make = (db: Db): ResponseStore => {
    const store = createResponseStore(db, log, () => clock.nowMs)
    open.push(store)
    return store
  }
  const options = { path: where === 'file' ? path : undefined, log }
  const db = createDb({ ...options, ...(retryMs !== undefined && { retryMs }) })
  return {
    dir,
    path,
    db,
    store: make(db),
    logs,
    clock,
    again: () => make(createDb(options)),
    [Symbol.dispose]() {
      for (const store of open) store.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A response of one question and one answer. */
export function response(id: string, more: Partial<NewResponse> = {}): NewResponse {
  return {
    id,
    owner: '',
    previousId: undefined,
    provider: 'mock',
    model: 'm',
    head: JSON.stringify({ id, object: 'response' }),
    input: [item(`in_${id}`)],
    output: [item(`out_${id}`)],
    ...more,
  }
}

export function item(id: string): { id: string; text: string } {
  return { id, text: JSON.stringify({ id, type: 'message' }) }
}
