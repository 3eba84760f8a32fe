import type { Snapshot, TracingSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import type { Logger } from '#core/log.ts'
import { VERSION } from '#core/version.ts'
import type { CallRecord, CallSink } from '#pipeline/books.ts'
import { runErrand } from '#pipeline/errand.ts'
import type { Outgoing } from '#pipeline/services.ts'

import { contextOf, parentHeader } from './context.ts'
import { attributes, spansOf } from './span.ts'

/** Tells a collector of calls, while the configuration names one. */
export interface Tracing extends CallSink, Outgoing {
  /** Spans that were lost: the collector was slower than the calls, or did not take them. */
  readonly dropped: number
  /** Sends what is left, as far as that takes no longer than a moment. */
  close(): Promise<void>
}

const everyMs = 2000
const spansInBatch = 512
const maxQueued = 8192
const postMs = 10_000
const closeMs = 2000
const maxAnswerBytes = 64 * 1024
const silenceMs = 60_000

export function createTracing(snapshot: () => Snapshot, log: Logger): Tracing {
  let queue: string[] = []
  let dropped = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let sending: Promise<void> | undefined
  let complainedAt = -Infinity

  function wake(): void {
    if (queue.length >= spansInBatch) send()
    else if (timer === undefined) {
      timer = setTimeout(send, everyMs)
      timer.unref()
    }
  }

  function send(): void {
    clearTimeout(timer)
    timer = undefined
    if (sending || queue.length === 0) return
    const settings = snapshot().tracing
    const batch = queue.slice(0, spansInBatch)
    queue = queue.slice(spansInBatch)
    if (!settings) {
      dropped += batch.length
      return
    }
    sending = post(settings, batch).finally(() => {
      sending = undefined
      if (queue.length > 0) wake()
    })
  }

  async function post(settings: TracingSettings, batch: readonly string[]): Promise<void> {
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    for (const [name, value] of Object.entries(settings.headers)) headers[name] = value.reveal()
    try {
      const { status } = await runErrand(
        {
          url: settings.url,
          method: 'POST',
          headers,
          body: envelope(settings, batch),
          timeoutMs: postMs,
          maxBytes: maxAnswerBytes,
        },
        'The collector of traces',
      )
      if (status >= 200 && status < 300) return
      lost(batch.length, `it answered with status ${status}`)
    } catch (thrown) {
      lost(batch.length, thrown instanceof Error ? thrown.message : String(thrown))
    }
  }

  function lost(count: number, why: string): void {
    dropped += count
    const now = performance.now()
    if (now - complainedAt < silenceMs) return
    complainedAt = now
    log.warn('traces could not be sent', { why, dropped })
  }

  return {
    get isListening() {
      return snapshot().tracing !== undefined
    },
    get dropped() {
      return dropped
    },
    settled(record: CallRecord) {
      const settings = snapshot().tracing
      if (!settings) return
      const context = contextOf(record.call, settings.sampleRate)
      if (!context.isSampled) return
      const spans = spansOf(record, context)
      if (queue.length + spans.length > maxQueued) {
        dropped += spans.length
        return
      }
      queue.push(...spans)
      wake()
    },
    addTo(headers: Record<string, string>, call: Call) {
      const settings = snapshot().tracing
      if (!settings) return
      headers['traceparent'] = parentHeader(contextOf(call, settings.sampleRate))
      const { tracestate } = call.headers
      if (tracestate !== undefined) headers['tracestate'] = tracestate
    },
    async close() {
      clearTimeout(timer)
      if (!sending && queue.length === 0) return
      const until = Bun.sleep(closeMs)
      const rest = async (): Promise<void> => {
        while (sending || queue.length > 0) {
          send()
          await sending
        }
      }
      await Promise.race([rest(), until])
      dropped += queue.length
      queue = []
    },
  }
}

function envelope({ serviceName }: TracingSettings, spans: readonly string[]): string {
  const resource = JSON.stringify({
    attributes: attributes({ 'service.name': serviceName, 'service.version': VERSION }),
  })
  const scope = JSON.stringify({ name: 'asbru', version: VERSION })
  return `{"resourceSpans":[{"resource":${resource},"scopeSpans":[{"scope":${scope},"spans":[${spans.join(',')}]}]}]}`
}
