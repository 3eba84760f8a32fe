import OpenAI from 'openai'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { playback, startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

export interface BridgeRig extends AsyncDisposable {
  readonly upstream: Upstream
  readonly gateway: TestGateway
  readonly client: OpenAI
  post(path: string, body: object, headers?: Record<string, string>): Promise<Response>
}

/** A gateway whose providers, by these names, are all the same fake one. */
export async function startBridge(
  names: readonly string[],
  key: object = {},
  more: object = {},
): Promise<BridgeRig> {
  const upstream = await startUpstream()
  const providers = Object.fromEntries(
    names.map((name) => [
      name,
      {
        keys: [{ name: `${name}-key`, value: 'sk-upstream', models: ['*'], weight: 1, ...key }],
        network_config: { base_url: upstream.url, allow_private_network: true },
        ...more,
      },
    ]),
  )
  const gateway = await startGateway({ config: { providers } })
  const client = new OpenAI({ baseURL: `${gateway.url}/openai/v1`, apiKey: 'none', maxRetries: 0 })
  return {
    upstream,
    gateway,
    client,
    post: (path, body, headers) =>
      fetch(`${gateway.url}/openai/v1${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

export type Cut = 'whole' | 'line' | 'byte'
export const CUTS: readonly Cut[] = ['whole', 'line', 'byte']

/** Answers the next request with chat chunks; each is what stands in the chunk besides its envelope. */
export function replyChunks(
  upstream: Upstream,
  deltas: readonly object[],
  cut: Cut = 'line',
  end: 'done' | 'reset' | 'close' = 'done',
): void {
  const envelope = { id: 'chatcmpl-up', object: 'chat.completion.chunk', created: 1, model: 'up-1' }
  const frames = deltas.map((delta) => `data: ${JSON.stringify({ ...envelope, ...delta })}\n\n`)
  if (end === 'done') frames.push('data: [DONE]\n\n')
  upstream.reply({
    headers: { 'content-type': 'text/event-stream' },
    chunks: playback(frames.join(''), cut),
    reset: end === 'reset',
  })
}

/** A chunk with this delta. */
export function says(delta: object, finish: string | null = null): object {
  return { choices: [{ index: 0, delta, finish_reason: finish }] }
}

/** The events of a stream, as their `data`; every `event:` line has to name the type in it. */
export function eventsOf(text: string): any[] {
  return text
    .split('\n\n')
    .filter((frame) => frame !== '' && !frame.startsWith(':'))
    .map((frame) => {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(frame) ?? []
      const event = JSON.parse(data ?? 'null')
      if (event.type !== name) throw new Error(`the event ${name} says it is ${event.type}`)
      return event
    })
}

/**
 * The events with ids, times and what the gateway adds made equal from run to run: `resp`, `msg_0`, `fc_1` …, and the
 * response object reduced to what changes.
 */
export function normal(events: readonly any[]): unknown[] {
  const id: string = events[0].response.id
  const base = id.slice('resp_'.length)
  return events.map((event) => {
    const text = JSON.stringify(event)
      .replaceAll(id, 'resp')
      .replaceAll(new RegExp(`${base}000([0-9a-f])`, 'g'), '$1')
    const { extra_fields: _, response, ...rest } = JSON.parse(text)
    if (!response) return rest
    const { status, output, error, incomplete_details } = response
    return { ...rest, response: { id: response.id, status, output, error, incomplete_details } }
  })
}
