import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { OpenAI } from 'openai'
import type { AssistantStream } from 'openai/lib/AssistantStream'

import { BYTES } from './bodies.ts'
import type { Rig } from './rig.ts'
import { DONE, events, json, startRig } from './rig.ts'

// Streams of routes that the gateway has no schema for: they are relayed event by event.

type AgentTurnResult = Parameters<OpenAI['beta']['agents']['sessions']['artifacts']['forResult']>[0]

let rig: Rig
let client: OpenAI
beforeAll(async () => {
  rig = await startRig()
  client = rig.client()
})
afterAll(() => rig.stop())

const run = { id: 'run_1', object: 'thread.run', thread_id: 'thread_1', status: 'in_progress' }
const message = {
  id: 'msg_1',
  object: 'thread.message',
  role: 'assistant',
  status: 'in_progress',
  content: [],
}

function named(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

function delta(value: string): string {
  const content = [{ index: 0, type: 'text', text: { value, annotations: [] } }]
  return named('thread.message.delta', {
    id: 'msg_1',
    object: 'thread.message.delta',
    delta: { content },
  })
}

const ANSWER = [
  named('thread.run.created', run),
  named('thread.message.created', message),
  delta('Hel'),
  delta('lo ü'),
  named('thread.message.completed', {
    ...message,
    status: 'completed',
    content: [{ type: 'text', text: { value: 'Hello ü', annotations: [] } }],
  }),
  named('thread.run.completed', { ...run, status: 'completed' }),
  `event: done\n${DONE}`,
]

interface Scenario {
  readonly name: string
  readonly start: () => AssistantStream
  readonly path: string
}

const SCENARIOS: Scenario[] = [
  {
    name: 'beta.threads.createAndRunStream',
    start: () => client.beta.threads.createAndRunStream({ assistant_id: 'asst_1' }),
    path: '/v1/threads/runs',
  },
  {
    name: 'beta.threads.runs.stream',
    start: () => client.beta.threads.runs.stream('thread_1', { assistant_id: 'asst_1' }),
    path: '/v1/threads/thread_1/runs',
  },
  {
    name: 'beta.threads.runs.createAndStream',
    start: () => client.beta.threads.runs.createAndStream('thread_1', { assistant_id: 'asst_1' }),
    path: '/v1/threads/thread_1/runs',
  },
  {
    name: 'beta.threads.runs.submitToolOutputsStream',
    start: () =>
      client.beta.threads.runs.submitToolOutputsStream('run_1', {
        thread_id: 'thread_1',
        tool_outputs: [{ tool_call_id: 'call_1', output: '1' }],
      }),
    path: '/v1/threads/thread_1/runs/run_1/submit_tool_outputs',
  },
]

test.each(SCENARIOS)('$name', async ({ start, path }) => {
  rig.answers(events(...ANSWER))
  const deltas: string[] = []
  const stream = start().on('textDelta', (piece) => deltas.push(piece.value ?? ''))
  expect((await stream.finalRun()).status).toBe('completed')
  expect(deltas).toEqual(['Hel', 'lo ü'])
  expect((await stream.finalMessages()).length).toBe(1)
  expect(rig.received[0]).toMatchObject({ method: 'POST', path })
  expect(rig.received[0]?.json()).toMatchObject({ stream: true })
  expect(rig.received[0]?.headers.get('openai-beta')).toBe('assistants=v2')
})

describe('agents', () => {
  const base = { session_id: 'sess_1', turn_id: 'turn_1' }
  const turn = [
    {
      ...base,
      type: 'agent.session.turn.created',
      event_id: 'e1',
      turn: { id: 'turn_1', subagent_id: null },
    },
    { ...base, type: 'agent.session.turn.completed', event_id: 'e2', unknown_field: { deep: [1] } },
    { ...base, type: 'agent.session.idle', event_id: 'e3' },
  ]

  test('beta.agents.sessions.stream', async () => {
    rig.answers(json({ id: 'sess_1', status: 'idle' }), events(...turn), json({ id: 'evt_1' }))
    const seen = await Array.fromAsync(
      client.beta.agents.sessions.stream('sess_1', { input: 'Hi' }),
    )
    expect(seen as unknown[]).toMatchObject(turn)
    expect(rig.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v1/agents/sessions/sess_1',
      'GET /v1/agents/sessions/sess_1/events',
      'POST /v1/agents/sessions/sess_1/events',
    ])
    expect(rig.received[2]?.headers.get('idempotency-key')).not.toBeNull()
  })

  test('beta.agents.sessions.create streams when asked', async () => {
    rig.answers(events(...turn))
    const stream = await client.beta.agents.sessions.create({
      agent: { id: 'agent_1' },
      input: 'Hi',
      stream: true,
    } as unknown as Parameters<typeof client.beta.agents.sessions.create>[0])
    const seen = await Array.fromAsync(stream as unknown as AsyncIterable<unknown>)
    expect(seen).toMatchObject(turn)
  })

  test('beta.agents.sessions.artifacts.forResult', async () => {
    const artifact = { id: 'art_1', session_id: 'sess_1', turn_id: 'turn_1', path: '/workspace/a' }
    rig.answers(
      json({ object: 'list', data: [artifact], has_more: false, last_id: 'art_1' }),
      () => new Response(BYTES, { headers: { 'content-type': 'application/octet-stream' } }),
    )
    const { artifacts } = client.beta.agents.sessions
    const result = { session_id: 'sess_1', turn_id: 'turn_1' } as AgentTurnResult
    const content = await artifacts.forResult(result).content('/workspace/a')
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(BYTES)
    expect(rig.received.map(({ path }) => path)).toEqual([
      '/v1/agents/sessions/sess_1/artifacts',
      '/v1/agents/sessions/sess_1/artifacts/art_1/content',
    ])
  })
})
