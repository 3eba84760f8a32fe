import { generateKeyPairSync } from 'node:crypto'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startTokenServer } from '../../helpers/token-server.ts'
import type { TokenServer } from '../../helpers/token-server.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { RecordedRequest, Upstream } from '../../helpers/upstream.ts'

/** Made anew for each run: no key of anybody's stands in the repository. */
export const KEYS = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

export const ACCOUNT = 'robot@my-project.iam.gserviceaccount.com'

export interface Rig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly upstream: Upstream
  readonly tokens: TokenServer
  send(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
  chat(model: string, more?: object): Promise<Response>
}

export interface RigOptions {
  /** Members of the key beside its name. */
  readonly key?: object
  /** Members of `vertex_key_config`; `null` leaves it out. */
  readonly config?: object | null
  readonly env?: (tokens: string) => Record<string, string>
  readonly client?: object
  readonly network?: object
  /** The credentials as text, for the address of the token server. */
  readonly credentials?: (tokens: string) => string
}

/** What a console gives out for a service account. */
export function serviceAccount(tokenUrl: string, more: object = {}): object {
  return {
    type: 'service_account',
    project_id: 'my-project',
    private_key_id: 'key-1',
    private_key: KEYS.privateKey,
    client_email: ACCOUNT,
    token_uri: `${tokenUrl}/token`,
    ...more,
  }
}

/** A gateway with one project of Vertex AI, which is a fake upstream. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const upstream = await startUpstream()
  const tokens = startTokenServer()
  const written = options.credentials ?? ((url) => JSON.stringify(serviceAccount(url)))
  const gateway = await startGateway({
    config: {
      client: options.client ?? {},
      providers: {
        vertex: {
          keys: [
            {
              name: 'project',
              ...(options.config !== null && {
                vertex_key_config: {
                  project_id: 'my-project',
                  region: 'europe-west4',
                  ...(!options.env && { auth_credentials: written(tokens.url) }),
                  ...options.config,
                },
              }),
              ...options.key,
            },
          ],
          network_config: { base_url: upstream.url, ...options.network },
        },
      },
    },
    env: options.env?.(tokens.url) ?? {},
  })
  const send: Rig['send'] = (path, body, headers) =>
    fetch(`${gateway.url}/openai/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  return {
    gateway,
    upstream,
    tokens,
    send,
    chat: (model, more) =>
      send('/chat/completions', {
        model: `vertex/${model}`,
        messages: [{ role: 'user', content: 'Hi' }],
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
      await tokens.stop()
    },
  }
}

export const GEMINI_ANSWER = {
  json: {
    candidates: [
      { content: { role: 'model', parts: [{ text: 'Hello' }] }, finishReason: 'STOP', index: 0 },
    ],
    usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1, totalTokenCount: 4 },
    modelVersion: 'gemini-2.5-flash',
    responseId: 'r1',
  },
}

export const CLAUDE_ANSWER = {
  json: {
    id: 'msg_vrtx_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5',
    content: [{ type: 'text', text: 'Hello' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 3, output_tokens: 1 },
  },
}

export const OPEN_ANSWER = {
  json: {
    id: 'c1',
    object: 'chat.completion',
    created: 1763700000,
    model: 'meta/llama-4',
    choices: [
      { index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' },
    ],
    usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
  },
}

/** What the service sees of a request. */
export function shown(request: RecordedRequest): object {
  const { method, path, query, headers } = request
  const names = [
    'authorization',
    'x-goog-api-key',
    'x-goog-user-project',
    'content-type',
    'anthropic-version',
    'x-vertex-ai-llm-request-type',
    'x-vertex-ai-llm-shared-request-type',
  ]
  const sent = names.flatMap((name) => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value]]
  })
  return { method, target: path + query, headers: Object.fromEntries(sent), body: request.text() }
}
