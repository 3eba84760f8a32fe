import type { LogSettings } from '#config/snapshot.ts'
import type { Owner } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import { epochMs } from '#lib/clock.ts'
import type { LogRow } from '#store/logs-schema.ts'
import type { LogStore } from '#store/logs.ts'

import { failureClass } from './failure.ts'
import { cutter, errorDetails, metadataOf, saidOf, secretsIn } from './journal.ts'
import type { Cleaner } from './journal.ts'

// Requests that were refused before they became calls: bodies that are no JSON, models nobody can read, routes that are
// not there, callers who may not. They leave a row each, without what was said, for as long as they are few. A flood of
// them is counted, so that it pushes no real call out of the log.

export interface Refusal {
  readonly id: string
  /** As `x-bifrost-request-type`. */
  readonly requestType: string
  readonly error: GatewayError
  readonly headers: Readonly<Record<string, string>>
  /** `performance.now()` of the arrival. */
  readonly startedAt: number
  /** Whose virtual key it came with. */
  readonly owner?: Owner | undefined
  /** As the caller wrote it, where that was found out before the refusal. */
  readonly model?: string | undefined
}

export interface Refusals {
  note(refusal: Refusal): void
  /** Refusals without a row, since the start. */
  readonly omitted: number
}

/** Rows at once for errors of the same code, and for all together; then so many more in each minute. */
const burstOfCode = 60
const perMinuteOfCode = 6
const burstOfAll = 300
const perMinuteOfAll = 30
/** Codes are ours, and few; models' names and the like are no part of them. */
const maxCodes = 200
const maxModelChars = 200

/** Takes notes for as long as the configuration wants a log. */
export function createRefusals(
  logs: Pick<LogStore, 'add'>,
  settings: () => LogSettings,
  cleaner: Cleaner,
  now: () => number = () => performance.now(),
): Refusals {
  const all = createAllowance(burstOfAll, perMinuteOfAll, now())
  const byCode = new Map<string, Allowance>()
  let omitted = 0
  return {
    note(refusal) {
      const { enabled, headers: wanted } = settings()
      if (!enabled) return
      const code = refusal.error.code ?? refusal.error.kind
      let own = byCode.get(code)
      if (!own) {
        if (byCode.size >= maxCodes) byCode.clear()
        byCode.set(code, (own = createAllowance(burstOfCode, perMinuteOfCode, now())))
      }
      if (!take(own, now()) || !take(all, now())) {
        omitted++
        own.omitted++
        return
      }
      const { omitted: before } = own
      own.omitted = 0
      const noted = { wanted, cleaner, omittedBefore: before, now: now() }
      logs.add(rowOf(refusal, noted))
    },
    get omitted() {
      return omitted
    },
  }
}

interface Allowance {
  readonly burst: number
  readonly perMinute: number
  left: number
  at: number
  /** Without a row since the last one that has one. */
  omitted: number
}

function createAllowance(burst: number, perMinute: number, at: number): Allowance {
  return { burst, perMinute, left: burst, at, omitted: 0 }
}

function take(allowance: Allowance, now: number): boolean {
  const { burst, perMinute, at } = allowance
  allowance.left = Math.min(burst, allowance.left + ((now - at) / 60_000) * perMinute)
  allowance.at = now
  if (allowance.left < 1) return false
  allowance.left--
  return true
}

interface Noted {
  /** Headers that the configuration wants. */
  readonly wanted: readonly string[]
  readonly cleaner: Cleaner
  readonly omittedBefore: number
  readonly now: number
}

function rowOf(
  { id, requestType, error, headers, startedAt, model, owner }: Refusal,
  { wanted, cleaner, omittedBefore, now }: Noted,
): LogRow {
  const secrets = secretsIn(headers)
  const cut = cutter(cleaner, secrets)
  const stream = requestType.endsWith('_stream')
  const details = {
    ...errorDetails(error, failureClass(error), cut),
    // What no row was made of is at least told with the next one.
    ...(omittedBefore > 0 && { omitted_before: omittedBefore }),
  }
  return {
    id,
    atMs: Math.round(epochMs(startedAt)),
    object: stream ? requestType.slice(0, -'_stream'.length) : requestType,
    stream,
    status: 'error',
    statusCode: error.status,
    provider: '',
    model: model === undefined ? undefined : cut(model, maxModelChars),
    modelUsed: undefined,
    keyId: undefined,
    keyName: undefined,
    virtualKeyId: owner?.virtualKeyId,
    virtualKeyName: owner?.virtualKeyName,
    teamId: owner?.teamId,
    teamName: owner?.teamName,
    customerId: owner?.customerId,
    customerName: owner?.customerName,
    ...saidOf(headers, cut),
    latencyMs: now - startedAt,
    queuedMs: 0,
    upstreamMs: 0,
    firstTokenMs: undefined,
    promptTokens: undefined,
    completionTokens: undefined,
    totalTokens: undefined,
    cachedTokens: undefined,
    cost: undefined,
    fallbackIndex: 0,
    retries: 0,
    attempts: 0,
    usage: undefined,
    error: JSON.stringify(details),
    trail: undefined,
    dropped: undefined,
    metadata: metadataOf(headers, wanted, cut),
    trace: undefined,
    request: undefined,
    answer: undefined,
    secrets,
  }
}
