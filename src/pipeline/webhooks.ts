import type { WebhookSettings } from '#config/snapshot.ts'
import type { Logger } from '#core/log.ts'
import { newId } from '#lib/id.ts'
import type { Attempt, Delivery, DeliveryStore } from '#store/deliveries.ts'
import type { DeliveryHistory } from '#store/delivery-history.ts'
import type { Recipients } from '#store/jobs.ts'

import { messageOf, post, sampleOf } from './webhooks-message.ts'

// Tells others how jobs ended, in the form of Standard Webhooks (specification 1.0.0). A message may come twice, after
// a crash or a lost answer; its `webhook-id` is then the same.

export interface Webhooks {
  /** There may be something to deliver. */
  wake(): void
  /** Deliveries under way. */
  readonly running: number
  /** Deliveries that are still to be made, those under way included. Reads the store. */
  readonly waiting: number
  /** How deliveries went. */
  readonly history: DeliveryHistory
  /** Sends a message about a job that never was, once, and notes nothing; the status of the answer, or what went wrong. */
  try(webhook: WebhookSettings, event: string): Promise<number | string>
  /** Begins no more deliveries. */
  drain(): void
  /** Stops what is under way, to be tried again at the next start. */
  close(): void
}

/** On top of the time that a try may take. */
const leaseMarginMs = 1000
const retryLookMs = 1000
const busyLookMs = 250
const maxSleepMs = 60_000
const jitter = 0.1
const sweepEveryMs = 60_000
const sweepRows = 500
const sweepPauseMs = 5
const maxHistoryRows = 50_000
const maxErrorChars = 500

export function createWebhooks(options: {
  readonly deliveries: DeliveryStore
  readonly history: DeliveryHistory
  readonly settings: () => ReadonlyMap<string, WebhookSettings>
  /** How long it is known how deliveries went. */
  readonly historyMs: () => number
  readonly log: Logger
}): Webhooks {
  const { deliveries, history, settings, historyMs, log } = options
  const underWay = new Map<string, { readonly webhook: string; readonly stop: AbortController }>()
  const life = { isStopping: false, isClosed: false }
  let timer: ReturnType<typeof setTimeout> | undefined
  let sweptAt = Number.NEGATIVE_INFINITY

  function wakeIn(ms: number): void {
    if (life.isStopping) return
    clearTimeout(timer)
    timer = setTimeout(look, Math.min(Math.max(ms, 0), maxSleepMs))
    timer.unref()
  }

  function look(): void {
    if (life.isStopping || !deliveries.exists()) return
    if (performance.now() - sweptAt > sweepEveryMs) {
      sweptAt = performance.now()
      void sweep()
    }
    try {
      if (deliveries.nextAtMs() === undefined) return
      const webhooks = settings()
      const removed = deliveries.giveUpOthers(
        [...webhooks.keys()],
        'the webhook is not configured any more',
      )
      if (removed > 0) log.warn(`${removed} webhook deliveries are to nobody configured any more`)
      for (const webhook of webhooks.values()) begin(webhook)
      const next = deliveries.nextAtMs()
      // What is due and could not begin waits for one that is under way, whose end looks again.
      if (next !== undefined)
        wakeIn(Math.max(next - Date.now(), underWay.size > 0 ? busyLookMs : 10))
    } catch (thrown) {
      log.debug('the outbox of webhooks could not be looked at', { error: String(thrown) })
      wakeIn(retryLookMs)
    }
  }

  async function sweep(): Promise<void> {
    try {
      while (!life.isClosed && history.sweep(historyMs(), maxHistoryRows, sweepRows)) {
        await Bun.sleep(sweepPauseMs)
      }
    } catch (thrown) {
      log.debug('the history of webhooks was not swept', { error: String(thrown) })
    }
  }

  function begin(webhook: WebhookSettings): void {
    const { name, maxConcurrent, timeoutMs, maxResponseBytes } = webhook
    const leaseMs = timeoutMs + leaseMarginMs
    let free = maxConcurrent
    for (const each of underWay.values()) if (each.webhook === name) free--
    if (free <= 0) return
    const longestMs = 2 * Math.max(leaseMs, webhook.maxBackoffMs)
    for (const delivery of deliveries.take(name, free, leaseMs, maxResponseBytes, longestMs)) {
      // Only a clock that was put forward brings back what is under way here.
      if (underWay.has(delivery.id)) continue
      const stop = new AbortController()
      underWay.set(delivery.id, { webhook: name, stop })
      void deliver(delivery, webhook, stop.signal).finally(() => {
        underWay.delete(delivery.id)
        wakeIn(0)
      })
    }
  }

  async function deliver(
    delivery: Delivery,
    webhook: WebhookSettings,
    signal: AbortSignal,
  ): Promise<void> {
    const { id, attempts, jobId } = delivery
    const attempt = await attemptTo(delivery, webhook, signal)
    if (life.isClosed) return
    const { outcome, error } = attempt
    const facts = { webhook: webhook.name, delivery: id, job: jobId, attempts }
    try {
      const isRetried = outcome === 'retryable_failure'
      const nextAtMs = isRetried ? Date.now() + backoffMs(webhook, attempts) : undefined
      deliveries.settle(delivery, attempt, nextAtMs)
      if (isRetried) log.warn(`a webhook failed and is tried again: ${error}`, facts)
      else if (outcome === 'delivered') log.debug('a webhook was delivered', facts)
      else log.error(`a webhook was given up: ${error}`, facts)
    } catch (thrown) {
      // It stays in the outbox and is tried again when its lease is over.
      log.warn('the outcome of a webhook could not be written', {
        ...facts,
        error: String(thrown),
      })
    }
  }

  return {
    wake: () => wakeIn(0),
    get running() {
      return underWay.size
    },
    get waiting() {
      try {
        return deliveries.exists() ? deliveries.count() : 0
      } catch {
        // What cannot be read cannot be counted; the log has said why.
        return 0
      }
    },
    history,
    async try(webhook, event) {
      try {
        return await post(webhook, { id: newId(), event, text: sampleOf(event) })
      } catch (thrown) {
        return textOf(thrown)
      }
    },
    drain() {
      life.isStopping = true
      clearTimeout(timer)
    },
    close() {
      life.isStopping = true
      life.isClosed = true
      clearTimeout(timer)
      for (const [id, { stop }] of underWay) {
        stop.abort()
        try {
          deliveries.giveBack(id)
        } catch (thrown) {
          log.debug('a webhook waits for the end of its lease', { error: String(thrown) })
        }
      }
    },
  }
}

