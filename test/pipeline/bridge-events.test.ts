import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { CUTS, eventsOf, normal, replyChunks, says, startBridge } from './bridge-rig.ts'
import type { BridgeRig, Cut } from './bridge-rig.ts'

// Responses over a provider that has chat only: the events one by one, in the order that the SDK helpers insist on.

let rig: BridgeRig
beforeAll(async () => {
  rig = await startBridge(['groq'])
})
afterAll(() => rig[Symbol.asyncDispose]())

async function streamed(deltas: readonly object[], cut: Cut, more: object = {}): Promise<any[]> {
  replyChunks(rig.upstream, deltas, cut)
  const answer = await rig.post('/responses', {
    model: 'groq/m',
    input: 'hi',
    stream: true,
    ...more,
  })
  expect(answer.status).toBe(200)
  return eventsOf(await answer.text())
}

const nothing = { error: null, incomplete_details: null }

function begins(): object[] {
  const response = { id: 'resp', status: 'in_progress', output: [], ...nothing }
  return [
    { type: 'response.created', sequence_number: 0, response },
    { type: 'response.in_progress', sequence_number: 1, response },
  ]
}

function numbered(events: readonly object[]): object[] {
  return events.map((event, at) => ({ ...event, sequence_number: at }))
}

function textItem(id: string, index: number, pieces: readonly string[], status = 'completed') {
  const text = pieces.join('')
  const place = { item_id: id, output_index: index, content_index: 0 }
  const part = (said: string) => ({
    type: 'output_text',
    text: said,
    annotations: [],
    logprobs: [],
  })
  const item = { id, type: 'message', role: 'assistant' }
  const done = { ...item, status, content: [part(text)] }
  const events = [
    {
      type: 'response.output_item.added',
      output_index: index,
      item: { ...item, status: 'in_progress', content: [] },
    },
    { type: 'response.content_part.added', ...place, part: part('') },
    ...pieces.map((delta) => ({
      type: 'response.output_text.delta',
      ...place,
      delta,
      logprobs: [],
    })),
    { type: 'response.output_text.done', ...place, text, logprobs: [] },
    { type: 'response.content_part.done', ...place, part: part(text) },
    { type: 'response.output_item.done', output_index: index, item: done },
  ]
  return { events, done }
}

function callItem(id: string, index: number, callId: string, name: string, written: string) {
  const item = { id, type: 'function_call', call_id: callId, name }
  const done = { ...item, status: 'completed', arguments: written }
  const added = {
    type: 'response.output_item.added',
    output_index: index,
    item: { ...item, status: 'in_progress', arguments: '' },
  }
  const delta = (piece: string) => ({
    type: 'response.function_call_arguments.delta',
    item_id: id,
    output_index: index,
    delta: piece,
  })
  const closing = [
    {
      type: 'response.function_call_arguments.done',
      item_id: id,
      output_index: index,
      name,
      arguments: written,
    },
    { type: 'response.output_item.done', output_index: index, item: done },
  ]
  return { added, delta, closing, done }
}

function reasoningItem(id: string, index: number, pieces: readonly string[]) {
  const text = pieces.join('')
  const place = { item_id: id, output_index: index, summary_index: 0 }
  const part = { type: 'summary_text', text }
  const item = { id, type: 'reasoning' }
  const done = { ...item, status: 'completed', summary: [part] }
  const events = [
    {
      type: 'response.output_item.added',
      output_index: index,
      item: { ...item, status: 'in_progress', summary: [] },
    },
    {
      type: 'response.reasoning_summary_part.added',
      ...place,
      part: { type: 'summary_text', text: '' },
    },
    ...pieces.map((delta) => ({
      type: 'response.reasoning_summary_text.delta',
      ...place,
      delta,
    })),
    { type: 'response.reasoning_summary_text.done', ...place, text },
    { type: 'response.reasoning_summary_part.done', ...place, part },
    { type: 'response.output_item.done', output_index: index, item: done },
  ]
  return { events, done }
}

function completes(output: readonly object[]): object {
  const response = { id: 'resp', status: 'completed', output, ...nothing }
  return { type: 'response.completed', response }
}

function call(index: number, id: string | undefined, name: string | undefined, written: string) {
  return says({
    tool_calls: [
      {
        index,
        ...(id !== undefined && { id, type: 'function' }),
        function: { ...(name !== undefined && { name }), arguments: written },
      },
    ],
  })
}

