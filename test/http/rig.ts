import { expect } from 'bun:test'

import type { TestGateway } from '../helpers/gateway.ts'
import { startGateway } from '../helpers/gateway.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { startUpstream } from '../helpers/upstream.ts'

export const PROVIDER_KEY = 'sk-provider-real-0123456789'

/** A gateway in front of fake providers, and the checks that every refusal has to pass. */
export interface Rig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly url: string
  /** What provider `openai` is. */
  readonly upstream: Upstream
}

/** `openai` is the fake upstream, and so is `groq`, which lacks most endpoints; nothing else is configured. */
export async function startRig(
  options: { client?: object; providers?: object } = {},
): Promise<Rig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      client: options.client ?? {},
      providers: {
        openai: provider(upstream.url, PROVIDER_KEY),
        groq: provider(upstream.url, 'gsk-other-0123456789'),
        ...options.providers,
      },
    },
  })
  const stop = async (): Promise<void> => {
    await gateway.stop()
    await upstream.stop()
  }
  return { gateway, url: gateway.url, upstream, [Symbol.asyncDispose]: stop }
}

/** A provider's configuration with one key. */
export function provider(baseUrl: string, key: string): object {
  return {
    keys: [
      { name: `key-${key.slice(0, 4)}-${baseUrl.slice(-5)}`, value: key, models: ['*'], weight: 1 },
    ],
    network_config: { base_url: baseUrl, allow_private_network: true },
  }
}

interface Refusal {
  readonly status: number
  readonly headers: Headers | Readonly<Record<string, string>>
  readonly body: unknown
}

/** Asserts that an answer is the gateway's own refusal, whole and bounded. */
export function expectEnvelope(refusal: Refusal, expected: { requestType?: string } = {}): void {
  const { status, body } = refusal
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  // Asymmetric matchers inside `toMatchObject` are written into the value they are compared with.
  const { error, extra_fields: extra, ...rest } = body as Envelope
  expect(rest).toMatchObject({ is_bifrost_error: true, status_code: status })
  for (const value of [error.type, error.code, error.message, extra.request_type]) {
    expect(value).toBeString()
    expect(value).not.toBe('')
  }
  if (expected.requestType !== undefined) expect(extra.request_type).toBe(expected.requestType)
  expect(error.message.length).toBeLessThan(1000)
  expect(error).toHaveProperty('param')
  if (error.param !== null) expect(error.param.length).toBeLessThan(500)
}

interface Envelope {
  readonly is_bifrost_error: boolean
  readonly status_code: number
  readonly error: {
    readonly type: string
    readonly code: string
    readonly message: string
    readonly param: string | null
  }
  readonly extra_fields: { readonly request_type: string }
}

/** Asserts that nothing was sent to a provider and that the gateway still serves. */
export async function expectUnharmed({ url, upstream }: Rig): Promise<void> {
  expect(upstream.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([])
  const alive = await fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"openai/echo","messages":[{"role":"user","content":"still there?"}]}',
  })
  expect(alive.status).toBe(200)
  await alive.body?.cancel()
  upstream.clear()
}
