import type { Snapshot, TraceTarget } from '#config/snapshot.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import type { CallRecord, FailedTry } from '#pipeline/books.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { askedIn, saidIn, withoutSecrets } from './content.ts'
import { newId } from './context.ts'
import type { SpanContext } from './context.ts'

// One settled call as spans of OTLP's JSON: what the gateway did for its caller, in it what providers did for the
// gateway, and in that each try where there was more than one. Names are those of OpenTelemetry's conventions for HTTP
// and for generative AI, as read in November 2026.

type Value = string | number | boolean | readonly string[] | undefined
type Values = Readonly<Record<string, Value>>

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

const serverKind = 2
const clientKind = 3
const errorStatus = { code: 2 }

/** The spans of a call as JSON texts. */
export function spansOf(
  record: CallRecord,
  context: SpanContext,
  target: TraceTarget,
  snapshot: Snapshot,
): string[] {
  const server = serverSpan(record, context, target)
  if (record.attempts === 0) return [server]
  const client = clientSpan(record, context, target, snapshot)
  return [server, client, ...triesOf(record, context, snapshot)]
}

function serverSpan(
  record: CallRecord,
  { traceId, spanId, parentId, state }: SpanContext,
  target: TraceTarget,
): string {
  const { call, arrivedAtMs, totalMs, status, error, owner, rule } = record
  const known = (ENDPOINTS as Partial<typeof ENDPOINTS>)[call.endpoint as KnownEndpoint]
  const route = `/openai${known?.path ?? '/*'}`
  return JSON.stringify({
    traceId,
    spanId,
    ...(parentId !== undefined && { parentSpanId: parentId }),
    ...(state !== undefined && { traceState: state }),
    name: `${call.method} ${route}`,
    kind: serverKind,
    startTimeUnixNano: nanos(arrivedAtMs),
    endTimeUnixNano: nanos(arrivedAtMs + totalMs),
    attributes: attributes({
      'http.request.method': call.method,
      'http.route': route,
      'http.response.status_code': status,
      'error.type': error?.kind,
      'session.id': call.headers['x-bf-session-id'],
      'asbru.request_id': call.id,
      'asbru.queued_ms': record.queuedMs > 0 ? record.queuedMs : undefined,
      'asbru.virtual_key_id': owner?.virtualKeyId,
      'asbru.virtual_key_name': owner?.virtualKeyName,
      'asbru.team_id': owner?.teamId,
      'asbru.team_name': owner?.teamName,
      'asbru.customer_id': owner?.customerId,
      'asbru.customer_name': owner?.customerName,
      'asbru.routing_rule_id': rule?.id,
      'asbru.routing_rule_name': rule?.name,
      ...headersFor(target, call.headers),
    }),
    events: call.trace.list().map(({ atMs, step, what }) => ({
      timeUnixNano: nanos(arrivedAtMs + atMs),
      name: step,
      attributes: attributes({ 'asbru.decision': what }),
    })),
    // A caller's mistake is no error of the one who says so.
    ...(status >= 500 && { status: { ...errorStatus, message: error?.message } }),
  })
}

/** Never told, whatever the configuration names. */
const secretHeader = /^(?:authorization|cookie|proxy-authorization|x-bf-vk|.*api-key|.*token)$/

function headersFor(
  { requestHeaders }: TraceTarget,
  headers: Readonly<Record<string, string>>,
): Record<string, readonly string[]> {
  const told: Record<string, readonly string[]> = {}
  if (requestHeaders.length === 0) return told
  for (const [name, value] of Object.entries(headers)) {
    const isAsked = requestHeaders.some((asked) =>
      asked.endsWith('*') ? name.startsWith(asked.slice(0, -1)) : name === asked,
    )
    if (isAsked && !secretHeader.test(name)) told[`http.request.header.${name}`] = [value]
  }
  return told
}

function clientSpan(
  record: CallRecord,
  { traceId, spanId, clientId }: SpanContext,
  target: TraceTarget,
  snapshot: Snapshot,
): string {
  const { call, arrivedAtMs, totalMs, usage, error, firstTokenMs } = record
  const operation = operations[call.endpoint] ?? call.endpoint
  const body = call.body.kind === 'json' ? call.body.value : {}
  const end = arrivedAtMs + totalMs
  const model = record.modelUsed ?? call.model
  const said = saidIn(record)
  return JSON.stringify({
    traceId,
    spanId: clientId,
    parentSpanId: spanId,
    name: model === undefined ? operation : `${operation} ${model}`,
    kind: clientKind,
    startTimeUnixNano: nanos(arrivedAtMs + askedMs(record)),
    endTimeUnixNano: nanos(end),
    attributes: attributes({
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': providers[record.provider] ?? record.provider,
      'gen_ai.request.model': model,
      'gen_ai.request.stream': call.stream || undefined,
      'gen_ai.request.max_tokens':
        number(body['max_completion_tokens']) ??
        number(body['max_tokens']) ??
        number(body['max_output_tokens']),
      'gen_ai.request.temperature': number(body['temperature']),
      'gen_ai.request.top_p': number(body['top_p']),
      'gen_ai.request.frequency_penalty': number(body['frequency_penalty']),
      'gen_ai.request.presence_penalty': number(body['presence_penalty']),
      'gen_ai.request.seed': number(body['seed']),
      'gen_ai.request.choice.count': choices(body['n']),
      'gen_ai.request.stop_sequences': stops(body['stop']),
      'gen_ai.response.id': said.id,
      'gen_ai.response.model': said.model,
      'gen_ai.response.finish_reasons': said.finishReasons,
      'gen_ai.usage.input_tokens': usage?.inputTokens,
      'gen_ai.usage.output_tokens': usage?.outputTokens,
      'gen_ai.usage.cache_read.input_tokens': usage?.cachedTokens || undefined,
      'gen_ai.usage.cache_creation.input_tokens': usage?.cacheWriteTokens || undefined,
      'gen_ai.usage.reasoning.output_tokens': usage?.reasoningTokens || undefined,
      // Not of the conventions, but what backends read that know Bifrost.
      'gen_ai.usage.total_tokens': usage?.totalTokens,
      'gen_ai.usage.cost': record.cost?.total,
      'gen_ai.response.time_to_first_chunk':
        firstTokenMs === undefined ? undefined : firstTokenMs / 1000,
      ...serverOf(record.provider, snapshot),
      'asbru.cost_usd': record.cost?.total,
      'asbru.key_id': record.keyId,
      'asbru.key_name': record.keyName,
      'asbru.fallback_index': record.fallbackIndex,
      'asbru.attempts': record.attempts,
      'asbru.failed_attempts':
        record.failed.length === 0
          ? undefined
          : record.failed.map(
              (tried) => `${tried.provider}: ${tried.failureClass} (${tried.status})`,
            ),
      'error.type': error && (record.errorClass ?? error.kind),
      ...(target.keepsContent && contentOf(record, said.messages)),
    }),
    ...(error && { status: { ...errorStatus, message: error.message } }),
  })
}