describe.each(CUTS)('a chat stream that comes by the %s', (cut) => {
  test('of text is one message', async () => {
    const events = await streamed(
      [
        says({ role: 'assistant', content: '' }),
        says({ content: 'Hel' }),
        says({ content: 'lo' }, 'stop'),
      ],
      cut,
    )
    const item = textItem('msg_0', 0, ['Hel', 'lo'])
    expect(normal(events)).toEqual(numbered([...begins(), ...item.events, completes([item.done])]))
  })

  test('of calls one after the other closes each before the next', async () => {
    const events = await streamed(
      [
        says({ role: 'assistant', content: 'Wait.' }),
        call(0, 'call_a', 'f', ''),
        call(0, undefined, undefined, '{"x"'),
        call(0, undefined, undefined, ':1}'),
        call(1, 'call_b', 'g', '{}'),
        call(2, 'call_c', 'h', ''),
        says({}, 'tool_calls'),
      ],
      cut,
    )
    const message = textItem('msg_0', 0, ['Wait.'])
    const f = callItem('fc_1', 1, 'call_a', 'f', '{"x":1}')
    const g = callItem('fc_2', 2, 'call_b', 'g', '{}')
    const h = callItem('fc_3', 3, 'call_c', 'h', '{}')
    expect(normal(events)).toEqual(
      numbered([
        ...begins(),
        ...message.events,
        f.added,
        f.delta('{"x"'),
        f.delta(':1}'),
        ...f.closing,
        g.added,
        g.delta('{}'),
        ...g.closing,
        h.added,
        ...h.closing,
        completes([message.done, f.done, g.done, h.done]),
      ]),
    )
  })

  test('of interleaved calls keeps them open side by side', async () => {
    const events = await streamed(
      [
        call(0, 'call_a', 'f', '{"x'),
        call(1, 'call_b', 'g', '{"y'),
        call(0, undefined, undefined, '":1}'),
        call(1, undefined, undefined, '":2}'),
        says({}, 'tool_calls'),
      ],
      cut,
    )
    const f = callItem('fc_0', 0, 'call_a', 'f', '{"x":1}')
    const g = callItem('fc_1', 1, 'call_b', 'g', '{"y":2}')
    expect(normal(events)).toEqual(
      numbered([
        ...begins(),
        f.added,
        f.delta('{"x'),
        g.added,
        g.delta('{"y'),
        f.delta('":1}'),
        g.delta('":2}'),
        ...f.closing,
        ...g.closing,
        completes([f.done, g.done]),
      ]),
    )
  })

  test('of thoughts and text in turns gives each run an item of its own', async () => {
    const events = await streamed(
      [
        says({ reasoning: 'Hm' }),
        says({ reasoning: 'm.' }),
        says({ content: 'One' }),
        call(0, 'call_a', 'f', '{}'),
        says({ reasoning: 'Well.' }),
        says({ content: 'Two' }),
        says({}, 'stop'),
      ],
      cut,
    )
    const first = reasoningItem('rs_0', 0, ['Hm', 'm.'])
    const one = textItem('msg_1', 1, ['One'])
    const f = callItem('fc_2', 2, 'call_a', 'f', '{}')
    const second = reasoningItem('rs_3', 3, ['Well.'])
    const two = textItem('msg_4', 4, ['Two'])
    expect(normal(events)).toEqual(
      numbered([
        ...begins(),
        ...first.events,
        ...one.events,
        f.added,
        f.delta('{}'),
        ...f.closing,
        ...second.events,
        ...two.events,
        completes([first.done, one.done, f.done, second.done, two.done]),
      ]),
    )
  })

  test('of a refusal after some text has both in one message', async () => {
    const events = await streamed(
      [says({ content: 'Hm.' }), says({ refusal: 'I ' }), says({ refusal: 'won’t.' }, 'stop')],
      cut,
    )
    const place = { item_id: 'msg_0', output_index: 0 }
    const text = { type: 'output_text', text: 'Hm.', annotations: [], logprobs: [] }
    const refusal = { type: 'refusal', refusal: 'I won’t.' }
    const item = { id: 'msg_0', type: 'message', role: 'assistant' }
    const done = { ...item, status: 'completed', content: [text, refusal] }
    const one = { ...place, content_index: 1 }
    expect(normal(events)).toEqual(
      numbered([
        ...begins(),
        ...textItem('msg_0', 0, ['Hm.']).events.slice(0, -1),
        { type: 'response.content_part.added', ...one, part: { type: 'refusal', refusal: '' } },
        { type: 'response.refusal.delta', ...one, delta: 'I ' },
        { type: 'response.refusal.delta', ...one, delta: 'won’t.' },
        { type: 'response.refusal.done', ...one, refusal: 'I won’t.' },
        { type: 'response.content_part.done', ...one, part: refusal },
        { type: 'response.output_item.done', output_index: 0, item: done },
        completes([done]),
      ]),
    )
  })

  test('of a custom tool that the model knows as a function gives back its free text', async () => {
    const events = await streamed(
      [
        call(0, 'call_a', 'sh', '{"inp'),
        call(0, undefined, undefined, 'ut":"ls\\n"}'),
        says({}, 'stop'),
      ],
      cut,
      { tools: [{ type: 'custom', name: 'sh' }] },
    )
    const item = { id: 'ctc_0', type: 'custom_tool_call', call_id: 'call_a', name: 'sh' }
    const done = { ...item, status: 'completed', input: 'ls\n' }
    const place = { item_id: 'ctc_0', output_index: 0 }
    expect(normal(events)).toEqual(
      numbered([
        ...begins(),
        {
          type: 'response.output_item.added',
          output_index: 0,
          item: { ...item, status: 'in_progress', input: '' },
        },
        { type: 'response.custom_tool_call_input.delta', ...place, delta: 'ls\n' },
        { type: 'response.custom_tool_call_input.done', ...place, input: 'ls\n' },
        { type: 'response.output_item.done', output_index: 0, item: done },
        completes([done]),
      ]),
    )
  })

  test('with a source has it as an annotation', async () => {
    const url_citation = { url: 'https://a.example/', title: 'A', start_index: 0, end_index: 2 }
    const events = await streamed(
      [
        says({ content: 'Hi' }),
        says({ annotations: [{ type: 'url_citation', url_citation }] }, 'stop'),
      ],
      cut,
    )
    const added = events.find(({ type }) => type === 'response.output_text.annotation.added')
    const annotation = { type: 'url_citation', ...url_citation }
    expect(added).toMatchObject({ annotation_index: 0, content_index: 0, annotation })
    expect(events.at(-1).response.output[0].content[0].annotations).toEqual([annotation])
  })

  test('cut short by the limit is incomplete', async () => {
    const events = await streamed([says({ content: 'Once' }), says({}, 'length')], cut)
    const item = textItem('msg_0', 0, ['Once'], 'incomplete')
    const response = {
      id: 'resp',
      status: 'incomplete',
      output: [item.done],
      error: null,
      incomplete_details: { reason: 'max_output_tokens' },
    }
    expect(normal(events)).toEqual(
      numbered([...begins(), ...item.events, { type: 'response.incomplete', response }]),
    )
  })
})

