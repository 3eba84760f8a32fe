import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { OpenAI } from 'openai'

import { addDetail } from '#openai/answer/collector.ts'

import { startGateway } from '../../helpers/gateway.ts'
import {
  playback,
  type RecordedRequest,
  startUpstream,
  type Upstream,
} from '../../helpers/upstream.ts'

// A gateway in front of a fake Gemini API. Answers that no test queued come from the mock's dialect, which refuses
// what the vendor refuses.

export interface Reply {
  readonly status: number
  readonly dropped: readonly string[]
  readonly headers: Headers
  readonly text: string
  readonly json: any
}

export interface Rig extends AsyncDisposable {
  readonly url: string
  readonly upstream: Upstream
  /** Posts a chat request; `model` gets its prefix here. */
  ask(request: object, headers?: Record<string, string>): Promise<Reply>
  /** As `ask`, and gives what the provider was sent. Throws when the answer is no success. */
  sent(request: object, headers?: Record<string, string>): Promise<RecordedRequest>
  post(path: string, body: object, headers?: Record<string, string>): Promise<Reply>
  client(): OpenAI
}

/** A model of each line that differs. */
export const modern = 'gemini-3-flash-echo'
export const middle = 'gemini-2.5-flash-echo'
export const old = 'gemini-2.0-flash-echo'
export const question = { role: 'user', content: 'Hello there' } as const

export async function startRig(settings: object = {}): Promise<Rig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      providers: {
        gemini: {
          keys: [{ value: 'gemini-key-of-the-tests' }],
          network_config: { base_url: upstream.url, allow_private_network: true, max_retries: 0 },
          ...settings,
        },
      },
    },
  })
  const baseURL = `${gateway.url}/openai/v1`

  async function post(path: string, body: object, headers = {}): Promise<Reply> {
    const response = await fetch(baseURL + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return {
      status: response.status,
      dropped:
        response.headers
          .get('x-bf-dropped-params')
          ?.split(',')
          .map((name) => name.trim()) ?? [],
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    }
  }

  function ask(request: object, headers = {}): Promise<Reply> {
    const { model = modern, ...rest } = request as { model?: string }
    const body = { model: `gemini/${model}`, messages: [question], ...rest }
    return post('/chat/completions', body, headers)
  }

  return {
    url: gateway.url,
    upstream,
    ask,
    post,
    async sent(request, headers) {
      const before = upstream.requests.length
      const reply = await ask(request, headers)
      const found = upstream.requests[before]
      if (!found) throw new Error(`Nothing was sent: ${reply.status} ${reply.text}`)
      if (reply.status !== 200) throw new Error(`The mock refused: ${reply.text}\n${found.text()}`)
      return found
    },
    client: () => new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 }),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

const fixtures = join(import.meta.dir, '../../fixtures/gemini')

export function readFixture(name: string): string {
  return readFileSync(join(fixtures, name), 'utf8')
}

/** A whole answer, without the note where it comes from. */
export function readAnswer(name: string): any {
  const { _source, ...answer } = JSON.parse(readFixture(`${name}.json`))
  if (typeof _source !== 'string') throw new Error(`${name} does not say where it comes from`)
  return answer
}

/** The names of all behaviours that exist both whole and streamed. */
export function behaviours(): string[] {
  return readdirSync(fixtures)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
}

/** Queues a recorded stream as the next answer. */
export function play(upstream: Upstream, name: string, cut: 'whole' | 'line' | 'byte'): void {
  upstream.reply({
    headers: { 'content-type': 'text/event-stream' },
    chunks: playback(readFixture(`${name}.sse`), cut),
  })
}

/** The `data` of every event of a chat stream. */
export function chunksOf(stream: string): any[] {
  return stream
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)))
}

/** The completion that a stream's chunks add up to, as a client that keeps everything would put it together. */
export function assemble(chunks: readonly any[]): any {
  const message: any = { role: 'assistant', content: '', refusal: null }
  const choice: any = { index: 0, message, logprobs: null }
  const whole: any = { choices: [choice] }
  for (const { choices, usage, model, id } of chunks) {
    Object.assign(whole, { id, model })
    if (usage) whole.usage = usage
    for (const { index: _, delta, logprobs, extra_fields: __, ...more } of choices) {
      for (const [name, value] of Object.entries<any>(delta)) addPiece(message, name, value)
      if (logprobs) {
        choice.logprobs ??= { content: [], refusal: null }
        choice.logprobs.content.push(...logprobs.content)
      }
      if (more.finish_reason !== null) Object.assign(choice, more)
    }
  }
  if (message.content === '' && (message.tool_calls || message.refusal)) message.content = null
  return whole
}

function addPiece(message: any, name: string, value: any): void {
  if (name === 'role') return
  if (name === 'reasoning_details') {
    message[name] ??= []
    for (const piece of value) addDetail(message[name], piece)
  } else if (name === 'tool_calls') {
    message[name] ??= []
    for (const { index, ...piece } of value) {
      const known = message[name][index]
      if (known) known.function.arguments += piece.function.arguments
      else message[name][index] = piece
    }
  } else if (Array.isArray(value)) {
    message[name] = [...(message[name] ?? []), ...value]
  } else if (typeof value === 'string') {
    message[name] = (message[name] ?? '') + value
  } else {
    message[name] = value
  }
}
