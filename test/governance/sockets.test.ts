import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'

interface Provider extends Disposable {
  readonly url: string
  readonly opened: { readonly key: string; readonly path: string }[]
  readonly got: (string | Buffer)[]
}

function startProvider(): Provider {
  const opened: Provider['opened'] = []
  const got: Provider['got'] = []
  const server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch(request, bun) {
      const { pathname, search } = new URL(request.url)
      const key = request.headers.get('authorization')?.replace('Bearer ', '') ?? ''
      opened.push({ key, path: pathname + search })
      return bun.upgrade(request) ? undefined : new Response('no', { status: 400 })
    },
    websocket: {
      message(socket, message) {
        got.push(message)
        socket.send(message)
      },
    },
  })
  return {
    url: `http://localhost:${server.port}`,
    opened,
    got,
    [Symbol.dispose]: () => void server.stop(true),
  }
}

let openai: Provider
let groq: Provider
let gateway: TestGateway
beforeAll(async () => {
  openai = startProvider()
  groq = startProvider()
  const to = (provider: Provider) => ({ base_url: provider.url, allow_private_network: true })
  gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: [
            { name: 'one', value: 'sk-one' },
            { name: 'two', value: 'sk-two' },
          ],
          network_config: to(openai),
        },
        groq: {
          keys: [{ name: 'three', value: 'sk-three' }],
          custom_provider_config: undefined,
          network_config: to(groq),
        },
      },
      governance: {
        virtual_keys: [
          {
            name: 'some',
            value: 'sk-bf-some',
            provider_configs: [
              { provider: 'openai', allowed_models: ['gpt-realtime', 'gpt-4o'], key_ids: ['two'] },
            ],
          },
          { name: 'all', value: 'sk-bf-all', allow_all_providers: true },
        ],
      },
    },
  })
})
afterAll(async () => {
  await gateway.stop()
  openai[Symbol.dispose]()
  groq[Symbol.dispose]()
})
beforeEach(() => {
  openai.opened.length = 0
  openai.got.length = 0
})

async function refusalOf(path: string, key: string): Promise<{ status: number; type: string }> {
  const answer = await fetch(gateway.url + path, {
    headers: {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'x-bf-vk': key,
    },
  })
  const { type } = (await answer.json()) as { type: string }
  return { status: answer.status, type }
}

/** Says something, and what came back before the socket was closed. */
async function talk(
  path: string,
  key: string,
  messages: readonly (string | Uint8Array<ArrayBuffer>)[],
): Promise<{ code: number; heard: unknown[] }> {
  const heard: unknown[] = []
  const socket = new WebSocket(gateway.url.replace('http', 'ws') + path, {
    headers: { authorization: `Bearer ${key}` },
  })
  const closed = new Promise<number>((resolve) =>
    socket.addEventListener('close', ({ code }) => resolve(code)),
  )
  socket.addEventListener('message', ({ data }) => {
    heard.push(typeof data === 'string' ? JSON.parse(data) : data)
    if (heard.length === messages.length) socket.close(1000)
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true })
    socket.addEventListener('error', reject, { once: true })
  })
  for (const message of messages) socket.send(message)
  return { code: await closed, heard }
}

test('a socket is opened with the keys and for the models of its virtual key', async () => {
  const { heard } = await talk('/openai/v1/realtime?model=gpt-realtime', 'sk-bf-some', [
    '{"type":"input_audio_buffer.append","audio":"bW9kZWw="}',
  ])
  expect(heard).toHaveLength(1)
  expect(openai.opened).toEqual([{ key: 'sk-two', path: '/v1/realtime?model=gpt-realtime' }])
})

const closed: readonly (readonly [string, string])[] = [
  ['/openai/v1/realtime?model=gpt-4o-mini', 'model_blocked'],
  ['/openai/v1/realtime', 'model_blocked'],
  ['/openai/v1/realtime?model=groq/gpt-realtime', 'provider_blocked'],
  ['/openai/v1/responses?provider=groq', 'provider_blocked'],
]
for (const [path, type] of closed) {
  test(`${path} is not opened`, async () => {
    expect(await refusalOf(path, 'sk-bf-some')).toEqual({ status: 403, type })
    expect(openai.opened).toEqual([])
  })
}

const create = (model?: string): string =>
  JSON.stringify({ type: 'response.create', ...(model !== undefined && { model }), input: 'x' })

test('what is said on it may name the models that are allowed', async () => {
  const messages = [create('gpt-4o'), create('openai/gpt-4o'), '{"type":"session.update"}']
  const { code, heard } = await talk('/openai/v1/responses', 'sk-bf-some', messages)
  expect(heard).toHaveLength(3)
  expect(code).toBe(1000)
})

const refused: readonly (readonly [string, string | Uint8Array<ArrayBuffer>])[] = [
  ['another model', create('o3')],
  ['another model, deeper', '{"type":"response.create","response":{"model":"o3"}}'],
  ['another model, escaped', '{"type":"response.create","mode\\u006c":"o3"}'],
  ['another model in another spelling', '{"type":"response.create","model":"gpt-4o","MODEL":"o3"}'],
  ['two models', '{"type":"response.create","model":"o3","model":"gpt-4o"}'],
  ['no model', create()],
  ['bytes', new TextEncoder().encode(create('o3'))],
  ['bytes that are nothing', new Uint8Array([0xff, 0xfe, 0])],
]
for (const [name, message] of refused) {
  test(`${name}: the socket is closed, and the provider does not hear it`, async () => {
    const { code, heard } = await talk('/openai/v1/responses', 'sk-bf-some', [
      message,
      create('gpt-4o'),
    ])
    expect(heard).toEqual([
      { type: 'error', error: expect.objectContaining({ code: 'model_blocked' }) },
    ])
    expect(code).toBe(1008)
    expect(openai.got).toEqual([])
  })
}

test('where everything is allowed, nothing is looked at', async () => {
  const { heard } = await talk('/openai/v1/responses', 'sk-bf-all', [create('o3'), create()])
  expect(heard).toHaveLength(2)
})
