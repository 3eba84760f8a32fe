import { createHmac } from 'node:crypto'

import { addressKind } from '#config/address.ts'
import type { WebhookSettings } from '#config/snapshot.ts'
import { VERSION } from '#core/version.ts'
import type { Delivery } from '#store/deliveries.ts'
import type { EndedJob } from '#store/jobs.ts'

import { runErrand } from './errand.ts'
import { answerAsJson } from './jobs-answer.ts'
import { addressesOf, isAddress, isPublic } from './reach.ts'

// What a webhook is told, and how. The members are those of Bifrost's messages (docs "Webhooks", as read in November
// 2026), with `type` and `timestamp` beside `event` and `created_at`, as Standard Webhooks recommends.

const maxAnswerBytes = 1024 * 1024

/** One message to one webhook. */
export interface Message {
  /** The same at every try. */
  readonly id: string
  readonly event: string
  readonly text: string
}

/** The same bytes at every try: all that it is made of was settled when the job ended. */
export function messageOf(
  { job, jobId, event, isCut }: Delivery,
  webhook: WebhookSettings,
): string {
  if (!job) {
    const status = event.slice(event.indexOf('.') + 1)
    const facts = JSON.stringify({ job_id: jobId, status, result_expired: true })
    return `${head(event, new Date().toISOString())}${facts}}`
  }
  const start = `${head(event, time(job.completedAtMs))}${factsOf(job).slice(0, -1)}`
  const name = job.state === 'completed' ? 'response' : 'error'
  if (name === 'response' && !webhook.includeResponse) return `${start}}}`
  const answer = isCut ? '' : answerAsJson(job.ending)
  return isCut || Buffer.byteLength(answer) > webhook.maxResponseBytes
    ? `${start},"${name}_omitted":true}}`
    : `${start},"${name}":${answer}}}`
}

/** A message about a job that never was. */
export function sampleOf(event: string): string {
  const isFailed = event.endsWith('.failed')
  const now = Date.now()
  return `${head(event, time(now))}${JSON.stringify({
    job_id: `test-${crypto.randomUUID()}`,
    request_type: 'chat_completion',
    status: isFailed ? 'failed' : 'completed',
    status_code: isFailed ? 500 : 200,
    created_at: time(now),
    completed_at: time(now),
  })}}`
}

function head(event: string, at: string): string {
  return `{"type":"${event}","timestamp":"${at}","event":"${event}","created_at":"${at}","data":`
}

function time(ms: number | undefined): string {
  return new Date(ms ?? 0).toISOString()
}

function factsOf(job: EndedJob): string {
  const expiresAt = time(job.expiresAtMs)
  return JSON.stringify({
    job_id: job.id,
    request_id: job.requestId,
    request_type: job.endpoint,
    status: job.state,
    status_code: job.ending.statusCode,
    created_at: time(job.createdAtMs),
    completed_at: time(job.completedAtMs),
    expires_at: expiresAt,
    result_expires_at: expiresAt,
    result_url: `/v1/async/jobs/${job.id}`,
  })
}

/**
 * Sends a message and returns the status of the answer. Throws what `runErrand` throws, also when finding the address
 * takes all the time that a try may take.
 */
export async function post(
  webhook: WebhookSettings,
  { id: messageId, event, text }: Message,
  signal?: AbortSignal,
): Promise<number> {
  const id = `msg_${messageId}`
  const timestamp = String(Math.floor(Date.now() / 1000))
  const key = Buffer.from(webhook.secret.reveal().slice('whsec_'.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest('base64')
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(webhook.headers)) headers[name] = value.reveal()
  const url = new URL(webhook.url)
  const begunAt = performance.now()
  const address = await within(addressFor(url, webhook), webhook.timeoutMs)
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
        'x-bifrost-event': event,
      },
      body: text,
      timeoutMs: Math.max(Math.ceil(webhook.timeoutMs - (performance.now() - begunAt)), 1),
      maxBytes: maxAnswerBytes,
      // Whoever has accepted a message has it, whatever else they say about it.
      onlyStatus: true,
      signal,
      ...(url.protocol === 'https:' && !isAddress(serverName) && { tls: { serverName } }),
    },
    `webhook '${webhook.name}'`,
  )
  return status
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('its address was not found in time')), ms)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

async function addressFor(url: URL, webhook: WebhookSettings): Promise<string> {
  const addresses = await addressesOf(url.hostname.replace(/^\[|\]$/g, ''))
  if (!webhook.allowPrivateNetwork && !addresses.every(isPublic)) {
    throw new Error('its address is not on the public internet (allow_private_network)')
  }
  // Where machines keep what they know about themselves; no receiver is there.
  if (addresses.some((address) => addressKind(address) === 'forbidden')) {
    throw new Error('its address is one that nothing is ever sent to')
  }
  // Those of the older protocol first: the newer one is often there in name only.
  const [first] = addresses.toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')))
  if (first === undefined) throw new Error('its name does not resolve')
  return first
}
