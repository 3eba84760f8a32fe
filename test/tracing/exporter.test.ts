import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { loadConfig } from '#config/load.ts'
import type { TraceTarget } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { createLogger } from '#core/log.ts'
import { Secret } from '#lib/secret.ts'
import type { CallRecord } from '#pipeline/books.ts'
import { withoutSecrets } from '#tracing/content.ts'
import { createExporter } from '#tracing/exporter.ts'
import type { ExporterOptions } from '#tracing/exporter.ts'
import { createTracing } from '#tracing/tracing.ts'

// What becomes of spans that a collector does not take at once.

const { snapshot } = loadConfig({
  ...{ text: '{}', env: {}, vendors: [], operations: [], generation: 1 },
})

const context = {
  ...{ traceId: '1'.repeat(32), parentId: undefined, spanId: '2'.repeat(16) },
  ...{ clientId: '3'.repeat(16), isSampled: true, state: undefined },
}

function record(text = ''): CallRecord {
  const call = {
    ...{ id: 'c', endpoint: 'chat_completion', method: 'POST', provider: 'p', model: 'm' },
    ...{
      headers: {},
      caller: {},
      body: { kind: 'json', text, value: {} },
      trace: { list: () => [] },
    },
  }
  return {
    ...{ call, requestType: 'chat_completion', arrivedAtMs: 0, queuedMs: 0, upstreamMs: 1 },
    ...{ totalMs: 1, provider: 'p', attempts: 1, failed: [], outcome: 'success', status: 200 },
    ...{ fallbackIndex: 0, retries: 0, dropped: [], answerLength: 0 },
  } as unknown as CallRecord
}

/** A collector that answers with these statuses, the last one for ever, and counts the spans it took. */
function startCollector(...answers: CollectorAnswer[]) {
  return secureCollector(answers)
}

type CollectorAnswer = { status: number; headers?: Record<string, string> } | Promise<void>

function secureCollector(answers: readonly CollectorAnswer[], tls?: { cert: string; key: string }) {
  const asked: number[] = []
  const server = Bun.serve({
    port: 0,
    hostname: tls ? 'localhost' : '127.0.0.1',
    ...(tls && { tls }),
    async fetch(request) {
      const { resourceSpans } = (await request.json()) as any
      const { length } = resourceSpans[0].scopeSpans[0].spans
      const answer = answers[Math.min(asked.length, answers.length - 1)]!
      asked.push(length)
      if (answer instanceof Promise) await answer
      else return new Response('', answer)
      return new Response('')
    },
  })
  const url = tls ? `https://localhost:${server.port}` : `http://127.0.0.1:${server.port}`
  return { url, asked, stop: () => server.stop(true) }
}

function exporterFor(url: string, more: Partial<ExporterOptions> = {}, caPem?: string) {
  const lines: string[] = []
  const first = Promise.withResolvers<void>()
  const log = createLogger({
    level: 'warn',
    style: 'json',
    write(line) {
      lines.push(line)
      first.resolve()
    },
  })
  const target: TraceTarget = {
    ...{ url, headers: {}, serviceName: 's', keepsContent: false, requestHeaders: [] },
    ...{ caPem, metrics: undefined },
  }
  const exporter = createExporter({
    ...{ target: () => target, snapshot: () => snapshot!, log, everyMs: 1, backoffMs: 1 },
    ...more,
  })
  return { exporter, lines, complained: first.promise }
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await Bun.sleep(1)
}

describe('a batch that is refused', () => {
  test('in passing is sent again', async () => {
    const collector = startCollector({ status: 503 }, { status: 429 }, { status: 200 })
    const { exporter, lines } = exporterFor(collector.url)
    exporter.add(record(), context)
    await until(() => collector.asked.length === 3)
    await exporter.close()
    expect(collector.asked).toEqual([2, 2, 2])
    expect(exporter.dropped).toBe(0)
    // One word about it is enough.
    expect(lines).toHaveLength(1)
    await collector.stop()
  })

  test('for good is lost, and counted', async () => {
    const collector = startCollector({ status: 400 })
    const { exporter, complained } = exporterFor(collector.url)
    exporter.add(record(), context)
    await complained
    await exporter.close()
    expect(collector.asked).toEqual([2])
    expect(exporter.dropped).toBe(2)
    await collector.stop()
  })

  test('again and again is lost in the end', async () => {
    const collector = startCollector({ status: 503 })
    const { exporter } = exporterFor(collector.url)
    exporter.add(record(), context)
    await until(() => exporter.dropped > 0)
    expect(collector.asked).toEqual([2, 2, 2, 2, 2])
    expect(exporter.dropped).toBe(2)
    await exporter.close()
    await collector.stop()
  })

  test('waits no longer when everything ends', async () => {
    const collector = startCollector({ status: 503, headers: { 'retry-after': '30' } })
    const { exporter, complained } = exporterFor(collector.url)
    exporter.add(record(), context)
    await complained
    await exporter.close()
    expect(collector.asked).toEqual([2, 2])
    expect(exporter.dropped).toBe(2)
    await collector.stop()
  })
})

