import type { Logger } from '#core/log.ts'
import { createPush, toGateway } from '#metrics/push.ts'
import type { Push } from '#metrics/push.ts'
import { families, scrape } from '#metrics/scrape.ts'
import type { Scraped } from '#metrics/scrape.ts'

/** Brings metrics to those that do not come for them: a push gateway of Prometheus, collectors of OpenTelemetry. */
export function createPublishing(scraped: Scraped, log: Logger): Push {
  const { snapshot } = scraped
  const gateway = createPush(
    () => {
      const { enabled, push } = snapshot().metrics
      if (!enabled || !push) return undefined
      return {
        everyMs: push.everyMs,
        push: async () => toGateway(push, (await collected(scrape(scraped))).join('')),
      }
    },
    'the push gateway',
    log,
  )
  const collectors = createPush(() => toCollectors(scraped), 'a collector', log)
  return {
    refresh() {
      gateway.refresh()
      collectors.refresh()
    },
    async close() {
      await Promise.all([gateway.close(), collectors.close()])
    },
  }
}

function toCollectors(scraped: Scraped) {
  const { snapshot } = scraped
  const { metrics, tracing } = snapshot()
  const targets = (tracing?.targets ?? []).flatMap((target) =>
    target.metrics ? [{ target, ...target.metrics }] : [],
  )
  if (targets.length === 0 || !metrics.enabled) return undefined
  return {
    everyMs: Math.min(...targets.map(({ everyMs }) => everyMs)),
    async push(): Promise<string | undefined> {
      // Only then, as most gateways need it never.
      const { post, metricsEnvelope } = await import('./parts.ts')
      const all = await collected(families(scraped))
      const failed = await Promise.all(
        targets.map(({ target, url }) =>
          post(target, metricsEnvelope(target, snapshot(), all), url),
        ),
      )
      return failed.find((each) => each !== undefined)?.why
    },
  }
}

/** One after the other, so that other work gets its turn between them. */
async function collected<T>(parts: Iterable<T>): Promise<T[]> {
  const all: T[] = []
  for (const part of parts) {
    all.push(part)
    await Bun.sleep(0)
  }
  return all
}
