import { afterEach, beforeEach, expect, test } from 'bun:test'

import type { TestGateway } from '../helpers/gateway.ts'
import { startGateway } from '../helpers/gateway.ts'

// What a connection comes to that is relayed message for message. The provider answers each message with what it says.

let provider: ReturnType<typeof Bun.serve>
let gateway: TestGateway

beforeEach(async () => {
  provider = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch: (request, server) =>
      server.upgrade(request, { data: undefined })
        ? undefined
        : new Response(null, { status: 400 }),
    websocket: { message: (socket, message) => void socket.send(message) },
  })
  gateway = await startGateway({
    logs: true,
    config: {
      providers: {
        openai: {
          keys: [{ name: 'main', value: 'sk-provider-0123456789', aliases: { fast: 'gpt-4o' } }],
          network_config: { base_url: provider.url.origin },
        },
      },
    },
  })
})
afterEach(async () => {
  await gateway.stop()
  await provider.stop(true)
})

/** The row of a connection on which the provider said this, and which the caller closed then. */
async function rowOf(path: string, said: readonly object[]): Promise<any> {
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/openai/v1${path}`)
  let got = 0
  const closed = new Promise<void>((resolve) =>
    socket.addEventListener('close', () => resolve(), { once: true }),
  )
  socket.addEventListener('open', () => {
    for (const message of [...said, {}]) socket.send(JSON.stringify(message))
  })
  socket.addEventListener('message', () => {
    if (++got === said.length + 1) socket.close()
  })
  await closed
  for (;;) {
    const { logs }: any = await (await fetch(`${gateway.url}/api/logs?status=success`)).json()
    if (logs.length > 0) return logs[0]
  }
}

test('a WebSocket is logged with the key and the model that it was opened with', async () => {
  expect(await rowOf('/realtime?model=fast', [])).toMatchObject({
    object: 'realtime',
    provider: 'openai',
    selected_key_name: 'main',
    model: 'fast',
    alias: 'fast',
    canonical_model_name: 'gpt-4o',
    attempts: 1,
  })
})

const used = (input: number, output: number) => ({
  input_tokens: input,
  output_tokens: output,
  total_tokens: input + output,
})
const completed = (model: string, input: number, output: number) => ({
  type: 'response.completed',
  response: { id: 'resp_1', model, usage: used(input, output) },
})

test('what the responses on a WebSocket used is counted together', async () => {
  const said = [
    completed('gpt-4o', 1000, 100),
    { type: 'x', usage: 1 },
    completed('gpt-4o', 3000, 0),
  ]
  expect(await rowOf('/responses', said)).toMatchObject({
    canonical_model_name: 'gpt-4o',
    prompt_tokens: 4000,
    completion_tokens: 100,
    total_tokens: 4100,
    cost: expect.closeTo(0.011, 9),
  })
})

test('each response on a WebSocket has the price of its own model', async () => {
  const said = [completed('gpt-4o', 1000, 0), completed('gpt-4o-mini', 1000, 0)]
  expect(await rowOf('/responses', said)).toMatchObject({
    prompt_tokens: 2000,
    cost: expect.closeTo(0.0025 + 0.00015, 9),
  })
})

test('a WebSocket with one response of unknown price has none', async () => {
  const said = [completed('gpt-4o', 1000, 0), completed('nobody-knows', 1000, 0)]
  expect(await rowOf('/responses', said)).toMatchObject({ prompt_tokens: 2000, cost: null })
})

test('realtime responses are those of the model that the connection is for', async () => {
  const said = { type: 'response.done', response: { usage: used(1000, 10) } }
  expect(await rowOf('/realtime?model=fast', [said])).toMatchObject({
    prompt_tokens: 1000,
    completion_tokens: 10,
    cost: expect.closeTo(0.0026, 9),
  })
})
