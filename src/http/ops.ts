import { Elysia } from 'elysia'

import { configJsonSchema } from '#config/schema-document.ts'
import { VERSION } from '#core/version.ts'

import type { Gateway } from './gateway.ts'

/** Where the process stands between start and end. */
export interface Lifecycle {
  /** Set from the first SIGTERM on: no new work is taken. */
  draining: boolean
}

const welcome = `Asbru ${VERSION}: an LLM gateway.

  OpenAI SDKs     base URL  /openai
  API reference   /docs
  Health          /health  /health/live  /health/ready
  Metrics         /metrics
  Config schema   /schema/config.json
`

/** The routes that operators and their tools use; none of them shows or changes a secret. */
export function opsSurface(gateway: Gateway, lifecycle: Lifecycle): Elysia {
  const json = (body: unknown, status = 200): Response => Response.json(body, { status })
  const app = new Elysia({ name: 'ops', normalize: false })
    .get(
      '/',
      () => new Response(welcome, { headers: { 'content-type': 'text/plain; charset=utf-8' } }),
      {
        detail: { hide: true },
      },
    )
    .get('/health', () => readiness(), {
      detail: { summary: 'Readiness, as Bifrost answers it', tags: ['ops'] },
    })
    .get('/health/ready', () => readiness(), {
      detail: { summary: 'Whether new requests are taken', tags: ['ops'] },
    })
    .get('/health/live', () => json({ status: 'ok' }), {
      detail: { summary: 'Whether the process answers', tags: ['ops'] },
    })
    .get('/api/version', () => json(VERSION), { detail: { summary: 'The version', tags: ['ops'] } })
    .get('/schema/config.json', () => json(configJsonSchema()), {
      detail: { summary: 'JSON Schema of config.json', tags: ['ops'] },
    })

  function readiness(): Response {
    const { providers, generation } = gateway.snapshot()
    const components = {
      providers: [...providers.keys()],
      config_generation: generation,
      in_flight: gateway.services.gates.inFlight(),
      waiting: gateway.services.gates.waiting(),
    }
    return lifecycle.draining
      ? json({ status: 'draining', components }, 503)
      : json({ status: 'ok', components })
  }
  return app as unknown as Elysia
}
