import { createHmac } from 'node:crypto'

import type { WebhookSettings } from '#config/snapshot.ts'
import type { Logger } from '#core/log.ts'
import { VERSION } from '#core/version.ts'
import type { Delivery, DeliveryStore } from '#store/deliveries.ts'

import { runErrand } from './errand.ts'
import { answerAsJson } from './jobs-answer.ts'
import { addressesOf, isAddress, isPublic } from './reach.ts'

// Tells others how jobs ended, in the form of Standard Webhooks (specification 1.0.0). A message may come twice, after
// a crash or a lost answer; its `webhook-id` is then the same.

export interface Webhooks {
  /** There may be something to deliver. */
  wake(): void
  /** Deliveries under way. */
  readonly running: number
  /** Begins no more deliveries. */
  drain(): void
  /** Stops what is under way, to be tried again at the next start. */
  close(): void
}

const maxAnswerBytes = 1024 * 1024
/** On top of the time that a try may take. */
const leaseMarginMs = 1000
const maxSleepMs = 60_000
const jitter = 0.1

export function createWebhooks(options: {
  readonly deliveries: DeliveryStore
  readonly settings: () => ReadonlyMap<string, WebhookSettings>
  readonly log: Logger
}): Webhooks {
  const { deliveries, settings, log } = options
  const underWay = new Map<string, { readonly webhook: string; readonly stop: AbortController }>()
  let isStopping = false
  let isClosed = false
  let timer: ReturnType<typeof setTimeout> | undefined

  function wakeIn(ms: number): void {
    if (isStopping) return
    clearTimeout(timer)
    timer = setTimeout(look, Math.min(Math.max(ms, 0), maxSleepMs))
    timer.unref()
  }

  function look(): void {
    if (isStopping || !deliveries.exists()) return
    try {
      if (deliveries.nextAtMs() === undefined) return
      const webhooks = settings()
      const removed = deliveries.removeOthers([...webhooks.keys()])
      if (removed > 0) log.warn(`${removed} webhook deliveries are to nobody configured any more`)
      for (const webhook of webhooks.values()) begin(webhook)
      const next = deliveries.nextAtMs()
      if (next !== undefined) wakeIn(Math.max(next - Date.now(), 10))
    } catch (thrown) {
      log.debug('the outbox of webhooks could not be looked at', { error: String(thrown) })
      wakeIn(leaseMarginMs)
    }
  }

  function begin(webhook: WebhookSettings): void {
    const { name, maxConcurrent, timeoutMs } = webhook
    let free = maxConcurrent
    for (const each of underWay.values()) if (each.webhook === name) free--
    if (free <= 0) return
    for (const delivery of deliveries.take(name, free, timeoutMs + leaseMarginMs)) {
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
    const { id, attempts, job } = delivery
    const event = `async_job.${job.ending.state}`
    let failure: string | undefined
    let isGone = false
    if (webhook.events.has(event) && !webhook.disabled) {
      try {
        const status = await post(webhook, id, payload(delivery, event, webhook), signal)
        isGone = status === 410
        if (status < 200 || status > 299) failure = `it answered with status ${status}`
      } catch (thrown) {
        failure = thrown instanceof Error ? thrown.message : String(thrown)
      }
    }
    if (isClosed) return
    const facts = { webhook: webhook.name, delivery: id, job: job.id, attempts }
    try {
      if (failure === undefined) deliveries.remove(id)
      else if (isGone || attempts > webhook.maxRetries) {
        log.error(`a webhook was given up: ${failure}`, facts)
        deliveries.remove(id)
      } else {
        log.warn(`a webhook failed and is tried again: ${failure}`, facts)
        deliveries.postpone(id, Date.now() + backoffMs(webhook, attempts), false)
      }
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
    drain() {
      isStopping = true
      clearTimeout(timer)
    },
    close() {
      isStopping = true
      isClosed = true
      clearTimeout(timer)
      for (const [id, { stop }] of underWay) {
        stop.abort()
        try {
          deliveries.postpone(id, Date.now(), true)
        } catch (thrown) {
          log.debug('a webhook waits for the end of its lease', { error: String(thrown) })
        }
      }
    },
  }
}

function backoffMs({ initialBackoffMs, maxBackoffMs }: WebhookSettings, attempts: number): number {
  const exact = Math.min(initialBackoffMs * 2 ** (attempts - 1), maxBackoffMs)
  return Math.round(exact * (1 - jitter + 2 * jitter * Math.random()))
}

/** The same bytes at every try: all that it is made of was settled when the job ended. */
function payload({ job }: Delivery, event: string, webhook: WebhookSettings): string {
  const time = (ms: number | undefined): string => new Date(ms ?? 0).toISOString()
  const facts = JSON.stringify({
    job_id: job.id,
    request_id: job.requestId,
    request_type: job.endpoint,
    status: job.state,
    status_code: job.ending.statusCode,
    created_at: time(job.createdAtMs),
    completed_at: time(job.completedAtMs),
    expires_at: time(job.expiresAtMs),
  })
  const head = `{"type":"${event}","timestamp":"${time(job.completedAtMs)}","data":${facts.slice(0, -1)}`
  const name = job.state === 'completed' ? 'result' : 'error'
  if (name === 'result' && !webhook.includeResponse) return `${head}}}`
  const answer = answerAsJson(job.ending)
  return Buffer.byteLength(answer) > webhook.maxResponseBytes
    ? `${head},"${name}_omitted":true}}`
    : `${head},"${name}":${answer}}}`
}

/** Sends a message and returns the status of the answer. Throws what `runErrand` throws. */
async function post(
  webhook: WebhookSettings,
  deliveryId: string,
  body: string,
  signal: AbortSignal,
): Promise<number> {
  const id = `msg_${deliveryId}`
  const timestamp = String(Math.floor(Date.now() / 1000))
  const key = Buffer.from(webhook.secret.reveal().slice('whsec_'.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(webhook.headers)) headers[name] = value.reveal()
  const url = new URL(webhook.url)
  const address = await addressFor(url, webhook)
  const pinned = new URL(url)
  pinned.hostname = address.includes(':') ? `[${address}]` : address
  const serverName = url.hostname.replace(/^\[|\]$/g, '')
  const { status } = await runErrand(
    {
      // The address that was judged and no other, whatever the name leads to a moment later.
      url: pinned.href,
      method: 'POST',
      headers: {
        ...headers,
        host: url.host,
        'content-type': 'application/json',
        'user-agent': `asbru/${VERSION}`,
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
      },
      body,
      timeoutMs: webhook.timeoutMs,
      maxBytes: maxAnswerBytes,
      signal,
      ...(url.protocol === 'https:' && !isAddress(serverName) && { tls: { serverName } }),
    },
    `webhook '${webhook.name}'`,
  )
  return status
}

async function addressFor(url: URL, webhook: WebhookSettings): Promise<string> {
  const addresses = await addressesOf(url.hostname.replace(/^\[|\]$/g, ''))
  if (!webhook.allowPrivateNetwork && !addresses.every(isPublic)) {
    throw new Error('its address is not on the public internet (allow_private_network)')
  }
  // Those of the older protocol first: the newer one is often there in name only.
  const [first] = addresses.toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')))
  if (first === undefined) throw new Error('its name does not resolve')
  return first
}
