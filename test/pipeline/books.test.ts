import { expect, test } from 'bun:test'

import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { createLogger } from '#core/log.ts'
import { Trace } from '#core/trace.ts'
import type { CallRecord, CallSink } from '#pipeline/books.ts'
import { createRecorder } from '#pipeline/record.ts'

function callOf(): Call {
  const startedAt = performance.now()
  return {
    id: 'call-1',
    endpoint: 'chat_completion',
    method: 'POST',
    path: '/chat/completions',
    query: '',
    body: { kind: 'none' },
    modelRequested: 'mock/m',
    provider: 'mock',
    model: 'm',
    stream: false,
    wantsUsage: true,
    caller: { directKey: undefined, azureEndpoint: undefined },
    headers: {},
    signal: new AbortController().signal,
    startedAt,
    trace: new Trace(startedAt),
  }
}

const quiet = (lines: string[] = []) =>
  createLogger({ level: 'error', style: 'json', write: (line) => lines.push(line) })

function listening(wantsContent: boolean): CallSink & { records: CallRecord[] } {
  const records: CallRecord[] = []
  return {
    records,
    isListening: true,
    wantsContent: () => wantsContent,
    settled: (record) => void records.push(record),
  }
}

test('every sink gets one record of a call, and only the first word counts', () => {
  const [one, other] = [listening(false), listening(true)]
  const settle = createRecorder(quiet(), [one, other]).open(callOf(), () => undefined)
  expect(settle.books.wantsContent).toBe(true)
  settle.books.answer = '{}'
  settle.success(undefined)
  settle.failure(new GatewayError('internal', 'late'))
  expect(one.records).toHaveLength(1)
  expect(other.records).toEqual(one.records)
  expect(one.records[0]).toMatchObject({ outcome: 'success', status: 200, answer: '{}' })
})

test('calls are known while they are open, in whatever order they end', () => {
  const recorder = createRecorder(quiet())
  const open = (id: string, stream = false) =>
    recorder.open({ ...callOf(), id, stream }, () => undefined)
  const known = (): string[] => recorder.calls.map(({ call }) => call.id).toSorted()
  const settles = new Map(['a', 'b', 'c', 'd'].map((id) => [id, open(id, id === 'd')]))
  expect(known()).toEqual(['a', 'b', 'c', 'd'])
  expect([...recorder.underway]).toEqual([
    ['chat_completion', 3],
    ['chat_completion_stream', 1],
  ])
  const left = new Set(['a', 'b', 'c', 'd'])
  for (const id of ['b', 'd', 'a', 'c']) {
    settles.get(id)!.success(undefined)
    // Whatever is said later changes nothing.
    settles.get(id)!.success(undefined)
    left.delete(id)
    expect(known()).toEqual([...left])
  }
  expect([...recorder.underway]).toEqual([
    ['chat_completion', 0],
    ['chat_completion_stream', 0],
  ])
})

test('a call that the caller left is neither success nor error', () => {
  const sink = listening(false)
  const settle = createRecorder(quiet(), [sink]).open(callOf(), () => undefined)
  settle.failure(new GatewayError('client_closed', 'gone'))
  expect(sink.records[0]).toMatchObject({
    outcome: 'cancelled',
    status: 499,
    errorClass: 'cancelled',
  })
})

test('a sink that does not listen is not told, and one that fails harms nobody', () => {
  const lines: string[] = []
  const deaf: CallSink = {
    isListening: false,
    settled: () => {
      throw new Error('told')
    },
  }
  const broken: CallSink = {
    isListening: true,
    settled: () => {
      throw new Error('no room')
    },
  }
  const sink = listening(false)
  const settle = createRecorder(quiet(lines), [deaf, broken, sink]).open(callOf(), () => undefined)
  settle.success(undefined)
  expect(sink.records).toHaveLength(1)
  expect(lines.join()).toContain('could not be noted')
  expect(lines.join()).not.toContain('told')
})

test('times spent waiting for providers add up, and the pieces of a stream become its answer', () => {
  const sink = listening(true)
  const { books } = createRecorder(quiet(), [sink]).open(callOf(), () => undefined)
  books.sent(10)
  books.received(15)
  books.received(99)
  books.sent(20)
  books.received(27)
  expect(books.upstreamMs).toBe(12)
  books.wrote('data: ü\n\n')
  books.wrote(new TextEncoder().encode('data: [DONE]\n\n'))
  expect(new TextDecoder().decode(books.takeAnswer() as Uint8Array)).toBe(
    'data: ü\n\ndata: [DONE]\n\n',
  )
})
