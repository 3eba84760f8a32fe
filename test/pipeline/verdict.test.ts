import { describe, expect, test } from 'bun:test'

import { chatChunk, startRig, strictStream } from './rig.ts'
import type { Rig } from './rig.ts'

// What streams teach about their targets, once they have ended.

const broken = { sse: [chatChunk('half')] }
const good = { sse: [chatChunk('whole'), chatChunk('', { finish: 'stop' }), '[DONE]'] }

/** Two keys of one provider; the breaker opens at the first failure. */
function rigOfTwo(): Promise<Rig> {
  return startRig({
    client: { circuit_breaker: { min_failures: 1, open_in_seconds: 60 } },
    provider: {
      keys: [
        { name: 'one', value: 'one', weight: 1 },
        { name: 'two', value: 'two', weight: 0 },
      ],
    },
  })
}

const keyOf = (rig: Rig, index: number) =>
  rig.upstream.requests[index]?.headers.get('authorization')

describe('a stream that breaks half-way', () => {
  test('is a failure of its target, though the caller got its beginning', async () => {
    await using rig = await rigOfTwo()
    rig.upstream.reply([broken, good])
    expect((await strictStream(await rig.chat())).end).toBe('error')
    expect((await strictStream(await rig.chat())).end).toBe('done')
    expect([0, 1].map((n) => keyOf(rig, n))).toEqual(['Bearer one', 'Bearer two'])
  })

  test('is none when the caller broke it off', async () => {
    await using rig = await rigOfTwo()
    const { promise: never } = Promise.withResolvers<void>()
    for (let n = 0; n < 3; n++) {
      rig.upstream.reply({ sse: [chatChunk('a'), chatChunk('b')], gate: never })
      const leaving = new AbortController()
      const answer = await rig.chat({}, { signal: leaving.signal })
      await answer.body!.getReader().read()
      leaving.abort()
      await rig.upstream.requests[n]!.closed
    }
    rig.upstream.reply(good)
    await strictStream(await rig.chat())
    expect(keyOf(rig, 3)).toBe('Bearer one')
  })
})
