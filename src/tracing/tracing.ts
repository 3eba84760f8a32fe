import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import type { Logger } from '#core/log.ts'
import type { CallRecord, CallSink } from '#pipeline/books.ts'
import type { Outgoing } from '#pipeline/services.ts'

import type { Exporter } from './exporter.ts'

/** Tells collectors of calls, while the configuration names some. */
export interface Tracing extends CallSink, Outgoing {
  /** Spans that were lost: a collector was slower than the calls, or did not take them. */
  readonly dropped: number
  /** Sends what is left, as far as that takes no longer than a moment. */
  close(): Promise<void>
}

/** Answers of other endpoints have nothing to tell of themselves, and may be large. */
const hasWords: ReadonlySet<string> = new Set(['chat_completion', 'text_completion', 'responses'])

type Parts = typeof import('./parts.ts')

let parts: Parts | undefined

/** Most gateways trace nothing, and never load what it takes. */
function load(): Parts {
  // Synchronous, because nothing can be awaited where a call begins or ends.
  parts ??= require('./parts.ts') as Parts
  return parts
}

export function createTracing(snapshot: () => Snapshot, log: Logger): Tracing {
  /** By address and service: a change of the configuration leaves those that stay alone. */
  const exporters = new Map<string, Exporter>()

  return {
    get isListening() {
      return snapshot().tracing !== undefined
    },
    get dropped() {
      let dropped = 0
      for (const exporter of exporters.values()) dropped += exporter.dropped
      return dropped
    },
    // What was answered tells why it ended, and by which model, even where nobody is told what was said.
    wantsContent(call: Call) {
      const settings = snapshot().tracing
      if (!settings || !hasWords.has(call.endpoint)) return false
      return load().contextOf(call, settings).isSampled
    },
    settled(record: CallRecord) {
      const settings = snapshot().tracing
      if (!settings) return
      const { contextOf, createExporter } = load()
      const context = contextOf(record.call, settings)
      if (!context.isSampled) return
      for (const target of settings.targets) {
        const key = `${target.url}\n${target.serviceName}`
        let exporter = exporters.get(key)
        if (!exporter) {
          exporter = createExporter({
            target: () =>
              snapshot().tracing?.targets.find(
                ({ url, serviceName }) => `${url}\n${serviceName}` === key,
              ),
            snapshot,
            log,
          })
          exporters.set(key, exporter)
        }
        exporter.add(record, context)
      }
    },
    addTo(headers: Record<string, string>, call: Call) {
      const settings = snapshot().tracing
      if (!settings) return
      const { contextOf, parentHeader } = load()
      const context = contextOf(call, settings)
      headers['traceparent'] = parentHeader(context)
      if (context.state !== undefined) headers['tracestate'] = context.state
    },
    async close() {
      await Promise.all([...exporters.values()].map((exporter) => exporter.close()))
    },
  }
}
