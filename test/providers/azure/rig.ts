import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'

export const KEY = 'resource-key-0123456789abcdef'

export interface Rig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly upstream: Upstream
  send(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
  /** A chat with a deployment. */
  chat(deployment: string, more?: object): Promise<Response>
}

export interface RigOptions {
  /** Members of the key beside its name; `value` stays unless it is given. */
  readonly key?: object
  /** Members of `azure_key_config` beside the endpoint. */
  readonly config?: object
  readonly env?: Record<string, string>
  readonly client?: object
  readonly network?: object
  /** Appended to the upstream's address. */
  readonly path?: string
  readonly keys?: (upstream: string) => object[]
  /** More providers. */
  readonly others?: (upstream: string) => Record<string, object>
}

/** A gateway with one Azure resource, which is a fake upstream. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const upstream = await startUpstream()
  const endpoint = upstream.url + (options.path ?? '')
  const key = {
    name: 'resource',
    value: KEY,
    azure_key_config: { endpoint, ...options.config },
    ...options.key,
  }
  const gateway = await startGateway({
    config: {
      client: options.client ?? {},
      providers: {
        ...options.others?.(upstream.url),
        azure: {
          keys: options.keys?.(upstream.url) ?? [key],
          ...(options.network && { network_config: options.network }),
        },
      },
    },
    env: options.env ?? {},
  })
  const send: Rig['send'] = (path, body, headers) =>
    fetch(`${gateway.url}/openai/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  return {
    gateway,
    upstream,
    send,
    chat: (deployment, more) =>
      send('/chat/completions', {
        model: `azure/${deployment}`,
        messages: [{ role: 'user', content: 'Hi' }],
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

/** A whole chat answer. */
export const ANSWER = {
  json: {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1763700000,
    model: 'gpt-6-luna-2026-05-01',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'Hello', refusal: null },
        finish_reason: 'stop',
        logprobs: null,
        content_filter_results: { hate: { filtered: false, severity: 'safe' } },
      },
    ],
    prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }],
    usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
  },
}
