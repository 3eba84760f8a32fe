import type { Snapshot, TraceTarget } from '#config/snapshot.ts'
import type { Logger } from '#core/log.ts'
import { VERSION } from '#core/version.ts'
import type { Family } from '#metrics/exposition.ts'
import { otlpMetric } from '#metrics/otlp.ts'
import type { CallRecord } from '#pipeline/books.ts'
import { createCleaner } from '#pipeline/cleaner.ts'
import { runErrand } from '#pipeline/errand.ts'
import { secretsIn } from '#pipeline/journal.ts'

import type { SpanContext } from './context.ts'
import { attributes, spansOf } from './span.ts'

/** Sends calls to one collector. */
export interface Exporter {
  /** Spans that were lost. */
  readonly dropped: number
  add(record: CallRecord, context: SpanContext): void
  /** Sends what is left, as far as that takes no longer than a moment, and stops. */
  close(): Promise<void>
}

export interface ExporterOptions {
  /** Undefined when the configuration names the collector no more. */
  readonly target: () => TraceTarget | undefined
  readonly snapshot: () => Snapshot
  readonly log: Logger
  /** How long a batch waits for company. */
  readonly everyMs?: number
  /** Before the first repetition; it doubles from there. */
  readonly backoffMs?: number
  /** Calls that wait, and the bytes of what was said in them. */
  readonly maxCalls?: number
  readonly maxBytes?: number
}

interface Waiting {
  readonly record: CallRecord
  readonly context: SpanContext
  readonly bytes: number
}

const callsInBatch = 256
const postMs = 10_000
const closeMs = 2000
const maxAnswerBytes = 64 * 1024
const silenceMs = 60_000
const maxTries = 5
const maxBackoffMs = 30_000
/** Those after which the same batch may be taken, as OTLP has it. */
const passing = new Set([429, 502, 503, 504])

/** What came with a call. Its texts are the caller's, so that it may stand in each of them. */
function secretsOf({ call, credential }: CallRecord): readonly string[] {
  const { directKey, virtualKey } = call.caller
  return secretsIn(call.headers, directKey, credential, virtualKey)
}

export function createExporter(options: ExporterOptions): Exporter {
  const { target, snapshot, log } = options
  const cleaner = createCleaner(snapshot)
  const { everyMs = 2000, backoffMs = 1000, maxCalls = 4096, maxBytes = 32 * 1024 ** 2 } = options
  let queue: Waiting[] = []
  let queuedBytes = 0
  let dropped = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let sending: Promise<void> | undefined
  let complainedAt = -Infinity
  let isClosing = false
  let wakeUp: (() => void) | undefined

  function wake(): void {
    if (queue.length >= callsInBatch) send()
    else if (timer === undefined) {
      timer = setTimeout(send, everyMs)
      timer.unref()
    }
  }

  function send(): void {
    clearTimeout(timer)
    timer = undefined
    if (sending || queue.length === 0) return
    const batch = queue.slice(0, callsInBatch)
    queue = queue.slice(callsInBatch)
    const to = target()
    sending = (to ? deliver(to, batch) : Promise.resolve(lost(batch, undefined))).finally(() => {
      for (const { bytes } of batch) queuedBytes -= bytes
      sending = undefined
      if (queue.length > 0) wake()
    })
  }

  async function deliver(to: TraceTarget, batch: readonly Waiting[]): Promise<void> {
    const texts: string[] = []
    for (const [i, { record, context }] of batch.entries()) {
      const clean = cleaner(secretsOf(record))
      texts.push(...spansOf(record, context, to, snapshot()).map((text) => clean(text)))
      // Reading answers takes its time, and calls go first.
      if (i % 16 === 15) await Bun.sleep(0)
    }
    const body = envelope(to, snapshot(), texts)
    for (let tries = 1; ; tries++) {
      const failed = await post(to, body)
      if (!failed) return
      if (!failed.mayPass || tries >= maxTries || isClosing) return lost(texts, failed.why)
      complain(failed.why)
      await pause(failed.afterMs ?? Math.min(maxBackoffMs, backoffMs * 2 ** (tries - 1)))
    }
  }

  /** Ends at once when the exporter is closed. */
  async function pause(ms: number): Promise<void> {
    if (isClosing) return
    const { promise, resolve } = Promise.withResolvers<void>()
    wakeUp = resolve
    const waiting = setTimeout(resolve, ms)
    waiting.unref()
    await promise
    clearTimeout(waiting)
    wakeUp = undefined
  }

  function lost(batch: readonly unknown[], why: string | undefined): void {
    dropped += batch.length
    if (why !== undefined) complain(why)
  }

  function complain(why: string): void {
    const now = performance.now()
    if (now - complainedAt < silenceMs) return
    complainedAt = now
    log.warn('traces could not be sent', { why, dropped })
  }

  return {
    get dropped() {
      return dropped
    },
    add(record, context) {
      const bytes = bytesOf(record)
      if (queue.length >= maxCalls || queuedBytes + bytes > maxBytes) {
        dropped += record.attempts > 0 ? 2 : 1
        return
      }
      queuedBytes += bytes
      queue.push({ record, context, bytes })
      wake()
    },
    async close() {
      isClosing = true
      clearTimeout(timer)
      wakeUp?.()
      if (!sending && queue.length === 0) return
      const rest = async (): Promise<void> => {
        while (sending || queue.length > 0) {
          send()
          await sending
        }
      }
      await Promise.race([rest(), Bun.sleep(closeMs)])
      dropped += queue.length
      queue = []
    },
  }
}

