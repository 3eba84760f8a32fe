import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { assembled, isPacked, packed, redactor, unpacked, wordsOf } from '#store/logs-content.ts'

const sse = (...events: unknown[]): Uint8Array =>
  new TextEncoder().encode(
    [...events.map((event) => JSON.stringify(event)), '[DONE]']
      .map((data) => `data: ${data}\n\n`)
      .join(''),
  )

test('what is packed comes out again, whatever its length', () => {
  for (const length of [0, 1, 255, 256, 257, 16_383, 16_384, 100_000]) {
    const text = 'aß€😀'
      .repeat(Math.ceil(length / 5))
      .slice(0, length)
      .toWellFormed()
    const stored = packed(text)
    expect(unpacked(stored)).toBe(text)
    expect(typeof stored === 'string' || isPacked(stored)).toBe(true)
  }
  expect(isPacked(new Uint8Array(10))).toBe(false)
})

describe('a redactor', () => {
  test('finds a secret in every spelling, and the longer of two first', () => {
    const clean = redactor(['key/with+"quotes"', 'sk-long-long', 'sk-long-long-longer', 'short'])
    for (const spelling of [
      'key/with+"quotes"',
      'key\\/with+"quotes"',
      'key/with+\\"quotes\\"',
      'key%2Fwith%2B%22quotes%22',
    ]) {
      expect(clean(`<${spelling}>`)).toBe('<[redacted]>')
    }
    expect(clean('sk-long-long-longer sk-long-long short')).toBe('[redacted] [redacted] short')
  })

  test('leaves nothing of a secret, wherever it stands', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8 }), fc.array(fc.string()), (secret, pieces) => {
        const text = redactor([secret])(pieces.join(secret))
        expect(
          secret !== '[redacted]' &&
            !'[redacted]'.includes(secret) &&
            text.includes(secret) &&
            !pieces.join('[redacted]').includes(secret),
        ).toBe(false)
      }),
    )
  })
})

describe('a stream', () => {
  test('of several choices is put together choice by choice', () => {
    const bytes = sse(
      { id: 'c', choices: [{ index: 1, delta: { role: 'assistant', content: 'b' } }] },
      {
        id: 'c',
        choices: [{ index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: null }],
      },
      {
        id: 'c',
        choices: [{ index: 0, delta: { content: 'A', refusal: null }, finish_reason: 'stop' }],
      },
      { id: 'c', choices: [], usage: { total_tokens: 3 } },
    )
    expect(JSON.parse(assembled(bytes, 'chat_completion'))).toEqual({
      id: 'c',
      usage: { total_tokens: 3 },
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'aA', refusal: null },
          finish_reason: 'stop',
        },
        { index: 1, message: { role: 'assistant', content: 'b' } },
      ],
    })
  })

  test('of text completions, and of what has no form of its own', () => {
    const text = sse(
      { id: 't', choices: [{ index: 0, text: 'a', finish_reason: null }] },
      { id: 't', choices: [{ index: 0, text: 'b', finish_reason: 'stop' }] },
    )
    expect(JSON.parse(assembled(text, 'text_completion'))).toEqual({
      id: 't',
      choices: [{ index: 0, text: 'ab', finish_reason: 'stop' }],
    })
    expect(JSON.parse(assembled(sse({ type: 'a' }, { type: 'b' }), 'speech'))).toEqual({
      events: [{ type: 'a' }, { type: 'b' }],
    })
  })

  test('may hold anything at all', () => {
    const anything = fc.array(
      fc.oneof(
        fc.jsonValue(),
        fc.record({
          choices: fc.array(
            fc.record(
              { index: fc.jsonValue(), delta: fc.jsonValue(), text: fc.jsonValue() },
              { requiredKeys: [] },
            ),
          ),
        }),
      ),
    )
    fc.assert(
      fc.property(
        anything,
        fc.constantFrom('chat_completion', 'text_completion', 'responses'),
        (events, object) => {
          const answer = assembled(sse(...events), object)
          expect(JSON.parse(answer)).toBeObject()
          expect(() => wordsOf(answer, answer)).not.toThrow()
        },
      ),
    )
    const nasty = sse({
      choices: [{ index: 0, delta: JSON.parse('{"__proto__":{"polluted":1}}') as object }],
    })
    assembled(nasty, 'chat_completion')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
})

describe('the words of a call', () => {
  test('are what was said, not what it was said in', () => {
    const { text, summary, stopReason } = wordsOf(
      JSON.stringify({
        model: 'gpt',
        messages: [
          { role: 'system', content: 'be kind' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'what is this' },
              { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
            ],
          },
          { role: 'assistant', content: 'hm' },
        ],
      }),
      JSON.stringify({ choices: [{ message: { content: 'a cat' }, finish_reason: 'stop' }] }),
    )
    expect([summary, stopReason]).toEqual(['what is this', 'stop'])
    for (const said of ['be kind', 'what is this', 'a cat']) expect(text).toContain(said)
    for (const form of ['base64', 'role', 'gpt']) expect(text).not.toContain(form)
  })

  test('of a long call are those at its end', () => {
    const messages = Array.from({ length: 1000 }, (_, i) => ({
      role: 'user',
      content: `message number${i} ${'x'.repeat(100)}`,
    }))
    const { text } = wordsOf(JSON.stringify({ messages }), undefined)
    expect(text.length).toBeLessThan(10_000)
    expect(text).toContain('number999')
    expect(text).not.toContain('number1 ')
  })
})