test('only answers that say something of themselves are kept for it', () => {
  const { snapshot: traced } = loadConfig({
    text: JSON.stringify({ tracing: { endpoint: 'http://127.0.0.1:1' } }),
    ...{ env: {}, vendors: [], operations: [], generation: 1 },
  })
  const log = createLogger({ level: 'error', style: 'json', write() {} })
  const wants = (endpoint: string, flags: string, by = traced!) => {
    const headers = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}` }
    const call = { endpoint, headers, trace: {} } as unknown as Call
    return createTracing(() => by, log).wantsContent!(call)
  }
  expect([wants('chat_completion', '01'), wants('responses', '01')]).toEqual([true, true])
  expect([wants('speech', '01'), wants('file_content', '01')]).toEqual([false, false])
  expect(wants('chat_completion', '00')).toBe(false)
  const untraced = snapshot!
  expect(wants('chat_completion', '01', untraced)).toBe(false)
})

test('no more waits than may, in number and in bytes', async () => {
  const gate = Promise.withResolvers<void>()
  const collector = startCollector(gate.promise, { status: 200 })
  const { exporter } = exporterFor(collector.url, { maxCalls: 3, maxBytes: 1000 })
  exporter.add(record(), context)
  await until(() => collector.asked.length === 1)
  for (let i = 0; i < 5; i++) exporter.add(record(), context)
  expect(exporter.dropped).toBe(4)
  gate.resolve()
  await until(() => collector.asked.length === 2)
  await exporter.close()
  expect(collector.asked).toEqual([2, 6])

  const large = exporterFor(collector.url, { maxBytes: 1000, everyMs: 60_000 })
  for (let i = 0; i < 3; i++) large.exporter.add(record('x'.repeat(400)), context)
  expect(large.exporter.dropped).toBe(2)
  await large.exporter.close()
  expect(collector.asked.at(-1)).toBe(4)
  await collector.stop()
})

test('what was queued for a collector that the configuration names no more is dropped', async () => {
  const { exporter } = exporterFor('http://127.0.0.1:1', { target: () => undefined })
  exporter.add(record(), context)
  await until(() => exporter.dropped > 0)
  await exporter.close()
})

test('a collector whose certificate only the configuration knows', async () => {
  const fixture = (name: string) => Bun.file(join(import.meta.dir, '../fixtures/tls', name)).text()
  const [cert, key, other] = await Promise.all(['name.pem', 'key.pem', 'other.pem'].map(fixture))
  const collector = secureCollector([{ status: 200 }], { cert: cert!, key: key! })
  for (const [caPem, dropped] of [
    [cert, 0],
    [other, 2],
  ] as const) {
    const { exporter } = exporterFor(collector.url, {}, caPem)
    exporter.add(record(), context)
    await exporter.close()
    expect(exporter.dropped).toBe(dropped)
  }
  expect(collector.asked).toEqual([2])
  await collector.stop()
})

test('no key of the caller stays in what was said', () => {
  const clean = withoutSecrets({
    call: {
      headers: { authorization: 'Bearer caller-key-1' },
      caller: { virtualKey: new Secret('virtual-key-2'), directKey: new Secret('direct-key-3') },
    },
    credential: new Secret('provider-key-4'),
  } as unknown as CallRecord)
  expect(clean('caller-key-1 virtual-key-2 direct-key-3 provider-key-4 word')).toBe(
    '[redacted] [redacted] [redacted] [redacted] word',
  )
})
