import { describe, expect, test } from 'bun:test'

import { createLineWriter } from '#lib/line-writer.ts'
import type { LineSink } from '#lib/line-writer.ts'

const megabyte = 'x'.repeat(1024 * 1024)

/** A sink whose writes end when the test says so. */
function stuckSink() {
  const written: string[] = []
  const waiting: (() => void)[] = []
  const sink: LineSink = {
    write(text) {
      written.push(text)
      return new Promise((resolve) => waiting.push(() => resolve(text.length)))
    },
    flush: () => 0,
  }
  return { sink, written, release: () => waiting.splice(0).forEach((resolve) => resolve()) }
}

describe('lines', () => {
  test('of one turn leave in one write, in order', async () => {
    const { sink, written, release } = stuckSink()
    const out = createLineWriter(sink)
    for (const line of ['a\n', 'b\n', 'c\n']) out.write(line)
    const flushed = out.flush()
    release()
    await flushed
    expect(written).toEqual(['a\nb\nc\n'])
  })

  test('beyond what may wait are dropped and counted, and taken again afterwards', async () => {
    const { sink, written, release } = stuckSink()
    const out = createLineWriter(sink)
    for (let round = 0; round < 5; round++) {
      written.length = 0
      // Each goes out on its own, while the ones before are stuck.
      for (let i = 0; i < 20; i++) {
        out.write(megabyte)
        void out.flush()
      }
      const size = written.reduce((sum, text) => sum + text.length, 0)
      expect(size).toBeGreaterThan(7 * megabyte.length)
      expect(size).toBeLessThan(10 * megabyte.length)
      release()
      await out.flush()
    }
    out.write('after\n')
    void out.flush()
    expect(written.at(-1)).toBe('{"level":"warn","message":"11 log lines dropped"}\nafter\n')
  })

  const fail = (): never => {
    throw new Error('EPIPE')
  }
  test.each<[string, LineSink]>([
    ['throws', { write: fail, flush: () => 0 }],
    ['throws when flushed', { write: () => 0, flush: fail }],
    ['rejects', { write: async () => fail(), flush: () => 0 }],
    ['rejects when flushed', { write: () => 0, flush: async () => fail() }],
  ])('whose sink %s are gone, and do not count as waiting', async (_, sink) => {
    let tried = 0
    const out = createLineWriter({
      write(text) {
        tried++
        return sink.write(text)
      },
      flush: () => sink.flush(),
    })
    for (let i = 0; i < 20; i++) {
      out.write(megabyte)
      await out.flush()
    }
    expect(tried).toBe(20)
  })
})

test('a record in pretty style is one line per fact', async () => {
  const { sink, written, release } = stuckSink()
  const out = createLineWriter(sink)
  out.always(
    { time: 't', level: 'info', message: 'Ready', url: 'http://x', providers: { a: 'b', c: 1 } },
    'pretty',
  )
  const flushed = out.flush()
  release()
  await flushed
  expect(written.join('')).toBe('Ready\n  url        http://x\n  providers  a (b), c (1)\n')
})