/** From arrival until the first provider was turned to. */
function askedMs({ overhead, failed, totalMs, upstreamMs }: CallRecord): number {
  const first = overhead?.askedMs ?? Math.max(0, totalMs - upstreamMs)
  return Math.min(first, failed[0]?.afterMs ?? first)
}

const maxContentChars = 256 * 1024

function contentOf(record: CallRecord, said: readonly object[]): Values {
  const clean = withoutSecrets(record)
  const text = (messages: readonly object[] | undefined): string | undefined => {
    if (!messages || messages.length === 0) return undefined
    const json = clean(JSON.stringify(messages))
    // Half a JSON text is of no use to a reader.
    return json.length > maxContentChars ? undefined : json
  }
  return { 'gen_ai.input.messages': text(askedIn(record)), 'gen_ai.output.messages': text(said) }
}

/** Every try of a call that needed more than one. */
function triesOf(record: CallRecord, context: SpanContext, snapshot: Snapshot): string[] {
  const { failed, outcome, overhead, totalMs } = record
  if (record.attempts < 2 && failed.length === 0) return []
  const spans = failed.map((tried, i) => trySpan(record, context, tried, i, snapshot))
  if (outcome === 'success' && overhead) {
    const { provider, modelUsed: model, keyName: key } = record
    const afterMs = overhead.lastAskedMs
    const last = { provider, model, key, status: record.status, afterMs, ms: totalMs - afterMs }
    spans.push(trySpan(record, context, last, failed.length, snapshot))
  }
  return spans
}

type Try = Omit<FailedTry, 'failureClass'> & Partial<Pick<FailedTry, 'failureClass'>>

function trySpan(
  { call, arrivedAtMs, totalMs }: CallRecord,
  { traceId, clientId }: SpanContext,
  tried: Try,
  index: number,
  snapshot: Snapshot,
): string {
  const { provider, model, key, failureClass } = tried
  const from = arrivedAtMs + (tried.afterMs ?? totalMs)
  // Times that are taken apart and put together again are rounded: a part must not end after the whole.
  const end = Math.min(from + (tried.ms ?? 0), arrivedAtMs + totalMs)
  const operation = operations[call.endpoint] ?? call.endpoint
  const where = model === undefined ? provider : `${provider}/${model}`
  return JSON.stringify({
    traceId,
    spanId: newId(8),
    parentSpanId: clientId,
    name: `attempt ${index + 1} ${where}`,
    kind: clientKind,
    startTimeUnixNano: nanos(from),
    endTimeUnixNano: nanos(end),
    attributes: attributes({
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': providers[provider] ?? provider,
      'gen_ai.request.model': model,
      'http.response.status_code': tried.status,
      'error.type': failureClass,
      ...serverOf(provider, snapshot),
      'asbru.key_name': key,
    }),
    ...(failureClass !== undefined && { status: errorStatus }),
  })
}

/** Where a provider is, as far as the configuration tells. */
function serverOf(provider: string, { providers: configured }: Snapshot): Values {
  const settings = configured.get(provider)
  const base = settings?.custom?.baseProviderType ?? provider
  const url = URL.parse(settings?.network.baseUrl ?? PROVIDERS.get(base)?.baseUrl ?? '')
  if (!url) return {}
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  return { 'server.address': url.hostname, 'server.port': port }
}

const operations: Readonly<Record<string, string>> = {
  chat_completion: 'chat',
  responses: 'chat',
  embedding: 'embeddings',
}

/** Names of the conventions that differ from ours. */
const providers: Readonly<Record<string, string>> = {
  azure: 'azure.ai.openai',
  bedrock: 'aws.bedrock',
  gemini: 'gcp.gemini',
  vertex: 'gcp.vertex_ai',
  mistral: 'mistral_ai',
  xai: 'x_ai',
}

function nanos(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** One choice is the rule and goes without saying. */
function choices(n: unknown): number | undefined {
  return n === 1 ? undefined : number(n)
}

function stops(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return undefined
  return value.filter((each): each is string => typeof each === 'string')
}

/** In OTLP's form; what is undefined is left out. */
export function attributes(values: Values): Attribute[] {
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: wrapped(value) }],
  )
}

function wrapped(value: Exclude<Value, undefined>): Record<string, unknown> {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value !== 'number') {
    return { arrayValue: { values: value.map((text) => ({ stringValue: text })) } }
  }
  // JSON has no 64-bit integers, so OTLP writes them as text.
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}
