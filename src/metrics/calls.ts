import type { PrometheusLabel, Snapshot } from '#config/snapshot.ts'
import type { Owner } from '#core/call.ts'
import type { CallRecord, CallSink, FailedTry } from '#pipeline/books.ts'
import { createCleaner } from '#pipeline/cleaner.ts'
import { enginesOf, secretsIn } from '#pipeline/journal.ts'
import type { Cleaner } from '#pipeline/journal.ts'

import { errorType, typeOfClass } from './errors.ts'
import {
  FIRST_TOKEN_SECONDS,
  Histogram,
  INTER_TOKEN_SECONDS,
  OVERHEAD_MICROSECONDS,
  RETRIES,
  UPSTREAM_SECONDS,
} from './histogram.ts'
import type { Buckets } from './histogram.ts'
import { labelText, shortened } from './labels.ts'
import { Routes } from './routes.ts'
import { below, COMPONENTS, OTHER, Series, SeriesSet } from './series.ts'
import type { Step } from './series.ts'
import { surfaceOf } from './surfaces.ts'

const maxErrors = 64
const maxRotations = 1000

/** Takes note of every settled call. */
export class CallMetrics implements CallSink {
  readonly series = new SeriesSet()
  readonly routes = new Routes()
  /** Failed tries after which another key was asked, by the text of their labels. */
  readonly rotations = new Map<string, number>()
  readonly #snapshot: () => Snapshot
  readonly #cleaner: Cleaner

  constructor(snapshot: () => Snapshot) {
    this.#snapshot = snapshot
    this.#cleaner = createCleaner(snapshot)
  }

  get isListening(): boolean {
    return this.#snapshot().metrics.enabled
  }

  settled(record: CallRecord): void {
    const snapshot = this.#snapshot()
    const { attempts, failed, upstreamMs, totalMs } = record
    if (failed.length > 0) this.#failedTries(record, snapshot)
    const series = this.#seriesOf(record, snapshot)
    const isServed = record.outcome === 'success'
    // A call that failed as a whole may have ended with one of those tries, which has been counted then.
    const isCounted = !isServed && failed.length > 0 && sentOf(failed) >= attempts
    if (isServed) success(series, record)
    else failure(series, record, isCounted)
    if (attempts > 0) {
      if (!isCounted) series.counters[0]!++
      if (isServed) observe(series, 0, UPSTREAM_SECONDS, upstreamMs / 1000)
      else {
        series.failedLatency ??= new Histogram(UPSTREAM_SECONDS)
        series.failedLatency.observe(upstreamMs / 1000)
      }
      observe(series, 1, OVERHEAD_MICROSECONDS, Math.max(0, (totalMs - upstreamMs) * 1000))
      observe(series, 4, RETRIES, attempts - 1)
      if (snapshot.metrics.overheadComponents) components(series, record)
    }
    if (record.queuedMs > 0) observe(series, 5, UPSTREAM_SECONDS, record.queuedMs / 1000)
    this.#route(record)
  }

  /** A request that became no call, by the pattern of its route. */
  answered(path: string, method: string, status: number, afterMs: number, bytes: number): void {
    if (!this.isListening) return
    const route = this.routes.at(path, method, status)
    route.seconds.observe(afterMs / 1000)
    if (bytes > 0) route.requestBytes.observe(bytes)
  }

