import { afterEach, beforeEach, expect, test } from 'bun:test'

import { loadConfig } from '#config/load.ts'
import type { Call } from '#core/call.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { createLogger } from '#core/log.ts'
import { Trace } from '#core/trace.ts'
import { createCredentials } from '#pipeline/credentials.ts'
import { createGates } from '#pipeline/gates.ts'
import { createHealth } from '#pipeline/health.ts'
import { createHedges } from '#pipeline/hedge.ts'
import { createInflight } from '#pipeline/inflight.ts'
import { createRecorder } from '#pipeline/record.ts'
import { run } from '#pipeline/run.ts'
import { createSessions } from '#pipeline/sessions.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'
import { createDb } from '#store/db.ts'
import { createResponseStore } from '#store/responses.ts'

import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { chatChunk, until } from './rig.ts'

// An answer that the server never asks for, because its caller left in the very moment it was ready.

let upstream: Upstream
beforeEach(async () => void (upstream = await startUpstream()))
afterEach(() => upstream.stop())

const services = () => ({
  credentials: createCredentials(),
  gates: createGates(),
  sessions: createSessions(),
  hedges: createHedges(),
  health: createHealth(() => ({
    enabled: false,
    errorRate: 1,
    minFailures: 1,
    openMs: 0,
    maxOpenMs: 0,
  })),
  inflight: createInflight(),
  recorder: createRecorder(createLogger({ level: 'error', style: 'json', write: () => undefined })),
  responses: createResponseStore(
    createDb({
      path: undefined,
      log: createLogger({ level: 'error', style: 'json', write: () => undefined }),
    }),
    createLogger({ level: 'error', style: 'json', write: () => undefined }),
  ),
})

function snapshot() {
  const key = { name: 'k', value: 'sk', models: ['*'], weight: 1 }
  const loaded = loadConfig({
    text: JSON.stringify({
      providers: { openai: { keys: [key], network_config: { base_url: upstream.url } } },
    }),
    path: 'config.json',
    env: {},
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
    detected: [],
  })
  return loaded.snapshot!
}

function call(endpoint: 'chat_completion' | 'file_content', signal: AbortSignal): Call {
  const startedAt = performance.now()
  return {
    id: 'call',
    endpoint,
    method: 'POST',
    path: '/anything',
    query: '',
    body: { kind: 'none' },
    modelRequested: undefined,
    provider: 'openai',
    model: undefined,
    stream: endpoint === 'chat_completion',
    wantsUsage: false,
    caller: { directKey: undefined, azureEndpoint: undefined },
    headers: {},
    signal,
    startedAt,
    trace: new Trace(startedAt),
  }
}

test.each([
  ['chat_completion', 'text/event-stream'],
  ['file_content', 'audio/mpeg'],
] as const)('of %s is settled and its upstream closed', async (endpoint, type) => {
  const own = services()
  upstream.reply({
    headers: { 'content-type': type },
    chunks: [`data: ${chatChunk('a')}\n\n`, 'more'],
    gate: new Promise(() => undefined),
  })
  const caller = new AbortController()
  const outcome = await run(call(endpoint, caller.signal), snapshot(), own)
  expect([outcome.kind, own.gates.inFlight(), own.inflight.size]).toEqual(['stream', 1, 1])
  caller.abort()
  await until(() => own.gates.inFlight() === 0)
  expect([own.inflight.size, own.recorder.totals.abandoned]).toEqual([0, 1])
  await upstream.requests[0]!.closed
})
