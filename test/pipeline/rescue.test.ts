import { afterEach, beforeEach, describe, expect, test } from 'bun:test'

import OpenAI, { APIError } from 'openai'

import { PROVIDERS } from '#providers/registry.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { ReplyParts, Upstream } from '../helpers/upstream.ts'
import { chatChunk, strictStream, USAGE, usageChunk } from './rig.ts'

// A stream that breaks half-way and is continued by the next candidate, with OpenAI's SDK as the caller.

const finish = chatChunk('', { finish: 'stop' })
const request = {
  model: 'openai/gpt-x',
  messages: [{ role: 'user' as const, content: 'Tell me of the cat.' }],
}
const roleOf = (id: string): string =>
  JSON.stringify({
    id,
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
  })
/** It just ends, without an end: what a dropped connection looks like, without what that does to unread bytes. */
const broken = (...texts: string[]): ReplyParts => ({
  sse: [roleOf('c'), ...texts.map((text) => chatChunk(text))],
})
const rest = (...texts: string[]): ReplyParts => ({
  sse: [
    roleOf('other'),
    ...texts.map((text) => chatChunk(text).replace('"id":"c"', '"id":"other"')),
    finish,
    usageChunk,
    '[DONE]',
  ],
})

let first: Upstream
let second: Upstream
let gateway: TestGateway
let client: OpenAI

beforeEach(async () => {
  first = await startUpstream()
  second = await startUpstream()
  gateway = await startGateway({
    config: {
      providers: {
        openai: { keys: [{ value: 'k1' }], network_config: { base_url: first.url } },
        groq: { keys: [{ value: 'k2' }], network_config: { base_url: second.url } },
        anthropic: { keys: [{ value: 'k3' }], network_config: { base_url: second.url } },
        mistral: {
          keys: [
            { value: 'k4', aliases: { mine: 'mistral-large-latest', other: 'magistral-small' } },
          ],
          network_config: { base_url: second.url },
        },
      },
    },
  })
  client = new OpenAI({
    apiKey: 'none',
    baseURL: `${gateway.url}/openai/v1`,
    maxRetries: 0,
    defaultHeaders: { 'x-bf-rescue': 'true' },
  })
})
afterEach(async () => {
  await gateway.stop()
  await first.stop()
  await second.stop()
})

function raw(body: object = {}, headers: Record<string, string> = { 'x-bf-rescue': 'true' }) {
  return fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...request, stream: true, fallbacks: ['groq/m'], ...body }),
  })
}

const settled = () =>
  gateway.logged(({ message }) => /^request (?:served|failed)/.test(String(message)))

const textOf = (events: readonly { data: any }[]): string =>
  events.map(({ data }) => data.choices?.[0]?.delta?.content ?? '').join('')

describe('the SDK', () => {
  test('sees one stream, and its helper one message', async () => {
    first.reply(broken('The cat ', 'sat on'))
    second.reply(rest('cat sat on', ' the mat.'))
    const stream = client.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
      ...{ fallbacks: ['groq/m'] },
    })
    const completion = await stream.finalChatCompletion()
    expect(completion.choices).toHaveLength(1)
    expect(completion.choices[0]!.message.content).toBe('The cat sat on the mat.')
    expect(completion.choices[0]!.finish_reason).toBe('stop')
    expect(completion.id).toBe('c')
  })

  test('gets the usage of both parts', async () => {
    first.reply(broken('The cat ', 'sat on'))
    second.reply(rest(' the mat.'))
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
      ...{ fallbacks: ['groq/m'] },
    })
    let usage: OpenAI.CompletionUsage | undefined
    for await (const chunk of stream) usage = chunk.usage ?? usage
    // Of the part that broke nobody said what it used: its text is counted, and its request.
    expect(usage!.completion_tokens).toBe(USAGE.completion_tokens + 4)
    expect(usage!.prompt_tokens).toBeGreaterThan(USAGE.prompt_tokens)
    expect(usage!.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens)
    const { usage: booked } = await settled()
    expect(booked).toMatchObject({
      inputTokens: usage!.prompt_tokens,
      outputTokens: usage!.completion_tokens,
    })
  })

  test('gets the error of the first when nobody goes on', async () => {
    first.reply(broken('The cat '))
    second.reply({ status: 500, json: { error: { message: 'no', type: 'server_error' } } })
    first.reply({ status: 500, json: { error: { message: 'no', type: 'server_error' } } })
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      ...{ fallbacks: ['groq/m'] },
    })
    let text = ''
    const read = async (): Promise<void> => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    }
    const error = await read().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(APIError)
    expect((error as APIError).code).toBe('upstream_truncated')
    expect(text).toBe('The cat ')
    expect(await settled()).toMatchObject({ kind: 'upstream_truncated' })
  })
})

