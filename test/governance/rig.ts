import OpenAI from 'openai'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { RecordedRequest, Upstream } from '../helpers/upstream.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: any
}

export interface GovernanceRig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly openai: Upstream
  readonly groq: Upstream
  /** OpenAI's own client, with this as its key. */
  client(apiKey: string, headers?: Record<string, string>): OpenAI
  post(path: string, body: object, headers?: Record<string, string>): Promise<Answer>
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  /** What `/api/explain` says of a chat completion. */
  explain(body: object, headers?: Record<string, string>): Promise<any>
}

/** Two keys of one provider and one of another, behind fakes of their own. */
export async function governanceRig(
  governance: object | undefined,
  more: { client?: object; logs?: boolean; sections?: object; providers?: object } = {},
): Promise<GovernanceRig> {
  const openai = await startUpstream()
  const groq = await startUpstream()
  const to = ({ url }: Upstream) => ({ base_url: url, allow_private_network: true })
  const gateway = await startGateway({
    logs: more.logs ?? false,
    config: {
      ...(more.client && { client: more.client }),
      providers: {
        openai: {
          keys: [
            {
              name: 'cheap',
              id: 'key-cheap',
              value: 'sk-cheap-0123456789',
              aliases: { fast: 'gpt-4o' },
            },
            { name: 'dear', id: 'key-dear', value: 'sk-dear-0123456789', weight: 0.0001 },
          ],
          network_config: to(openai),
        },
        groq: {
          keys: [{ name: 'third', id: 'key-third', value: 'gsk-0123456789' }],
          network_config: to(groq),
        },
        ...more.providers,
      },
      ...(governance && { governance }),
      ...more.sections,
    },
  })
  const send = async (path: string, init: RequestInit): Promise<Answer> => {
    const answer = await fetch(gateway.url + path, init)
    const text = await answer.text()
    return {
      status: answer.status,
      headers: answer.headers,
      body: answer.headers.get('content-type') === 'application/json' ? JSON.parse(text) : text,
    }
  }
  const rig: GovernanceRig = {
    gateway,
    openai,
    groq,
    client: (apiKey, headers = {}) =>
      new OpenAI({
        apiKey,
        baseURL: `${gateway.url}/openai/v1`,
        maxRetries: 0,
        defaultHeaders: headers,
      }),
    post: (path, body, headers = {}) =>
      send(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    get: (path, headers = {}) => send(path, { headers }),
    async explain(body, headers = {}) {
      const described = { path: '/v1/chat/completions', headers, body: chat(body) }
      return (await rig.post('/api/explain', described)).body
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await openai.stop()
      await groq.stop()
    },
  }
  return rig
}

export function chat(more: object = {}): object {
  return { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }], ...more }
}

export const CHAT = '/openai/v1/chat/completions'

/** The key that a request was sent with. */
export function keyOf({ headers }: RecordedRequest): string {
  return headers.get('authorization')?.replace('Bearer ', '') ?? ''
}
