import type { LogSettings, Snapshot } from '#config/snapshot.ts'
import type { Body, Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import { Secret } from '#lib/secret.ts'
import { isEventStream } from '#lib/sse.ts'
import type { Usage } from '#openai/usage.ts'
import type { LogLimits, LogRow } from '#store/logs-schema.ts'
import { lastWords } from '#store/logs-words.ts'
import type { LogStore } from '#store/logs.ts'

import type { CallRecord, CallSink } from './books.ts'
import { tierOf } from './costs.ts'
import { describeBody, describeBytes } from './descriptions.ts'
import type { FailureClass } from './failure.ts'

// What the log keeps of a settled call. Runs on the request path, so it only picks; texts are cleaned, put together
// and packed where the log is written.

/** Gives what takes the configured secrets and these of a call out of a text. */
export type Cleaner = (own: readonly string[]) => (text: string) => string

/** A sink that turns records into rows, for as long as the configuration wants a log. */
export function createJournal(
  logs: LogStore,
  settings: () => LogSettings,
  cleaner: Cleaner,
): CallSink {
  return {
    get isListening() {
      return settings().enabled
    },
    wantsContent: (call) => settings().enabled && keepsContent(call, settings()),
    settled: (record) => logs.add(rowOf(record, settings(), cleaner)),
  }
}

/** Whether what is said in a call may be kept; the call has a say where the configuration lets it. */
function keepsContent(call: Call, settings: LogSettings): boolean {
  if (settings.allowContentOverride) {
    const asked = call.headers['x-bf-disable-content-logging']
    if (asked === 'true') return false
    if (asked === 'false') return true
  }
  return call.caller.keepsContent ?? settings.keepsContent
}

/** What the store has to know of the settings. */
export function limitsOf({ maxAgeMs, maxBytes, maxBodyChars }: LogSettings): LogLimits {
  return { maxAgeMs, maxBytes, maxBodyChars }
}

/** More than is kept is handed on, so that a key across the cut is still found whole. */
const marginChars = 8192

/** The beginning of a text. */
export type Cut = (text: string, maxChars: number) => string

/**
 * Cuts texts that are written as they are cut here: of a key across the cut nobody would find the rest, so that secrets go
 * first. Only of texts that are too long, which are few.
 */
export function cutter(cleaner: Cleaner, secrets: readonly string[]): Cut {
  return (text, maxChars) =>
    text.length <= maxChars
      ? text
      : cleaner(secrets)(text.slice(0, maxChars + marginChars)).slice(0, maxChars)
}

/** What a caller says of a session and of itself, as far as it is kept. */
export function saidOf(
  headers: Readonly<Record<string, string>>,
  cut: Cut,
): { readonly sessionId: string | undefined; readonly userAgent: string | undefined } {
  const sessionId = headers['x-bf-parent-request-id'] ?? headers['x-bf-session-id']
  const userAgent = headers['user-agent']
  return {
    sessionId: sessionId === undefined ? undefined : cut(sessionId, 255),
    userAgent: userAgent === undefined ? undefined : cut(userAgent, 300),
  }
}

function rowOf(record: CallRecord, settings: LogSettings, cleaner: Cleaner): LogRow {
  const { call, usage, error, owner, rule } = record
  const { headers } = call
  const withContent = keepsContent(call, settings)
  const maxChars = settings.maxBodyChars + marginChars
  const { directKey, virtualKey } = call.caller
  const secrets = secretsIn(headers, directKey, record.credential, virtualKey)
  const cut = cutter(cleaner, secrets)
  const { sessionId, userAgent } = saidOf(headers, cut)
  return {
    id: call.id,
    atMs: Math.round(record.arrivedAtMs),
    object: call.endpoint,
    stream: call.stream,
    status: record.outcome === 'success' ? 'success' : 'error',
    statusCode: record.status,
    provider: record.provider,
    model: call.modelRequested,
    modelUsed: record.modelUsed,
    keyId: record.keyId,
    keyName: record.keyName,
    virtualKeyId: owner?.virtualKeyId,
    virtualKeyName: owner?.virtualKeyName,
    teamId: owner?.teamId,
    teamName: owner?.teamName,
    customerId: owner?.customerId,
    customerName: owner?.customerName,
    userId: undefined,
    userName: undefined,
    ruleId: rule?.id,
    ruleName: rule?.name,
    engines: enginesOf(record),
    cacheHitType: undefined,
    sessionId,
    userAgent,
    latencyMs: round(record.totalMs),
    queuedMs: round(record.queuedMs),
    upstreamMs: round(record.upstreamMs),
    firstTokenMs: record.firstTokenMs === undefined ? undefined : round(record.firstTokenMs),
    promptTokens: usage?.inputTokens,
    completionTokens: usage?.outputTokens,
    totalTokens: usage?.totalTokens,
    cachedTokens: usage?.cachedTokens,
    cost: record.cost?.total,
    fallbackIndex: record.fallbackIndex,
    retries: record.retries,
    attempts: record.attempts,
    usage: usage && particularsOf(usage, call),
    error: error && JSON.stringify(errorDetails(error, record.errorClass, cut)),
    trail: record.failed.length === 0 ? undefined : JSON.stringify(record.failed.map(tryOf)),
    dropped: record.dropped.length === 0 ? undefined : JSON.stringify(record.dropped),
    metadata: metadataOf(headers, settings.headers, cut),
    trace: traceOf(call, record.keyName),
    asked: withContent ? askedIn(call) : undefined,
    request: withContent ? requestOf(call.body, maxChars) : undefined,
    answer: withContent ? answerOf(record, maxChars) : undefined,
    secrets,
  }
}

/** The decisions taken for a call; undefined when there was none but for the key, which the row tells itself. */
function traceOf({ trace }: Call, keyName: string | undefined): string | undefined {
  const [first, ...more] = trace.list()
  if (!first || (more.length === 0 && first.step === 'key' && first.what === keyName)) {
    return undefined
  }
  return JSON.stringify(trace.shown())
}

/** To a thousandth of a millisecond: the other digits say nothing, and each has to be written and read. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** What had a say in where a call went, in Bifrost's words. */
export function enginesOf({ owner, rule }: Pick<CallRecord, 'owner' | 'rule'>): string | undefined {
  if (rule) return owner ? 'governance,routing-rule' : 'routing-rule'
  return owner ? 'governance' : undefined
}

/** More than is indexed of it is not handed over. */
const maxAskedChars = 8192 + marginChars

/** What the user said last: parsed already here, and not where the log is written. */
function askedIn({ body }: Call): string | undefined {
  return body.kind === 'json' ? lastWords(body.value)?.slice(0, maxAskedChars) : undefined
}

function requestOf(body: Body, maxChars: number): string | undefined {
  const text = body.kind === 'json' ? body.text : describeBody(body, maxChars)
  return text && beginning(text, maxChars)
}

function answerOf(record: CallRecord, maxChars: number): LogRow['answer'] {
  const { answer, answerType, answerLength } = record
  if (answerType !== undefined && typeof answer !== 'string') {
    if (isEventStream(answerType)) return answer
    return beginning(describeBytes(answerType, answerLength, answer, maxChars), maxChars)
  }
  return typeof answer === 'string' ? beginning(answer, maxChars) : answer
}

function beginning(text: string, maxChars: number): string {
  return text.length > maxChars ? text.slice(0, maxChars) : text
}

/** A usage as JSON text; undefined when the numbers in the row say it all, as they nearly always do. */
function particularsOf(usage: Usage, call: Call): string | undefined {
  const tier = tierOf(call, usage)
  const particulars =
    usage.cacheWriteTokens +
    usage.audioInputTokens +
    usage.imageInputTokens +
    usage.reasoningTokens +
    usage.audioOutputTokens +
    usage.imageOutputTokens +
    usage.acceptedPredictionTokens +
    usage.rejectedPredictionTokens
  if (
    particulars === 0 &&
    usage.audioSeconds === undefined &&
    usage.cacheWrite1hTokens === undefined &&
    usage.citationTokens === undefined &&
    usage.webSearches === undefined &&
    usage.costUsd === undefined &&
    tier === undefined
  ) {
    return undefined
  }
  return JSON.stringify(usageOf(usage, tier))
}

/** In the names of OpenAI's `usage`, the details flat. */
function usageOf(usage: Usage, tier: string | undefined): Record<string, unknown> {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.totalTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedTokens,
      cache_write_tokens: usage.cacheWriteTokens,
      audio_tokens: usage.audioInputTokens,
      image_tokens: usage.imageInputTokens,
    },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoningTokens,
      audio_tokens: usage.audioOutputTokens,
      image_tokens: usage.imageOutputTokens,
      accepted_prediction_tokens: usage.acceptedPredictionTokens,
      rejected_prediction_tokens: usage.rejectedPredictionTokens,
    },
    ...(usage.audioSeconds !== undefined && { audio_seconds: usage.audioSeconds }),
    // What only some providers count; a cost that is computed anew needs all of it.
    ...(usage.cacheWrite1hTokens !== undefined && {
      cache_creation: { ephemeral_1h_input_tokens: usage.cacheWrite1hTokens },
    }),
    ...(usage.citationTokens !== undefined && { citation_tokens: usage.citationTokens }),
    ...(usage.webSearches !== undefined && { num_search_queries: usage.webSearches }),
    ...(usage.costUsd !== undefined && { cost: usage.costUsd }),
    // The one that decides about the price.
    ...(tier !== undefined && { service_tier: tier }),
  }
}

