import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { OpenAI } from 'openai'

import { addDetail } from '#openai/answer/collector.ts'

import { startGateway } from '../../helpers/gateway.ts'
import { type RecordedRequest, startUpstream, type Upstream } from '../../helpers/upstream.ts'

// A gateway in front of a fake Anthropic. Answers that no test queued come from the mock's Anthropic dialect, which
// refuses what the vendor refuses.

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
  /** Posts a chat request; `model` gets its prefix here. `onAnswer` is called when the answer's headers are here. */
  ask(request: object, headers?: Record<string, string>, onAnswer?: () => void): Promise<Reply>
  /** As `ask`, and gives what the provider was sent. */
  sent(request: object, headers?: Record<string, string>): Promise<RecordedRequest>
  client(): OpenAI
}

export const modern = 'claude-opus-5-5'
export const question = { role: 'user', content: 'Hello there' } as const

export async function startRig(): Promise<Rig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      providers: {
        anthropic: {
          keys: [{ value: 'sk-ant-api-test' }],
          network_config: { base_url: upstream.url, allow_private_network: true },
        },
      },
    },
  })
  const baseURL = `${gateway.url}/openai/v1`

  async function ask(
    request: object,
    headers: Record<string, string> = {},
    onAnswer?: () => void,
  ): Promise<Reply> {
    const { model = modern, ...rest } = request as { model?: string }
    const response = await fetch(`${baseURL}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model: `anthropic/${model}`, messages: [question], ...rest }),
    })
    onAnswer?.()
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return {
      status: response.status,
      dropped: response.headers.get('x-bf-dropped-params')?.split(',') ?? [],
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    }
  }

  return {
    url: gateway.url,
    upstream,
    ask,
    async sent(request, headers) {
      const before = upstream.requests.length
      const reply = await ask(request, headers)
      const found = upstream.requests[before]
      if (!found) throw new Error(`Nothing was sent: ${reply.status} ${reply.text}`)
      if (reply.status !== 200) throw new Error(`The mock refused: ${reply.text}`)
      return found
    },
    client: () => new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 }),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

const fixtures = join(import.meta.dir, '../../fixtures/anthropic')

export function readFixture(name: string): string {
  return readFileSync(join(fixtures, name), 'utf8')
}

/** The names of all behaviours that exist both whole and streamed. */
export function behaviours(): string[] {
  return readdirSync(fixtures)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
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
  const message: any = { role: 'assistant', content: null, refusal: null }
  const choice: any = { index: 0, message, logprobs: null }
  const whole: any = { choices: [choice] }
  for (const { choices, usage, model, service_tier, id } of chunks) {
    Object.assign(whole, { id, model, ...(service_tier && { service_tier }) })
    if (usage) whole.usage = usage
    for (const { index: _index, delta, logprobs: _logprobs, ...more } of choices) {
      for (const [name, value] of Object.entries<any>(delta)) {
        if (name === 'reasoning_details') {
          message[name] ??= []
          for (const piece of value) addDetail(message[name], piece)
        } else if (name === 'tool_calls') {
          message[name] ??= []
          for (const { index, ...piece } of value) addCall(message[name], index, piece)
        } else if (Array.isArray(value)) message[name] = [...(message[name] ?? []), ...value]
        else if (typeof value === 'string' && name !== 'role') {
          message[name] = (message[name] ?? '') + value
        } else message[name] = value
      }
      if (more.finish_reason !== null) Object.assign(choice, more)
    }
  }
  delete choice.extra_fields
  if (message.content === '' && (message.tool_calls || message.refusal)) message.content = null
  return whole
}

function addCall(calls: any[], index: number, { function: fn, custom, ...piece }: any): void {
  const call = (calls[index] ??= { ...piece, ...(fn ? { function: fn } : { custom }) })
  if (call.function && fn?.name === undefined) call.function.arguments += fn.arguments
  if (call.custom && custom && custom.name === undefined) call.custom.input += custom.input
}

/** What of a completion does not depend on time or on how it was read. */
export function essence(completion: any): any {
  const rest = { ...completion }
  for (const name of ['created', 'object', 'extra_fields']) delete rest[name]
  return rest
}