  /** Each failed try counts for the provider and key that failed. */
  #failedTries(record: CallRecord, snapshot: Snapshot): void {
    const { failed } = record
    for (let i = 0; i < failed.length; i++) {
      const tried = failed[i]!
      const series = this.#seriesOf(record, snapshot, tried)
      if (tried.isUnsent !== true) series.counters[0]!++
      // That no key is left is what a call ends with, and the last of its tries stands for it.
      const isEnd = i === failed.length - 1 && record.error?.kind === 'credentials_exhausted'
      addError(series, tried.status, isEnd ? errorType(record.error, undefined) : typeOfTry(tried))
      const next = failed[i + 1]
      const nextProvider = next?.provider ?? record.provider
      const nextKey = next ? next.key : record.keyName
      if (nextProvider === tried.provider && nextKey !== tried.key && tried.isUnsent !== true) {
        this.#rotated(record, tried, snapshot)
      }
    }
  }

  #rotated(record: CallRecord, tried: FailedTry, snapshot: Snapshot): void {
    const labels = labelText([
      ['provider', tried.provider],
      ['requested_model', record.call.model],
      ['key_id', keyIdOf(snapshot, tried.provider, tried.key)],
      ['key_name', tried.key],
      ['fail_reason', typeOfClass(tried.failureClass)],
    ])
    const hasPlace =
      this.rotations.has(labels) ||
      (this.rotations.size < maxRotations && !this.#hasSecret(record, []))
    const text = hasPlace ? labels : overflowText
    this.rotations.set(text, (this.rotations.get(text) ?? 0) + 1)
  }

  /** Where a call counts, or one of its failed tries. */
  #seriesOf(record: CallRecord, snapshot: Snapshot, tried?: FailedTry): Series {
    const { call, requestType, owner, rule } = record
    const { prometheusLabels } = snapshot.client
    const provider = tried?.provider ?? record.provider
    const keyName = tried ? keyAsked(tried) : record.keyName
    const isLast = provider === record.provider
    // What callers wrote may be of any length, and is kept.
    const asked = call.model === undefined ? undefined : shortened(call.model)
    const used = isLast ? record.modelUsed : undefined
    const model = used === undefined ? asked : shortened(used)
    const index = isLast ? record.fallbackIndex : provider === call.provider ? 0 : undefined
    const whose = owner && ownerStep(owner)
    const ruled = rule && `${rule.id}\n${rule.name}`

    let at = below(this.series.root(prometheusLabels), requestType)
    at = below(at, provider)
    at = below(at, model)
    at = below(at, asked)
    at = below(at, index)
    at = below(at, whose)
    at = below(at, ruled)
    // Nearly last: a thousand keys share the way to here.
    at = below(at, keyName)
    for (const label of prometheusLabels) at = below(at, valueOf(label, call.headers))
    if (at !== undefined) return at as Series
    const { maxLabelSets } = snapshot.metrics
    if (this.series.size >= maxLabelSets || this.#hasSecret(record, prometheusLabels)) {
      return this.series.overflow(provider, requestType, maxLabelSets)
    }

    const custom = prometheusLabels.map(
      (label) => [label.name, valueOf(label, call.headers)] as const,
    )
    const steps: Step[] = [requestType, provider, model, asked, index, whose, ruled, keyName]
    return this.series.add(
      [...steps, ...custom.map(([, value]) => value)],
      [
        ['provider', provider],
        ['model', model],
        ['alias', model === asked ? undefined : asked],
        ['method', requestType],
        ['virtual_key_id', owner?.virtualKeyId],
        ['virtual_key_name', owner?.virtualKeyName],
        ['routing_engine_used', enginesOf(record)],
        ['routing_rule_id', rule?.id],
        ['routing_rule_name', rule?.name],
        ['selected_key_id', keyIdOf(snapshot, provider, keyName)],
        ['selected_key_name', keyName],
        ['fallback_index', index === undefined ? undefined : String(index)],
        ['team_id', owner?.teamId],
        ['team_name', owner?.teamName],
        ['customer_id', owner?.customerId],
        ['customer_name', owner?.customerName],
        ...custom,
      ],
    )
  }

  /** Whether a key stands in what becomes a label, be it by mistake. Looked at only when labels are new. */
  #hasSecret(
    { call, modelUsed, credential }: CallRecord,
    labels: readonly PrometheusLabel[],
  ): boolean {
    const { headers, model, caller } = call
    const { directKey, virtualKey } = caller
    const clean = this.#cleaner(secretsIn(headers, directKey, credential, virtualKey))
    const values = [model, modelUsed, ...labels.map((label) => textOf(label, headers))]
    return values.some((value) => value !== undefined && clean(value) !== value)
  }

  /** Calls that the gateway makes for itself, such as those of jobs, came by no route. */
  #route({ call, status, totalMs, answerLength }: CallRecord): void {
    const { origin } = call
    const surface = origin instanceof Request ? surfaceOf(origin.url) : undefined
    if (surface === undefined) return
    const route = this.routes.of(surface, call.endpoint, call.method, status)
    route.seconds.observe(totalMs / 1000)
    const { body } = call
    if (body.kind === 'json') route.requestBytes.observe(body.text.length)
    else if (body.kind === 'bytes') route.requestBytes.observe(body.bytes.length)
    if (answerLength > 0) route.responseBytes.observe(answerLength)
  }
}

function sentOf(failed: readonly FailedTry[]): number {
  return failed.reduce((sum, { isUnsent }) => (isUnsent === true ? sum : sum + 1), 0)
}