/** One try, and what becomes of the delivery by it. Never rejects. */
async function attemptTo(
  delivery: Delivery,
  webhook: WebhookSettings,
  signal: AbortSignal,
): Promise<Attempt> {
  const { id, event, attempts } = delivery
  if (webhook.disabled || !webhook.events.has(event)) {
    const error = webhook.disabled ? 'the webhook is disabled' : 'it does not want such events'
    return { outcome: 'permanent_failure', statusCode: undefined, error }
  }
  let statusCode: number | undefined
  let error: string
  try {
    statusCode = await post(webhook, { id, event, text: messageOf(delivery, webhook) }, signal)
    if (statusCode >= 200 && statusCode < 300) {
      return { outcome: 'delivered', statusCode, error: undefined }
    }
    error = `it answered with status ${statusCode}`
  } catch (thrown) {
    error = textOf(thrown)
  }
  if (statusCode === 410) return { outcome: 'permanent_failure', statusCode, error }
  const outcome = attempts > webhook.maxRetries ? 'exhausted' : 'retryable_failure'
  return { outcome, statusCode, error }
}

function textOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return text.slice(0, maxErrorChars)
}

function backoffMs({ initialBackoffMs, maxBackoffMs }: WebhookSettings, attempts: number): number {
  const exact = Math.min(initialBackoffMs * 2 ** (attempts - 1), maxBackoffMs)
  return Math.round(exact * (1 - jitter + 2 * jitter * Math.random()))
}

/**
 * Whom to tell of a job: the webhook that it names, and those that are told of every job. One that does not want such
 * events is left out; one that is gone or disabled by now stays in, so that its history says so.
 */
export function recipientsIn(settings: () => ReadonlyMap<string, WebhookSettings>): Recipients {
  return (named, state) => {
    const webhooks = settings()
    const event = `async_job.${state}`
    const names: string[] = []
    if (named !== undefined && webhooks.get(named)?.events.has(event) !== false) names.push(named)
    for (const { name, everyJob, disabled, events } of webhooks.values()) {
      if (everyJob && !disabled && events.has(event) && name !== named) names.push(name)
    }
    return names
  }
}