describe('a chat stream that fails', () => {
  test('after its first words ends with response.failed and what was said', async () => {
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({
      sse: [
        JSON.stringify(says({ content: 'Half' })),
        JSON.stringify({ error: { message: 'slow down', code: 'rate_limit_exceeded' } }),
      ],
      gate: [undefined, gate.promise],
    })
    const answer = await rig.post('/responses', { model: 'groq/m', input: 'hi', stream: true })
    expect(answer.status).toBe(200)
    gate.resolve()
    const events = eventsOf(await answer.text())
    const last: any = normal(events).at(-1)
    expect(last).toEqual({
      type: 'response.failed',
      sequence_number: events.length - 1,
      response: {
        id: 'resp',
        status: 'failed',
        output: [
          {
            id: 'msg_0',
            type: 'message',
            role: 'assistant',
            status: 'incomplete',
            content: [{ type: 'output_text', text: 'Half', annotations: [], logprobs: [] }],
          },
        ],
        error: { code: 'rate_limit_exceeded', message: 'slow down' },
        incomplete_details: null,
      },
    })
  })

  test.each(['close', 'reset'] as const)('by a %s ends with response.failed', async (end) => {
    replyChunks(rig.upstream, [says({ content: 'Half' })], 'whole', end)
    const answer = await rig.post('/responses', { model: 'groq/m', input: 'hi', stream: true })
    const events = eventsOf(await answer.text())
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      sequence_number: events.length - 1,
      response: { status: 'failed', error: { code: 'server_error' } },
    })
  })

  test('before its first words is an HTTP error', async () => {
    rig.upstream.reply({ sse: [JSON.stringify({ error: { message: 'no', code: 401 } })] })
    const answer = await rig.post('/responses', { model: 'groq/m', input: 'hi', stream: true })
    expect(answer.status).toBe(401)
  })

  test('never shows the key in its last event', async () => {
    const gate = Promise.withResolvers<void>()
    rig.upstream.reply({
      sse: [
        JSON.stringify(says({ content: 'Half' })),
        JSON.stringify({ error: { message: 'the key sk-upstream is bad' } }),
      ],
      gate: [undefined, gate.promise],
    })
    const answer = await rig.post('/responses', { model: 'groq/m', input: 'hi', stream: true })
    gate.resolve()
    const text = await answer.text()
    expect(text).toContain('response.failed')
    expect(text).not.toContain('sk-upstream')
  })
})

test('a stream that stops without [DONE] is whole once it has said why it stopped', async () => {
  replyChunks(rig.upstream, [says({ content: 'Hi' }, 'stop')], 'whole', 'close')
  const answer = await rig.post('/responses', { model: 'groq/m', input: 'hi', stream: true })
  expect(eventsOf(await answer.text()).at(-1).type).toBe('response.completed')
})