/** One that was drawn and never used has no part in it. */
function keyAsked({ key, isUnsent }: FailedTry): string | undefined {
  return isUnsent === true ? undefined : key
}

function typeOfTry({ failureClass, isUnsent }: FailedTry): string {
  // Of what the gateway itself decides before anything is sent, there is only that it has no room.
  return isUnsent === true && failureClass === 'gateway'
    ? 'bifrost_dropped'
    : typeOfClass(failureClass)
}

const overflowText = `provider="${OTHER}"`

/** Owners live as long as their configuration; one that was renamed or moved is another one. */
const ownerSteps = new WeakMap<Owner, string>()

function ownerStep(owner: Owner): string {
  let step = ownerSteps.get(owner)
  if (step === undefined) ownerSteps.set(owner, (step = JSON.stringify(owner)))
  return step
}

function keyIdOf(
  { providers }: Snapshot,
  provider: string,
  keyName: string | undefined,
): string | undefined {
  return providers.get(provider)?.keys.find(({ name }) => name === keyName)?.id
}

function success(series: Series, { usage, cost, firstTokenMs, pace }: CallRecord): void {
  const { counters, histograms } = series
  counters[1]!++
  if (firstTokenMs !== undefined) {
    observe(series, 2, FIRST_TOKEN_SECONDS, firstTokenMs / 1000)
    if (pace && pace.count > 0) (histograms[3] ??= new Histogram(INTER_TOKEN_SECONDS)).add(pace)
  }
  if (usage) tokens(counters, usage)
  if (cost) counters[8]! += cost.total
  else if (usage) counters[10]!++
}

function failure(series: Series, record: CallRecord, isCounted: boolean): void {
  const { error, errorClass, status, usage, cost } = record
  if (!isCounted) addError(series, status, errorType(error, errorClass))
  if (error?.kind === 'queue_full') series.dropped++
  // A stream that broke off has been paid for as far as it came.
  if (usage) tokens(series.counters, usage)
  if (cost) series.counters[8]! += cost.total
}

/** What the record knows of where the gateway's own time went. */
function components(series: Series, record: CallRecord): void {
  const { overhead, queuedMs, totalMs, upstreamMs } = record
  if (!overhead) return
  const { askedMs, requestMs, responseMs } = overhead
  const routing = Math.max(0, askedMs - Math.min(queuedMs, askedMs))
  const rest = totalMs - upstreamMs - queuedMs - routing - requestMs - responseMs
  const ms = [queuedMs, routing, requestMs, responseMs, Math.max(0, rest)]
  series.components ??= Array.from({ length: COMPONENTS.length })
  for (let i = 0; i < ms.length; i++) {
    series.components[i] ??= new Histogram(OVERHEAD_MICROSECONDS)
    series.components[i]!.observe(ms[i]! * 1000)
  }
}

/** `index` by the order of `HISTOGRAMS`. */
function observe({ histograms }: Series, index: number, shape: Buckets, value: number): void {
  histograms[index] ??= new Histogram(shape)
  histograms[index].observe(value)
}

function tokens(counters: Float64Array, usage: NonNullable<CallRecord['usage']>): void {
  const { cacheWriteTokens, cacheWrite1hTokens } = usage
  counters[2]! += usage.inputTokens
  counters[3]! += usage.outputTokens
  counters[4]! += usage.cachedTokens
  counters[5]! += cacheWriteTokens
  if (cacheWrite1hTokens !== undefined) {
    counters[6]! += Math.max(0, cacheWriteTokens - cacheWrite1hTokens)
    counters[7]! += cacheWrite1hTokens
  }
  counters[9]! += usage.reasoningTokens
}

function addError({ errors }: Series, status: number, type: string): void {
  let text = `status_code="${status}",error_type="${type}"`
  if (errors.size >= maxErrors && !errors.has(text)) text = `error_type="_OTHER"`
  errors.set(text, (errors.get(text) ?? 0) + 1)
}

/** Undefined for an empty value too: it is the same label. */
function valueOf(
  label: PrometheusLabel,
  given: Readonly<Record<string, string>>,
): string | undefined {
  const value = textOf(label, given)
  return value === undefined ? undefined : shortened(value)
}

/** As the caller sent it. */
function textOf(
  { headers }: PrometheusLabel,
  given: Readonly<Record<string, string>>,
): string | undefined {
  for (const header of headers) {
    const value = given[header]
    if (value !== undefined) return value === '' ? undefined : value
  }
  return undefined
}
