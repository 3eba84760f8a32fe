import { afterAll, beforeAll, expect, test } from 'bun:test'

import { OpenAI } from 'openai'
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket'
import { ResponsesWS as BetaResponsesWS } from 'openai/resources/beta/responses/ws'
import { ForksWS } from 'openai/resources/live/forks/ws'
import { SidebandWS } from 'openai/resources/live/sideband/ws'
import { LiveWS } from 'openai/resources/live/ws'
import type { SessionUpdateEvent } from 'openai/resources/realtime/realtime'
import { ResponsesWS } from 'openai/resources/responses/ws'

import { startGateway } from '../helpers/gateway.ts'
import { CLIENT_KEY, PROVIDER_KEY } from './rig.ts'

// The SDK's WebSocket classes. The upstream answers every message with the message itself in an event.

/** What the SDK's socket classes have in common. */
interface SdkSocket {
  on(event: 'event' | 'error', listener: (event: unknown) => void): unknown
  send(event: unknown): void
  close(): void
}

interface Handshake {
  readonly path: string
  readonly query: string
  readonly headers: Headers
}

interface Scenario {
  readonly name: string
  readonly open: (client: OpenAI) => unknown
  readonly path: string
  readonly query: string
}

const SCENARIOS: Scenario[] = [
  {
    name: 'ResponsesWS',
    open: (client) => new ResponsesWS(client),
    path: '/v1/responses',
    query: '',
  },
  {
    name: 'beta ResponsesWS',
    open: (client) => new BetaResponsesWS(client),
    path: '/v1/responses',
    query: '',
  },
  {
    name: 'OpenAIRealtimeWebSocket with a prefixed model',
    open: (client) => new OpenAIRealtimeWebSocket({ model: 'openai/gpt-realtime' }, client),
    path: '/v1/realtime',
    query: '?model=gpt-realtime',
  },
  {
    name: 'OpenAIRealtimeWebSocket beside a call',
    open: (client) => new OpenAIRealtimeWebSocket({ callID: 'call_1' }, client),
    path: '/v1/realtime',
    query: '?call_id=call_1',
  },
  {
    name: 'LiveWS',
    open: (client) => new LiveWS(client),
    path: '/v1/live/sessions',
    query: '',
  },
  {
    name: 'live SidebandWS',
    open: (client) => new SidebandWS(client, { session_id: 'sess_1' }),
    path: '/v1/live/sessions/sess_1/attach',
    query: '',
  },
  {
    name: 'live ForksWS',
    open: (client) => new ForksWS(client, { session_id: 'sess_1' }),
    path: '/v1/live/sessions/sess_1/fork',
    query: '',
  },
]

const handshakes: Handshake[] = []
const NativeWebSocket = globalThis.WebSocket
let client: OpenAI
let stop: () => Promise<void>

beforeAll(async () => {
  const upstream = Bun.serve({
    port: 0,
    hostname: 'localhost',
    fetch(request, server) {
      const url = new URL(request.url)
      handshakes.push({
        path: url.pathname,
        query: url.search,
        headers: new Headers(request.headers),
      })
      return server.upgrade(request) ? undefined : new Response('no', { status: 426 })
    },
    websocket: {
      message(socket, message) {
        socket.send(
          JSON.stringify({
            type: 'session.updated',
            heard: JSON.parse(String(message)) as unknown,
          }),
        )
      },
    },
  })
  const gateway = await startGateway({
    config: {
      providers: {
        openai: {
          keys: [{ name: 'rig', value: PROVIDER_KEY, models: ['*'], weight: 1 }],
          network_config: {
            base_url: `http://localhost:${upstream.port}`,
            allow_private_network: true,
          },
        },
      },
    },
  })
  client = new OpenAI({ apiKey: CLIENT_KEY, baseURL: `${gateway.url}/openai/v1` })
  // The realtime classes insist on TLS; the gateway under test has none.
  globalThis.WebSocket = class extends NativeWebSocket {
    constructor(url: string, protocols?: string[]) {
      super(url.replace(/^wss:/, 'ws:'), protocols)
    }
  } as typeof WebSocket
  stop = async () => {
    await gateway.stop()
    await upstream.stop(true)
  }
})

afterAll(async () => {
  globalThis.WebSocket = NativeWebSocket
  await stop()
})

test.each(SCENARIOS)('$name', async ({ open, path, query }) => {
  handshakes.length = 0
  const socket = open(client) as SdkSocket
  const message = {
    type: 'session.update',
    session: { deep: [1.5, 'ü'] },
  } as unknown as SessionUpdateEvent
  const heard = await new Promise<unknown>((resolve, reject) => {
    socket.on('event', resolve)
    socket.on('error', reject)
    // The newer classes queue what is said before the socket is open; the realtime ones refuse it.
    if (socket instanceof OpenAIRealtimeWebSocket) {
      socket.socket.addEventListener('open', () => socket.send(message))
    } else socket.send(message)
  }).finally(() => socket.close())

  expect(heard).toMatchObject({ type: 'session.updated', heard: message })
  expect(handshakes).toMatchObject([{ path, query }])
  const headers = handshakes[0]?.headers ?? new Headers()
  expect(headers.get('authorization')).toBe(`Bearer ${PROVIDER_KEY}`)
  expect(JSON.stringify([...headers])).not.toContain(CLIENT_KEY)
})
