import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { RecordedRequest, Upstream } from '../helpers/upstream.ts'

// A fallback is sent what it would have been sent if it had been asked at first: nothing of the dialect before it, and
// nothing that was changed for that.

const models = {
  openai: 'gpt-4o',
  anthropic: 'claude-sonnet-4-5',
  gemini: 'gemini-2.5-flash',
  cohere: 'command-a-03-2025',
  mistral: 'mistral-large-latest',
  ollama: 'llama3.2',
} as const
type Name = keyof typeof models
const names = Object.keys(models) as Name[]

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({
    config: {
      client: { circuit_breaker: { enabled: false } },
      providers: Object.fromEntries(
        names.map((name) => [
          name,
          { keys: [{ value: `sk-${name}` }], network_config: { base_url: upstream.url } },
        ]),
      ),
    },
  })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})
afterEach(() => upstream.clear())

const tool = {
  type: 'function',
  function: {
    name: 'look',
    parameters: { type: 'object', properties: { at: { type: 'string' } } },
  },
}
const chat = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'What is it?' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"at":"it"}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'call_1', content: 'A cat.' },
    { role: 'user', content: [{ type: 'text', text: 'And now?' }] },
  ],
  tools: [tool],
  max_completion_tokens: 200,
  temperature: 0.5,
  stop: ['END'],
  user: 'somebody',
}
const responses = {
  instructions: 'Be brief.',
  input: [{ role: 'user', content: [{ type: 'input_text', text: 'What is it?' }] }],
  tools: [{ type: 'function', name: 'look', parameters: tool.function.parameters, strict: false }],
  max_output_tokens: 200,
}

async function ask(path: string, body: object): Promise<Response> {
  const response = await fetch(`${gateway.url}/openai/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  await response.text()
  return response
}

/** What counts of a request. Ids and lengths that are new each time do not. */
function shown(request: RecordedRequest): object {
  const { method, path, query, headers } = request
  const kept = [...headers].filter(
    ([name]) => !/^(?:content-length|x-request-id|traceparent|connection)$/.test(name),
  )
  return { method, path, query, headers: kept, body: request.text() }
}

const pairs = names.flatMap((from) =>
  names.flatMap((to) => (from === to ? [] : [[from, to] as const])),
)

describe.each([
  ['a chat', '/chat/completions', chat],
  ['a streamed chat', '/chat/completions', { ...chat, stream: true }],
  ['a response', '/responses', responses],
] as const)('%s that falls back', (_, path, body) => {
  test.each(pairs)('from %s to %s is the same as one that begins there', async (from, to) => {
    const target = `${to}/${models[to]}`
    upstream.reply({ status: 503, json: { error: { message: 'busy', type: 'overloaded_error' } } })
    const fallen = await ask(path, {
      ...body,
      model: `${from}/${models[from]}`,
      fallbacks: [target],
    })
    expect([fallen.status, fallen.headers.get('x-bifrost-provider')]).toEqual([200, to])
    const direct = await ask(path, { ...body, model: target })
    expect(direct.status).toBe(200)
    const [first, second, third, ...more] = upstream.requests
    expect(more).toBeEmpty()
    expect(shown(second!)).toEqual(shown(third!))
    expect(
      first!.headers.get('authorization') ?? first!.headers.get('x-api-key') ?? from,
    ).toContain(from)
    expect(second!.text()).not.toContain('fallbacks')
  })
})
