import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

/** A gateway whose provider `openai` is a fake one, and short ways to submit and poll. */
export interface Rig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly upstream: Upstream
  /** Without `headers`, a plain POST. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  /** Polls an envelope until the job has ended. */
  ended(path: string, headers?: Record<string, string>): Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: any
}

export async function startRig(config: object = {}, logs = false): Promise<Rig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    logs,
    config: {
      providers: {
        openai: {
          keys: [{ value: 'sk-provider-0123456789' }],
          network_config: {
            base_url: upstream.url,
            allow_private_network: true,
            retry_backoff_initial: 1,
            retry_backoff_max: 2,
          },
        },
      },
      ...config,
    },
  })
  return {
    gateway,
    upstream,
    ...client(() => gateway.url),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

/** The ways to ask a gateway whose address may change. */
export function client(url: () => string): Pick<Rig, 'post' | 'get' | 'ended'> {
  const get: Rig['get'] = async (path, headers = {}) => read(await fetch(url() + path, { headers }))
  return {
    async post(path, body, headers = {}) {
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }
      return read(await fetch(url() + path, init))
    },
    get,
    async ended(path, headers) {
      for (;;) {
        const answer = await get(path, headers)
        if (answer.status !== 202) return answer
        await Bun.sleep(5)
      }
    },
  }
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  }
}

/** Something that happens when it is told to. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

export const chat = {
  model: 'openai/gpt-4o-mini',
  messages: [{ role: 'user', content: 'Tell me a short story.' }],
}
