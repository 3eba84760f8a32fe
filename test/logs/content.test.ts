import { describe, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { assembled } from '#store/logs-content.ts'
import { Gathering } from '#store/logs-gathering.ts'
import { secretsOf } from '#store/logs-secrets.ts'
import type { Secrets } from '#store/logs-secrets.ts'
import type { PackedText } from '#store/logs-text.ts'
import { createWords, gatherWords } from '#store/logs-words.ts'
import type { Said, Words } from '#store/logs-words.ts'

/** A call of which nothing is known. */
const said = { object: 'chat_completion', asked: undefined, request: undefined, answer: undefined }

/** As much of each as there is. */
function wordsOf(call: Said, asked: number, answered = asked): Words & { readonly text: string } {
  const into = new Gathering()
  const found = gatherWords(call, { asked, answered, rest: 0 }, into)
  return { ...found, text: into.toString() }
}

/** A text among others in memory, as rows cross over. */
function among(text: string): PackedText {
  const memory = Buffer.from(`u0041"\\${text}\\u0041"`)
  return { memory, from: 7, until: memory.length - 7, chars: text.length }
}

const sse = (...events: unknown[]): Uint8Array =>
  new TextEncoder().encode(
    [...events.map((event) => JSON.stringify(event)), '[DONE]']
      .map((data) => `data: ${data}\n\n`)
      .join(''),
  )

/** What stands behind the text is none of it. */
function isInBytes(secrets: Secrets, text: string, behind = ''): boolean {
  return secrets.isInBytes(Buffer.from(text + behind), Buffer.byteLength(text))
}

describe('a redactor', () => {
  test('finds a secret that is not ASCII among bytes', () => {
    for (const more of [[], ['another-key', 'yet-another-key']]) {
      const secrets = secretsOf(['schlüssel-für-alles', ...more])
      expect(isInBytes(secrets, 'ß schlüssel-für-alles ß')).toBe(true)
      expect(isInBytes(secrets, 'ß schlussel-fur-alles ß')).toBe(false)
    }
    const long = 'a-very-long-secret-'.repeat(4)
    for (const more of [[], [`${long}1`, `${long}2`]]) {
      expect(isInBytes(secretsOf([long, ...more]), long.slice(0, 50), long.slice(50))).toBe(false)
    }
  })

  test('finds one of many just as one of few', () => {
    const many = Array.from({ length: 500 }, (_, i) => `sk-canary-${i}-${'x'.repeat(i % 40)}`)
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.constantFrom(...many),
        fc.constantFrom(2, 3, 500),
        (before, after, secret, count) => {
          const secrets = secretsOf([secret, ...many.slice(0, count)])
          const text = `${before}${secret}${after}`
          expect(secrets.isIn(text)).toBe(true)
          expect(isInBytes(secrets, text)).toBe(true)
          expect(secrets.clean(text)).not.toContain(secret)
          const isElsewhere = [...many.slice(0, count), secret].some((each) =>
            `${before}${after}`.includes(each),
          )
          expect(secrets.isIn(`${before}${after}`)).toBe(isElsewhere)
          expect(isInBytes(secrets, `${before}${after}`, secret)).toBe(isElsewhere)
        },
      ),
    )
  })

  test('finds a secret in every spelling, and the longer of two first', () => {
    const secrets = secretsOf(['key/with+"quotes"', 'sk-long-long', 'sk-long-long-longer', 'short'])
    const clean = (text: string): string => secrets.clean(text)
    for (const spelling of [
      'key/with+"quotes"',
      'key\\/with+"quotes"',
      'key/with+\\"quotes\\"',
      'key%2Fwith%2B%22quotes%22',
      'key%2fwith%2b%22quotes%22',
      // As .NET, Go and PHP write what stands in a JSON text, also in one that is in another.
      'key/with\\u002B\\u0022quotes\\u0022',
      'key/with+\\u0022quotes\\u0022',
      'key\\\\u002fwith\\\\u002b\\\\u0022quotes\\\\u0022',
      '\\u006Be\\u0079/with+"quotes"',
    ]) {
      expect([secrets.isIn(spelling), isInBytes(secrets, spelling)]).toEqual([true, true])
      expect(clean(`<${spelling}>`)).toBe('<[redacted]>')
    }
    expect(clean('sk-long-long-longer sk-long-long short')).toBe('[redacted] [redacted] short')
    expect(clean('sk-long-long\\u002dlonger sk-long-long \\u0027')).toBe(
      '[redacted] [redacted] \\u0027',
    )
    for (const other of ['it\\u0027s no \\u006Bey', 'sk-long\\u005Flong', '\\u00zz \\u00']) {
      expect([secrets.isIn(other), isInBytes(secrets, other)]).toEqual([false, false])
      expect(clean(other)).toBe(other)
    }
  })

  test('leaves nothing of a secret, wherever it stands', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8 }), fc.array(fc.string()), (secret, pieces) => {
        const text = secretsOf([secret]).clean(pieces.join(secret))
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

  test('has the probabilities of all its tokens, and what each chunk repeats once', () => {
    const piece = (token: string): object => ({
      choices: [
        {
          index: 0,
          delta: {
            content: token,
            reasoning_details: [{ index: 0, type: 'reasoning.text', text: token, format: 'f-v1' }],
          },
          logprobs: { content: [{ token, logprob: -1 }], refusal: null },
        },
      ],
    })
    const end = { choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }] }
    expect(
      JSON.parse(assembled(sse(piece('a'), piece('b'), end), 'chat_completion')).choices,
    ).toEqual([
      {
        index: 0,
        message: {
          content: 'ab',
          reasoning_details: [{ index: 0, type: 'reasoning.text', text: 'ab', format: 'f-v1' }],
        },
        logprobs: {
          content: ['a', 'b'].map((token) => ({ token, logprob: -1 })),
          refusal: null,
        },
        finish_reason: 'stop',
      },
    ])
    const texts = ['a', 'b'].map((token) => ({
      choices: [{ index: 0, text: token, logprobs: { tokens: [token], text_offset: [0] } }],
    }))
    expect(JSON.parse(assembled(sse(...texts), 'text_completion')).choices).toEqual([
      { index: 0, text: 'ab', logprobs: { tokens: ['a', 'b'], text_offset: [0, 0] } },
    ])
  })

  test('of a response that broke off has its items as far as they came', () => {
    const response = { id: 'r', status: 'in_progress', output: [] }
    const item = (output_index: number, kind: string, more: object): object => ({
      type: `response.${kind}`,
      output_index,
      ...more,
    })
    const events = [
      { type: 'response.created', response },
      item(0, 'output_item.added', { item: { type: 'reasoning', summary: [] } }),
      item(0, 'reasoning_summary_text.delta', { summary_index: 0, delta: 'Hm' }),
      item(0, 'reasoning_summary_text.delta', { summary_index: 0, delta: 'mm' }),
      item(0, 'output_item.done', { item: { type: 'reasoning', summary: [], status: 'done' } }),
      item(1, 'output_item.added', { item: { type: 'message', role: 'assistant', content: [] } }),
      item(1, 'output_text.delta', { content_index: 1, delta: 'so' }),
      item(1, 'output_text.delta', { content_index: 0, delta: 'Hel' }),
      item(1, 'output_text.delta', { content_index: 0, delta: 'lo' }),
      item(1, 'output_text.delta', { content_index: 1, delta: 'me' }),
      item(1, 'refusal.delta', { content_index: 2, delta: 'No' }),
      item(2, 'output_item.added', { item: { type: 'function_call', name: 'f', arguments: '' } }),
      item(2, 'function_call_arguments.delta', { delta: '{"a"' }),
      item(-1, 'output_text.delta', { content_index: 0, delta: 'nowhere' }),
      item(1, 'output_text.delta', { content_index: 1e9, delta: 'nowhere' }),
    ]
    const output = [
      { type: 'reasoning', summary: [], status: 'done' },
      {
        type: 'message',
        role: 'assistant',
        content: [
          { type: 'output_text', text: 'Hello' },
          { type: 'output_text', text: 'some' },
          { type: 'refusal', refusal: 'No' },
        ],
      },
      { type: 'function_call', name: 'f', arguments: '{"a"' },
    ]
    expect(JSON.parse(assembled(sse(...events), 'responses'))).toEqual({ ...response, output })
    const whole = { id: 'r', status: 'completed', output: [{ type: 'message', content: [] }] }
    const end = { type: 'response.completed', response: whole }
    expect(JSON.parse(assembled(sse(...events, end), 'responses'))).toEqual(whole)
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
              {
                index: fc.jsonValue(),
                delta: fc.jsonValue(),
                text: fc.jsonValue(),
                logprobs: fc.jsonValue(),
              },
              { requiredKeys: [] },
            ),
          ),
        }),
        fc.record({
          type: fc.constantFrom(
            'response.output_item.added',
            'response.output_text.delta',
            'response.function_call_arguments.delta',
          ),
          response: fc.record({ output: fc.jsonValue() }),
          output_index: fc.oneof(fc.nat(3), fc.jsonValue()),
          content_index: fc.oneof(fc.nat(3), fc.jsonValue()),
          item: fc.oneof(fc.record({ content: fc.jsonValue() }), fc.jsonValue()),
          delta: fc.oneof(fc.string(), fc.jsonValue()),
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
          expect(() => wordsOf({ ...said, request: answer, answer }, 8192)).not.toThrow()
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
  test('are what the user said last and what was answered, not what it was said in', () => {
    const messages = [
      { role: 'user', content: 'before' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'what is this' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
        ],
      },
      { role: 'assistant', content: 'hm' },
    ]
    const answer = { choices: [{ message: { content: 'a cat' }, finish_reason: 'stop' }] }
    const { text, summary, stopReason } = wordsOf(
      {
        ...said,
        request: JSON.stringify({ model: 'gpt', messages }),
        answer: JSON.stringify(answer),
      },
      8192,
    )
    expect([summary, stopReason]).toEqual(['what is this', 'stop'])
    for (const word of ['what is this', 'a cat']) expect(text).toContain(word)
    for (const form of ['base64', 'role', 'gpt', 'before']) expect(text).not.toContain(form)
  })

  test('of a plain answer are the same as of any other', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (content, other) => {
        const found = (message: object): unknown =>
          wordsOf(
            {
              ...said,
              answer: JSON.stringify({
                choices: [{ index: 0, message, finish_reason: 'stop' }],
                other,
              }),
            },
            8192,
          )
        const plain = found({ role: 'assistant', content })
        if (content.length > 1) expect(plain).toEqual(found({ content, role: 'assistant' }))
      }),
    )
  })

  test('of a plain answer stand for what was escaped, in whatever way, up to where they are cut', () => {
    const characters = fc.constantFrom(
      'a',
      ' ',
      '"',
      '\\',
      '\n',
      '\u0001',
      'é',
      '世',
      '🦜',
      '\ud83e',
    )
    const content = fc.array(characters, { maxLength: 30 }).map((all) => all.join(''))
    const escaped = (text: string): string =>
      text.replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    fc.assert(
      fc.property(
        content,
        fc.nat(32),
        fc.boolean(),
        fc.boolean(),
        (spoken, most, isEscaped, isWhole) => {
          const message = { role: 'assistant', content: spoken.toWellFormed() }
          const json = JSON.stringify({ choices: [{ message, finish_reason: 'length' }] })
          const wire = isEscaped ? escaped(json) : json
          const end = isWhole ? wire.length : wire.length - 3
          const found = wordsOf({ ...said, answer: among(wire.slice(0, end)) }, 1, most)
          const cut = message.content.slice(0, most)
          // Half a character is none.
          expect(found.text).toBe(cut.isWellFormed() ? cut : cut.slice(0, -1))
          expect(found.stopReason).toBe('length')
        },
      ),
      { numRuns: 500 },
    )
  })

  test('of a plain answer that was cut do not go on in what lies behind it', () => {
    const into = new Gathering()
    for (const [quoted, text] of [
      ['a\\', 'a'],
      ['a\\u00', 'a'],
      ['a\\ud83e', 'a\ufffd'],
      ['a\\ud83e\\u', 'a\ufffd'],
      ['a\\ud83eb', 'a\ufffdb'],
      ['a\\uzzzzb', 'a\ufffdb'],
      ['a\\qb', 'aqb'],
      ['a\\éb', 'aéb'],
    ] as const) {
      into.clear()
      const packed = among(quoted)
      into.addQuoted(packed, packed.from, 100)
      expect(into.toString()).toBe(text)
    }
    into.clear()
    const packed = among('a\\é')
    into.addQuoted(packed, packed.from, 1)
    expect(into.toString()).toBe('a')
    into.clear()
    into.addQuoted(among('\\世'), 7, 1)
    expect(into.toString()).toBe('世')
  })

  test('of an answer too long to be parsed are those at its beginning', () => {
    const content = `first "word" ${'x'.repeat(100_000)} last`
    const choices = [{ message: { content }, finish_reason: 'length' }]
    const { text, stopReason } = wordsOf({ ...said, answer: JSON.stringify({ choices }) }, 100)
    expect(stopReason).toBe('length')
    expect(text).toContain('first')
    expect(text).toContain('word')
    expect(text).not.toContain('last')
  })

  test('are all that stands in the request, too, as long as there is time for them', () => {
    let now = 0
    const find = createWords(() => now)
    const request = JSON.stringify({
      model: 'gpt',
      messages: [
        { role: 'system', content: 'be a pirate' },
        { role: 'user', content: 'first question' },
        { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: 'island' } }] },
        { role: 'tool', content: [{ type: 'text', text: 'treasure' }] },
        { role: 'user', content: 'x'.repeat(600) },
      ],
    })
    const all = find({ ...said, request }).said.toString()
    for (const word of ['pirate', 'first question', 'island', 'treasure']) {
      expect(all).toContain(word)
    }
    for (const form of ['role', 'gpt', 'type']) expect(all).not.toContain(form)
    const response = JSON.stringify({ instructions: 'be brief', input: [{ content: 'earlier' }] })
    expect(find({ ...said, request: response }).said.toString()).toBe('earlier\nbe brief')
    const asked = 'x'.repeat(600)
    for (let i = 0; i < 4000; i++) find({ ...said, asked, request })
    expect(find({ ...said, asked, request }).said.toString()).toBe('x'.repeat(256))
    now += 60_000
    expect(find({ ...said, asked, request }).said.toString()).toContain('pirate')
  })

  test('are fewer when there is no time for more, and never too few', () => {
    let now = 0
    const find = createWords(() => now)
    const asked = 'word '.repeat(4000)
    const lengths = Array.from({ length: 1000 }, () => find({ ...said, asked }).said.length)
    expect(lengths[0]).toBe(8192)
    expect(lengths.at(-1)).toBe(256)
    now += 60_000
    expect(find({ ...said, asked }).said).toHaveLength(8192)
  })
})
