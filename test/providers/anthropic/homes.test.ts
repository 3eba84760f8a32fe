import { describe, expect, test } from 'bun:test'

import type { Call } from '#core/call.ts'
import { chatWholeWriter } from '#openai/answer/chat-whole.ts'
import { readConversation } from '#openai/conversation/read.ts'
import {
  anthropicBody,
  betasOf,
  type BodyOptions,
  readEvents,
  resourcesOf,
} from '#providers/anthropic/index.ts'
import type { Exchange } from '#providers/exchange.ts'
import type { Resources, Target } from '#providers/provider.ts'

import { png } from './conversations.ts'
import { question } from './rig.ts'

// The same body for the vendor's other homes, which differ in where things stand.

function exchangeOf(request: object, resources: Resources = new Map()): Exchange {
  const headers = { 'anthropic-beta': 'mine-1' }
  return {
    call: { endpoint: 'chat_completion', stream: true, headers } as unknown as Call,
    target: {} as Target,
    model: 'claude-opus-4-8',
    conversation: readConversation({ messages: [question], max_tokens: 9, ...request }),
    resources,
    drop: () => undefined,
  }
}

const picture = 'https://a.example/p.png'
const paper = 'https://a.example/p.pdf'
const shown = {
  messages: [
    {
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: picture } },
        { type: 'file', file: { file_url: paper, filename: 'p.pdf' } },
        { type: 'image_url', image_url: { url: picture } },
      ],
    },
  ],
}

const fetched: Resources = new Map([
  [picture, { mediaType: 'image/png', base64: png }],
  [paper, { mediaType: 'application/pdf', base64: 'JVBERi0=' }],
])
const elsewhere: BodyOptions = {
  omitModel: true,
  omitStream: true,
  anthropicVersion: 'vertex-2023-10-16',
  downloadsUrls: true,
}

describe('a home of its own', () => {
  test('has version and betas in the body, model and stream in the URL', () => {
    const exchange = exchangeOf({ speed: 'fast' })
    expect(anthropicBody(exchange, elsewhere)).toEqual({
      anthropic_version: 'vertex-2023-10-16',
      anthropic_beta: ['mine-1', 'fast-mode-2026-02-01'],
      max_tokens: 9,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello there' }] }],
      speed: 'fast',
    })
    expect(betasOf(exchange)).toEqual(['mine-1', 'fast-mode-2026-02-01'])
    expect(anthropicBody(exchange)).toMatchObject({ model: 'claude-opus-4-8', stream: true })
  })

  test('names what it wants fetched once, and sends what was fetched', () => {
    const exchange = exchangeOf(shown, fetched)
    expect(resourcesOf(exchange.conversation)).toEqual([picture, paper])
    const { messages } = anthropicBody(exchange, elsewhere) as { messages: any[] }
    expect(messages[0].content.map(({ source }: any) => source)).toEqual([
      { type: 'base64', media_type: 'image/png', data: png },
      { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' },
      { type: 'base64', media_type: 'image/png', data: png },
    ])
  })

  test('without the content of a URL there is no request', () => {
    expect(() => anthropicBody(exchangeOf(shown), elsewhere)).toThrow('could not be fetched')
    const page: Resources = new Map([
      ...fetched,
      [picture, { mediaType: 'text/html', base64: 'PGh0' }],
    ])
    expect(() => anthropicBody(exchangeOf(shown, page), elsewhere)).toThrow('text/html')
  })

  test('has instructions at the top only', () => {
    const later = { messages: [question, { role: 'system', content: 'Now German' }, question] }
    const body = anthropicBody(exchangeOf(later), elsewhere) as { system: any[]; messages: any[] }
    expect(body.system).toEqual([{ type: 'text', text: 'Now German' }])
    expect(body.messages).toHaveLength(1)
  })

  test('may frame its events as it likes', () => {
    const writer = chatWholeWriter({ id: 'x', model: 'm', createdAt: 1 })
    const take = readEvents(writer, exchangeOf({}))
    take({ type: 'message_start', message: { id: 'msg_1', usage: { input_tokens: 3 } } })
    take({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'Hi' } })
    take({ type: 'content_block_stop', index: 0 })
    take({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } })
    expect(writer.result()).toBeUndefined()
    take({ type: 'message_stop' })
    expect(JSON.parse(writer.result()!.text)).toMatchObject({
      id: 'chatcmpl-msg_1',
      choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 3, completion_tokens: 2 },
    })
  })
})

describe('names that are taken', () => {
  const person = {
    type: 'json_schema',
    json_schema: { name: 'person', schema: { type: 'object' } },
  }

  test('do not hide the tool that stands for the answer', () => {
    const exchange = {
      ...exchangeOf({
        tools: [{ type: 'function', function: { name: 'person' } }],
        response_format: person,
      }),
      model: 'claude-3-7-sonnet',
    }
    const body = anthropicBody(exchange) as { tools: any[]; tool_choice: unknown }
    expect(body.tools.map(({ name }) => name)).toEqual(['person', 'person_2'])
    expect(body.tool_choice).toEqual({ type: 'any', disable_parallel_tool_use: true })
  })

  test('do not hide the search of the vendor', () => {
    const tools = [{ type: 'function', function: { name: 'web_search' } }]
    const body = anthropicBody(exchangeOf({ tools, web_search_options: {} })) as { tools: any[] }
    expect(body.tools.map(({ name }) => name)).toEqual(['web_search_2', 'web_search'])
  })
})