/** An error as the log shows it. */
export function errorDetails(
  error: GatewayError,
  errorClass: FailureClass | undefined,
  cut: Cut,
): Record<string, unknown> {
  return {
    message: cut(error.upstream?.message ?? error.message, 4000),
    type: error.type,
    code: error.code,
    kind: error.kind,
    class: errorClass,
    status_code: error.status,
    is_bifrost_error: error.upstream === undefined,
  }
}

function tryOf(failed: CallRecord['failed'][number]): Record<string, unknown> {
  return {
    provider: failed.provider,
    model: failed.model,
    key_name: failed.key,
    class: failed.failureClass,
    status_code: failed.status,
    at_ms: failed.afterMs && Math.round(failed.afterMs),
    latency: failed.ms && Math.round(failed.ms),
  }
}

/** Headers whose names begin so are kept under the rest of their names. */
const prefixes = ['x-bf-lh-', 'x-bf-dim-'] as const
const maxMetadata = 50
const maxValueChars = 1000
/** What these hold is a key whoever asks for them. */
const neverKept = /^(?:proxy-)?authorization$|^(?:set-)?cookie$|api-?key|^x-bf-vk$|token$|secret/

/** And these are credentials whatever the header is called. */
const credentialValue = /^\s*(Bearer|Basic)\s+\S.*/i