function bytesOf({ call: { body }, answer }: CallRecord): number {
  const asked =
    body.kind === 'json' ? body.text.length : body.kind === 'bytes' ? body.bytes.length : 0
  return asked + (answer?.length ?? 0)
}

interface Refused {
  readonly why: string
  readonly mayPass: boolean
  readonly afterMs?: number | undefined
}

/** Undefined when it was taken. */
export async function post(
  to: TraceTarget,
  body: string,
  url = to.url,
): Promise<Refused | undefined> {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  for (const [name, value] of Object.entries(to.headers)) headers[name] = value.reveal()
  try {
    const answer = await runErrand(
      {
        ...{ url, method: 'POST', headers, body, timeoutMs: postMs, maxBytes: maxAnswerBytes },
        ...(to.caPem !== undefined && { tls: { ca: to.caPem } }),
      },
      'The collector',
    )
    const { status } = answer
    if (status >= 200 && status < 300) return undefined
    const seconds = Number(answer.headers['retry-after'])
    return {
      why: `it answered with status ${status}`,
      mayPass: passing.has(status),
      afterMs: seconds > 0 ? Math.min(maxBackoffMs, seconds * 1000) : undefined,
    }
  } catch (thrown) {
    return { why: thrown instanceof Error ? thrown.message : String(thrown), mayPass: true }
  }
}

function resourceOf({ serviceName }: TraceTarget, { tracing }: Snapshot): string {
  return JSON.stringify({
    attributes: attributes({
      'service.name': serviceName,
      'service.version': VERSION,
      ...tracing?.resource,
    }),
  })
}

const scope = JSON.stringify({ name: 'asbru', version: VERSION })

/** What OTLP's receiver of metrics takes. */
export function metricsEnvelope(
  to: TraceTarget,
  snapshot: Snapshot,
  families: readonly Family[],
): string {
  const nowMs = Date.now()
  const metrics = families.flatMap((family) => otlpMetric(family, nowMs, sinceMs) ?? [])
  return `{"resourceMetrics":[{"resource":${resourceOf(to, snapshot)},"scopeMetrics":[{"scope":${scope},"metrics":[${metrics.join(',')}]}]}]}`
}

const sinceMs = Date.now() - process.uptime() * 1000

function envelope(to: TraceTarget, snapshot: Snapshot, spans: readonly string[]): string {
  return `{"resourceSpans":[{"resource":${resourceOf(to, snapshot)},"scopeSpans":[{"scope":${scope},"spans":[${spans.join(',')}]}]}]}`
}
