import { Elysia } from 'elysia'

import { GatewayError } from '#core/errors.ts'
import { scrape } from '#metrics/scrape.ts'

import { requireLocal } from './admin.ts'
import type { Gateway } from './gateway.ts'

/** `GET /metrics` for Prometheus. */
export function metricsSurface(gateway: Gateway): Elysia {
  const app = new Elysia({ name: 'metrics', normalize: false }).get(
    '/metrics',
    ({ request }) => {
      const { metrics } = gateway
      const settings = gateway.snapshot().metrics
      if (!metrics || !settings.enabled) {
        throw new GatewayError('route_not_found', 'Metrics are switched off.')
      }
      if (!settings.open) requireLocal(request, gateway)
      const parts = scrape({
        ...metrics,
        services: gateway.services,
        snapshot: () => gateway.snapshot(),
      })
      return new Response(written(parts), {
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      })
    },
    { detail: { summary: 'Metrics in the text format of Prometheus', tags: ['ops'] } },
  )
  return app as unknown as Elysia
}

/** One metric at a time, so that a scrape of many label sets holds up nobody. */
function written(parts: Generator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream({
    async pull(controller) {
      for (;;) {
        const { done, value } = parts.next()
        if (done) {
          controller.close()
          return
        }
        await Bun.sleep(0)
        if (value === '') continue
        controller.enqueue(encoder.encode(value))
        return
      }
    },
  })
}
