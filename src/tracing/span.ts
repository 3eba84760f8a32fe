import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import type { CallRecord } from '#pipeline/books.ts'

import type { SpanContext } from './context.ts'

// One settled call as spans of OTLP's JSON: what the gateway did for its caller, and in it what providers did for the
// gateway. Names are those of OpenTelemetry's conventions for HTTP and for generative AI, as read in November 2026.

type Value = string | number | boolean | readonly string[] | undefined

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

const serverKind = 2
const clientKind = 3
const errorStatus = { code: 2 }

/** The spans of a call as JSON texts. */
export function spansOf(record: CallRecord, context: SpanContext): string[] {
  const server = serverSpan(record, context)
  return record.attempts > 0 ? [server, clientSpan(record, context)] : [server]
}

function serverSpan(record: CallRecord, { traceId, spanId, parentId }: SpanContext): string {
  const { call, arrivedAtMs, totalMs, status, error } = record
  const known = (ENDPOINTS as Partial<typeof ENDPOINTS>)[call.endpoint as KnownEndpoint]
  const route = `/openai${known?.path ?? '/*'}`
  return JSON.stringify({
    traceId,
    spanId,
    ...(parentId !== undefined && { parentSpanId: parentId }),
    name: `${call.method} ${route}`,
    kind: serverKind,
    startTimeUnixNano: nanos(arrivedAtMs),
    endTimeUnixNano: nanos(arrivedAtMs + totalMs),
    attributes: attributes({
      'http.request.method': call.method,
      'http.route': route,
      'http.response.status_code': status,
      'error.type': error?.kind,
      'asbru.request_id': call.id,
      'asbru.queued_ms': record.queuedMs > 0 ? record.queuedMs : undefined,
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

function clientSpan(record: CallRecord, { traceId, spanId, clientId }: SpanContext): string {
  const { call, arrivedAtMs, totalMs, upstreamMs, usage, error, firstTokenMs } = record
  const operation = operations[call.endpoint] ?? call.endpoint
  const body = call.body.kind === 'json' ? call.body.value : {}
  const end = arrivedAtMs + totalMs
  const model = record.modelUsed ?? call.model
  return JSON.stringify({
    traceId,
    spanId: clientId,
    parentSpanId: spanId,
    name: model === undefined ? operation : `${operation} ${model}`,
    kind: clientKind,
    startTimeUnixNano: nanos(Math.max(arrivedAtMs, end - upstreamMs)),
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
      'gen_ai.usage.input_tokens': usage?.inputTokens,
      'gen_ai.usage.output_tokens': usage?.outputTokens,
      'gen_ai.usage.cache_read.input_tokens': usage?.cachedTokens || undefined,
      'gen_ai.usage.cache_creation.input_tokens': usage?.cacheWriteTokens || undefined,
      'gen_ai.usage.reasoning.output_tokens': usage?.reasoningTokens || undefined,
      'gen_ai.response.time_to_first_chunk':
        firstTokenMs === undefined ? undefined : firstTokenMs / 1000,
      'asbru.cost_usd': record.cost?.total,
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
    }),
    ...(error && { status: { ...errorStatus, message: error.message } }),
  })
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

/** In OTLP's form; what is undefined is left out. */
export function attributes(values: Readonly<Record<string, Value>>): Attribute[] {
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
