import { expect, test } from 'bun:test'

import { readConversation } from '#openai/conversation/read.ts'
import type { Exchange } from '#providers/exchange.ts'
import { resourcesOf } from '#providers/gemini/media.ts'
import { geminiBody } from '#providers/gemini/request.ts'
import { createSignatureMemory } from '#providers/gemini/signatures.ts'
import type { Surface } from '#providers/gemini/surface.ts'

import { clock, unsigned } from './conversations.ts'

// The same dialect at another home, where files are the cloud's, calls have no ids, and labels exist.

const cloud: Surface = {
  signatures: createSignatureMemory(),
  callIds: false,
  cloudFiles: true,
  labels: true,
}

function bodyOf(request: Record<string, unknown>) {
  const dropped: string[] = []
  const exchange = {
    call: { startedAt: 0 },
    target: { settings: { name: 'cloud' } },
    model: 'gemini-3-flash',
    conversation: readConversation(request),
    resources: new Map([
      ['https://example.com/a.pdf', { mediaType: 'application/pdf', base64: 'JVBERg==' }],
    ]),
    drop: (param: string) => dropped.push(param),
  }
  return { body: geminiBody(exchange as unknown as Exchange, cloud), dropped }
}

test('files are read from the cloud, and others are carried', () => {
  const urls = ['gs://bucket/a.png', 'https://youtu.be/x', 'https://example.com/a.pdf']
  const content = urls.map((url) => ({ type: 'file', file: { file_url: url } }))
  const request = { messages: [{ role: 'user', content }] }
  expect(resourcesOf(readConversation(request), cloud)).toEqual(['https://example.com/a.pdf'])
  expect(bodyOf(request).body.contents[0]!.parts).toEqual([
    { fileData: { fileUri: 'gs://bucket/a.png', mimeType: 'image/png' } },
    { fileData: { fileUri: 'https://youtu.be/x' } },
    { inlineData: { mimeType: 'application/pdf', data: 'JVBERg==' } },
  ])
})

test('calls and results go without ids, and what a caller is billed by goes as labels', () => {
  const { body, dropped } = bodyOf({
    messages: [
      { role: 'user', content: 'Time?' },
      {
        role: 'assistant',
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'now', arguments: '' } }],
      },
      { role: 'tool', tool_call_id: 'c', content: 'noon' },
    ],
    tools: [clock],
    web_search_options: {},
    user: 'Ada Lovelace',
    metadata: { 'Cost-Centre': 'R&D', '7': 'x' },
  })
  expect(body.contents.slice(1)).toEqual([
    {
      role: 'model',
      parts: [{ functionCall: { name: 'now', args: {} }, thoughtSignature: unsigned }],
    },
    {
      role: 'user',
      parts: [{ functionResponse: { name: 'now', response: { output: 'noon' } } }],
    },
  ])
  expect(body.labels).toEqual({ 'cost-centre': 'r_d', user: 'ada_lovelace' })
  expect(body.toolConfig).toBeUndefined()
  expect(dropped).toEqual(['metadata.7'])
})