describe('on the wire', () => {
  test('there is a comment and a mark, one id and one end', async () => {
    first.reply(broken('The cat ', 'sat on'))
    second.reply(rest(' the mat.'))
    const answer = await raw()
    const stream = await strictStream(answer)
    expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat on the mat.'])
    expect(stream.text).toContain(': rescued: groq goes on for openai\n\n')
    const marked = stream.events.filter(({ data }) => data.extra_fields?.rescued)
    expect(marked.map(({ data }) => data.extra_fields.rescued)).toEqual([
      { from: 'openai', to: 'groq', error: 'upstream_truncated', after_chars: 14 },
    ])
    expect(new Set(stream.events.map(({ data }) => data.id))).toEqual(new Set(['c']))
    const roles = stream.events.filter(({ data }) => data.choices[0]?.delta?.role !== undefined)
    expect(roles).toHaveLength(1)
    expect(stream.events.at(-1)!.data.extra_fields.provider).toBe('groq')
  })

  test('the next candidate gets what was said, and is asked to go on', async () => {
    first.reply(broken('The cat ', 'sat "on"'))
    second.reply(rest(' the mat.'))
    await strictStream(await raw())
    const { messages, model } = second.requests[0]!.json()
    expect(model).toBe('m')
    expect(messages.slice(0, 2)).toEqual([
      ...request.messages,
      { role: 'assistant', content: 'The cat sat "on"' },
    ])
    expect(messages).toHaveLength(3)
    expect(messages[2].role).toBe('user')
  })

  test('a limit of the caller is one for both parts', async () => {
    first.reply(broken('The cat sat '))
    second.reply(rest('down.'))
    await strictStream(await raw({ max_completion_tokens: 20 }))
    expect(second.requests[0]!.json().max_completion_tokens).toBe(17)
  })

  test('a break after which nothing had been said begins anew', async () => {
    first.reply(broken())
    second.reply(rest('The cat.'))
    const stream = await strictStream(await raw())
    expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat.'])
    expect(second.requests[0]!.json().messages).toEqual(request.messages)
  })

  test('what breaks again is continued again, and a third time is not', async () => {
    first.reply([broken('one '), broken('three ')])
    second.reply([broken('two ')])
    const stream = await strictStream(await raw())
    expect([stream.end, textOf(stream.events)]).toEqual(['error', 'one two three '])
    expect([first.requests.length, second.requests.length]).toEqual([2, 1])
  })

  test('without another candidate the same one is asked again', async () => {
    first.reply([broken('The cat '), rest('sat.')])
    const stream = await strictStream(await raw({ fallbacks: [] }))
    expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat.'])
    expect(first.requests).toHaveLength(2)
  })

  test('silence is a break as well, as long as the whole has time left', async () => {
    const { promise: never } = Promise.withResolvers<void>()
    const silent: ReplyParts = { sse: [chatChunk('The cat '), chatChunk('never')], gate: never }
    first.reply(silent)
    second.reply(rest('sat.'))
    const idle = { 'x-bf-rescue': 'true', 'x-bf-timeout-idle': '500ms' }
    expect(textOf((await strictStream(await raw({}, idle))).events)).toBe('The cat sat.')
    await first.requests[0]!.closed
    first.reply(silent)
    const total = { 'x-bf-rescue': 'true', 'x-bf-timeout-total': '500ms' }
    expect((await strictStream(await raw({}, total))).end).toBe('error')
    expect(second.requests).toHaveLength(1)
  })

  test('no place is held when it is over', async () => {
    first.reply(broken('The cat '))
    second.reply(rest('sat.'))
    await strictStream(await raw())
    expect(await settled()).toMatchObject({ message: 'request served' })
    const health = (await (await fetch(`${gateway.url}/health`)).json()) as any
    expect(health.components.in_flight).toBe(0)
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(metrics).toContain('asbru_rescues_total 1\n')
    expect(metrics).toContain('asbru_rescued_total 1\n')
  })

  test('the log has what the caller got, once, and who it came from', async () => {
    const keeping = await startGateway({
      logs: true,
      config: {
        providers: {
          openai: { keys: [{ value: 'k1' }], network_config: { base_url: first.url } },
          groq: { keys: [{ value: 'k2' }], network_config: { base_url: second.url } },
        },
      },
    })
    try {
      first.reply(broken('The cat ', 'sat on'))
      second.reply(rest('cat sat on', ' the mat.'))
      const answer = await fetch(`${keeping.url}/openai/v1/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-bf-rescue': 'true',
          'x-request-id': 'rescued',
        },
        body: JSON.stringify({ ...request, stream: true, fallbacks: ['groq/m'] }),
      })
      await strictStream(answer)
      const row = await (await fetch(`${keeping.url}/api/logs/rescued`)).json()
      expect(row).toMatchObject({
        status: 'success',
        provider: 'groq',
        fallback_index: 1,
        attempts: 2,
        output_message: { content: 'The cat sat on the mat.' },
      })
    } finally {
      await keeping.stop()
    }
  })

  test('a caller who leaves while the second speaks takes it along', async () => {
    first.reply(broken('The cat '))
    const { promise: never } = Promise.withResolvers<void>()
    second.reply({ sse: [chatChunk('sat'), chatChunk('never')], gate: never })
    const leaving = new AbortController()
    const answer = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-bf-rescue': 'true' },
      body: JSON.stringify({ ...request, stream: true, fallbacks: ['groq/m'] }),
      signal: leaving.signal,
    })
    const reader = answer.body!.getReader()
    const decoder = new TextDecoder()
    let text = ''
    while (!text.includes('sat')) text += decoder.decode((await reader.read()).value)
    leaving.abort()
    await second.requests[0]!.closed
    expect(await settled()).toMatchObject({ kind: 'client_closed' })
  })
})

describe('between dialects', () => {
  /** What Anthropic sends, without its end where `isWhole` is not. */
  function messages(isWhole: boolean, ...texts: string[]): ReplyParts {
    const usage = { input_tokens: 9, output_tokens: 1 }
    const message = { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], usage }
    const delta = (text: string) => ({
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'text_delta', text },
    })
    const events: { type: string }[] = [
      { type: 'message_start', ...{ message } },
      { type: 'content_block_start', ...{ index: 0, content_block: { type: 'text', text: '' } } },
      ...texts.map(delta),
    ]
    if (isWhole) {
      events.push(
        { type: 'content_block_stop', ...{ index: 0 } },
        {
          type: 'message_delta',
          ...{ delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
        },
        { type: 'message_stop' },
      )
    }
    return {
      sse: events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
    }
  }

  test('a model that takes the beginning of an answer gets it as that', async () => {
    first.reply(broken('The cat '))
    second.reply(messages(true, 'sat on', ' the mat.'))
    const stream = await strictStream(await raw({ fallbacks: ['anthropic/claude-3-5-haiku'] }))
    expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat on the mat.'])
    const sent = second.requests[0]!.json().messages
    expect(sent.at(-1)).toEqual({
      role: 'assistant',
      content: [{ type: 'text', text: 'The cat' }],
    })
  })

  test.each(['mistral-large-latest', 'mine'])(
    'a vendor that wants the beginning marked gets it marked, and what it gives back is cut: %s',
    async (model) => {
      first.reply(broken('The cat '))
      second.reply(rest('The cat sat on', ' the mat.'))
      const stream = await strictStream(await raw({ fallbacks: [`mistral/${model}`] }))
      expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat on the mat.'])
      const sent = second.requests[0]!.json().messages
      expect(sent.at(-1)).toEqual({ role: 'assistant', content: 'The cat ', prefix: true })
    },
  )

  test.each(['magistral-medium-latest', 'other'])(
    'a model that always thinks is asked to go on: %s',
    async (model) => {
      first.reply(broken('The cat '))
      second.reply(rest('sat.'))
      const stream = await strictStream(await raw({ fallbacks: [`mistral/${model}`] }))
      expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat.'])
      expect(second.requests[0]!.json().messages.at(-1).role).toBe('user')
    },
  )

  test('Claude takes it in all of its homes, and no other model there', () => {
    const takes = (provider: string, model: string) => PROVIDERS.get(provider)!.prefills!(model)
    for (const provider of ['anthropic', 'bedrock', 'vertex']) {
      expect(takes(provider, 'claude-sonnet-4-5')).toBe(true)
      expect(takes(provider, 'claude-opus-4-6')).toBe(false)
    }
    expect(takes('bedrock', 'eu.anthropic.claude-3-5-sonnet-20241022-v2:0')).toBe(true)
    expect(takes('bedrock', 'amazon.nova-pro-v1:0')).toBe(false)
    expect(takes('vertex', 'gemini-2.5-pro')).toBe(false)
  })

  test.each([
    ['does not take it', 'claude-opus-4-6', {}],
    ['thinks first', 'claude-sonnet-4-5', { reasoning_effort: 'low' }],
  ])('a model that %s is asked to go on', async (_, model, more) => {
    first.reply(broken('The cat '))
    second.reply(messages(true, 'sat.'))
    const stream = await strictStream(await raw({ ...more, fallbacks: [`anthropic/${model}`] }))
    expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat.'])
    const roles = second.requests[0]!.json().messages.map((one: { role: string }) => one.role)
    expect(roles).toEqual(['user', 'assistant', 'user'])
  })

  test('a translated stream that breaks is continued as well', async () => {
    second.reply(messages(false, 'The cat ', 'sat on'))
    first.reply(rest(' the mat.'))
    const body = { model: 'anthropic/claude-3-5-haiku', fallbacks: ['openai/gpt-x'] }
    const stream = await strictStream(await raw(body))
    expect([stream.end, textOf(stream.events)]).toEqual(['done', 'The cat sat on the mat.'])
  })
})

describe('a stream is left as it is', () => {
  const call = (index: number, more: object) =>
    JSON.stringify({
      id: 'c',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [{ index, delta: more, finish_reason: null }],
    })
  const tools = [{ index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '{' } }]

  test.each([
    ['unless that is wanted', {}, {}, chatChunk('a')],
    ['when that is not wanted', {}, { 'x-bf-rescue': 'false' }, chatChunk('a')],
    ['with an open call of a tool', {}, undefined, call(0, { tool_calls: tools })],
    ['with several choices', { n: 2 }, undefined, call(1, { content: 'b' })],
    ['with a refusal', {}, undefined, call(0, { refusal: 'No' })],
    ['as JSON', { response_format: { type: 'json_object' } }, undefined, chatChunk('{')],
  ])('%s', async (_, body, headers, chunk) => {
    first.reply({ sse: [chunk] })
    const stream = await strictStream(await raw(body, headers))
    expect(stream.end).toBe('error')
    expect(second.requests).toHaveLength(0)
  })
})