/** The headers that the caller or the configuration want to find again, as JSON text. */
export function metadataOf(
  headers: Readonly<Record<string, string>>,
  wanted: readonly string[],
  cut: Cut,
): string | undefined {
  let found: Record<string, string> | undefined
  let count = 0
  const keep = (name: string, value: string): void => {
    if (neverKept.test(name) || name === '__proto__' || count++ >= maxMetadata) return
    found ??= {}
    found[name] = cut(value.replace(credentialValue, '$1 [redacted]'), maxValueChars)
  }
  for (const name of wanted) {
    const value = headers[name]
    if (value !== undefined) keep(name, value)
  }
  for (const name in headers) {
    if (!name.startsWith('x-bf-')) continue
    for (const prefix of prefixes) {
      if (name.startsWith(prefix) && name.length > prefix.length) {
        keep(name.slice(prefix.length), headers[name]!)
      }
    }
  }
  return found && JSON.stringify(found)
}

/** In which callers send keys. A word of fewer characters than this may stand in any text. */
const keyHeaders = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'x-bf-vk'] as const
const minKeyChars = 12

const noSecrets: readonly string[] = []

/** What came with the call or was obtained for it, which the configuration does not know. */
export function secretsIn(
  headers: Readonly<Record<string, string>>,
  ...more: readonly (Secret | undefined)[]
): readonly string[] {
  let found: string[] | undefined
  const add = (value: string | undefined): void => {
    if (value !== undefined && value.length >= minKeyChars) (found ??= []).push(value)
  }
  for (const name of keyHeaders) {
    const value = headers[name]
    if (value !== undefined) add(value.replace(/^(?:Bearer|Basic)\s+/i, ''))
  }
  for (const secret of more) add(secret?.reveal())
  return found ?? noSecrets
}

/** Every secret of a configuration, those inside of JSON credentials included. */
export function secretsOfConfig(snapshot: Snapshot): readonly string[] {
  const found = new Set<string>()
  const add = (text: string): void => {
    // Regions and the like are given in the same way as keys.
    if (text.length >= minKeyChars && !/^[a-z]+(?:-[a-z]+)+\d?$/.test(text)) found.add(text)
  }
  const walk = (value: unknown, depth: number): void => {
    if (depth > 12 || typeof value !== 'object' || value === null) return
    if (value instanceof Secret) {
      const text = value.reveal()
      add(text)
      if (text.trimStart().startsWith('{')) for (const member of membersOf(text)) add(member)
    } else if (value instanceof Map) for (const each of value.values()) walk(each, depth + 1)
    else for (const each of Object.values(value)) walk(each, depth + 1)
  }
  walk(snapshot, 0)
  for (const address of addressesOf(snapshot)) {
    for (const value of URL.parse(address)?.searchParams.values() ?? []) add(value)
  }
  for (const { network } of snapshot.providers.values()) {
    for (const [name, value] of Object.entries(network.extraHeaders)) {
      if (/key|token|auth|secret|cookie/i.test(name))
        add(value.replace(/^(?:Bearer|Basic)\s+/i, ''))
    }
  }
  return [...found]
}

/** Where the gateway itself sends what it knows; their parameters often are keys. */
function addressesOf({ webhooks, tracing, metrics }: Snapshot): readonly string[] {
  const collectors =
    tracing?.targets.flatMap(({ url, metrics: own }) => [url, own?.url ?? '']) ?? []
  return [...[...webhooks.values()].map(({ url }) => url), ...collectors, metrics.push?.url ?? '']
}

/** The texts of a credential that is a JSON document, such as a private key. */
function membersOf(text: string): string[] {
  try {
    const value = JSON.parse(text) as unknown
    return Object.entries(value ?? {}).flatMap(([name, member]) =>
      typeof member === 'string' && /key|secret|token|password/i.test(name) ? [member] : [],
    )
  } catch {
    // Whatever it is, it is hidden as a whole.
    return []
  }
}
