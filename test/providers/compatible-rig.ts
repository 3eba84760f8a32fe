import { VENDORS } from '#providers/vendors.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { post } from './play.ts'

/** Every vendor of the family in front of one fake provider. */
export interface FamilyRig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly upstream: Upstream
  /** Sends a body as it is written; an empty chat completion is the answer. */
  sent(text: string, options?: SentOptions): Promise<Sent>
}

export interface SentOptions {
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Sent {
  readonly status: number
  /** What the provider got; undefined when nothing was sent. */
  readonly body: string | undefined
  readonly dropped: readonly string[]
  readonly error: any
}

export async function startFamily(): Promise<FamilyRig> {
  const upstream = await startUpstream()
  const at = { keys: [{ value: 'sk-family' }], network_config: { base_url: upstream.url } }
  const gateway = await startGateway({
    config: {
      providers: {
        ...Object.fromEntries(VENDORS.map(({ name }) => [name, at])),
        elsewhere: { ...at, custom_provider_config: { base_provider_type: 'openai' } },
      },
    },
  })
  return {
    gateway,
    upstream,
    async sent(text, { path = '/chat/completions', headers = {} } = {}) {
      upstream.clear()
      upstream.reply({ json: { id: 'x', object: 'o', created: 1, model: 'm', choices: [] } })
      const response = await post(gateway.url, path, text, headers)
      const { error } = (await response.json()) as any
      const dropped = response.headers.get('x-bf-dropped-params')
      return {
        status: response.status,
        body: upstream.requests[0]?.text(),
        dropped: dropped === null ? [] : dropped.split(','),
        error,
      }
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}
