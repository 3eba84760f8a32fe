import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import type { OpenAI } from 'openai'

import type { Answer, Rig } from './rig.ts'
import { json, startRig } from './rig.ts'

// Helpers that make several requests: create, upload and poll until the provider has finished.

const running = { status: 'in_progress' }
const done = { status: 'completed' }
const file = { id: 'file_1', object: 'file' }
const run = { id: 'run_1', thread_id: 'thread_1', unknown_field: { deep: [1] } }
const fast = { pollIntervalMs: 0 }

interface Scenario {
  readonly name: string
  readonly call: (client: OpenAI) => Promise<unknown>
  /** Answers in order. */
  readonly answers: readonly object[]
  /** Requests that the provider must see, in order. */
  readonly asked: readonly string[]
  readonly result: object
}

function upload(): File {
  return new File(['a line\n'], 'notes.txt', { type: 'text/plain' })
}

const SCENARIOS: Scenario[] = [
  {
    name: 'files.waitForProcessing',
    call: (client) => client.files.waitForProcessing('file_1', { pollInterval: 0 }),
    answers: [
      { ...file, status: 'uploaded' },
      { ...file, status: 'processed' },
    ],
    asked: ['GET /v1/files/file_1', 'GET /v1/files/file_1'],
    result: { status: 'processed' },
  },
  {
    name: 'vectorStores.files.poll',
    call: (client) => client.vectorStores.files.poll('vs_1', 'file_1', fast),
    answers: [running, running, done],
    asked: [1, 2, 3].map(() => 'GET /v1/vector_stores/vs_1/files/file_1'),
    result: done,
  },
  {
    name: 'vectorStores.files.createAndPoll',
    call: (client) => client.vectorStores.files.createAndPoll('vs_1', { file_id: 'file_1' }, fast),
    answers: [{ ...file, ...running }, running, done],
    asked: [
      'POST /v1/vector_stores/vs_1/files',
      'GET /v1/vector_stores/vs_1/files/file_1',
      'GET /v1/vector_stores/vs_1/files/file_1',
    ],
    result: done,
  },
  {
    name: 'vectorStores.files.upload',
    call: (client) => client.vectorStores.files.upload('vs_1', upload()),
    answers: [file, { id: 'file_1', ...running }],
    asked: ['POST /v1/files', 'POST /v1/vector_stores/vs_1/files'],
    result: running,
  },
  {
    name: 'vectorStores.files.uploadAndPoll',
    call: (client) => client.vectorStores.files.uploadAndPoll('vs_1', upload(), fast),
    answers: [file, { id: 'file_1', ...running }, done],
    asked: [
      'POST /v1/files',
      'POST /v1/vector_stores/vs_1/files',
      'GET /v1/vector_stores/vs_1/files/file_1',
    ],
    result: done,
  },
  {
    name: 'vectorStores.fileBatches.poll',
    call: (client) => client.vectorStores.fileBatches.poll('vs_1', 'batch_1', fast),
    answers: [running, done],
    asked: [1, 2].map(() => 'GET /v1/vector_stores/vs_1/file_batches/batch_1'),
    result: done,
  },
  {
    name: 'vectorStores.fileBatches.createAndPoll',
    call: (client) =>
      client.vectorStores.fileBatches.createAndPoll('vs_1', { file_ids: ['file_1'] }, fast),
    answers: [{ id: 'batch_1', ...running }, done],
    asked: [
      'POST /v1/vector_stores/vs_1/file_batches',
      'GET /v1/vector_stores/vs_1/file_batches/batch_1',
    ],
    result: done,
  },
  {
    name: 'vectorStores.fileBatches.uploadAndPoll',
    call: (client) =>
      client.vectorStores.fileBatches.uploadAndPoll('vs_1', { files: [upload()] }, fast),
    answers: [file, { id: 'batch_1', ...running }, done],
    asked: [
      'POST /v1/files',
      'POST /v1/vector_stores/vs_1/file_batches',
      'GET /v1/vector_stores/vs_1/file_batches/batch_1',
    ],
    result: done,
  },
  {
    name: 'beta.threads.createAndRunPoll',
    call: (client) => client.beta.threads.createAndRunPoll({ assistant_id: 'asst_1' }, fast),
    answers: [run, { ...run, ...running }, { ...run, ...done }],
    asked: [
      'POST /v1/threads/runs',
      'GET /v1/threads/thread_1/runs/run_1',
      'GET /v1/threads/thread_1/runs/run_1',
    ],
    result: { ...run, ...done },
  },
  {
    name: 'beta.threads.runs.createAndPoll',
    call: (client) =>
      client.beta.threads.runs.createAndPoll('thread_1', { assistant_id: 'asst_1' }, fast),
    answers: [run, { ...run, ...done }],
    asked: ['POST /v1/threads/thread_1/runs', 'GET /v1/threads/thread_1/runs/run_1'],
    result: { ...run, ...done },
  },
  {
    name: 'beta.threads.runs.poll',
    call: (client) => client.beta.threads.runs.poll('run_1', { thread_id: 'thread_1' }, fast),
    answers: [
      { ...run, ...running },
      { ...run, status: 'requires_action' },
    ],
    asked: [1, 2].map(() => 'GET /v1/threads/thread_1/runs/run_1'),
    result: { status: 'requires_action' },
  },
  {
    name: 'beta.threads.runs.submitToolOutputsAndPoll',
    call: (client) =>
      client.beta.threads.runs.submitToolOutputsAndPoll(
        'run_1',
        { thread_id: 'thread_1', tool_outputs: [{ tool_call_id: 'call_1', output: '1' }] },
        fast,
      ),
    answers: [run, { ...run, ...done }],
    asked: [
      'POST /v1/threads/thread_1/runs/run_1/submit_tool_outputs',
      'GET /v1/threads/thread_1/runs/run_1',
    ],
    result: { ...run, ...done },
  },
  {
    name: 'beta.agents.environments.files.prepare',
    call: (client) =>
      client.beta.agents.environments.files.prepare({
        '/workspace/a.txt': upload(),
        '/workspace/b.txt': upload(),
      }),
    answers: [file, { ...file, id: 'file_2' }],
    asked: ['POST /v1/files', 'POST /v1/files'],
    result: {
      files: [
        { type: 'file_id', file_id: 'file_1', path: '/workspace/a.txt' },
        { type: 'file_id', file_id: 'file_2', path: '/workspace/b.txt' },
      ],
    },
  },
  {
    name: 'beta.agents.environments.files.upload',
    call: (client) =>
      client.beta.agents.environments.files.upload('env_1', {
        path: '/workspace/a.txt',
        file: upload(),
      }),
    answers: [file, { id: 'envfile_1', unknown_field: 1 }],
    asked: ['POST /v1/files', 'POST /v1/agents/environments/env_1/files'],
    result: { environmentFile: { id: 'envfile_1', unknown_field: 1 } },
  },
]

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig.stop())

test.each(SCENARIOS)('$name', async ({ call, answers, asked, result }) => {
  rig.answers(...(answers.map((answer) => json(answer)) as [Answer, ...Answer[]]))
  expect(await call(rig.client())).toMatchObject(result)
  expect(rig.received.map(({ method, path }) => `${method} ${path}`)).toEqual([...asked])
})

describe('the provider sets the pace', () => {
  test('openai-poll-after-ms reaches the helper', async () => {
    rig.answers(json(running, { headers: { 'openai-poll-after-ms': '1' } }), json(done))
    const { response } = await rig
      .client()
      .vectorStores.files.retrieve('file_1', { vector_store_id: 'vs_1' })
      .withResponse()
    expect(response.headers.get('openai-poll-after-ms')).toBe('1')
  })
})
