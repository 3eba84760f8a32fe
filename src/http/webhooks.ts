import { Elysia } from 'elysia'

import { describeWebhook } from '#config/describe.ts'
import type { WebhookSettings } from '#config/snapshot.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import type { Webhooks } from '#pipeline/webhooks.ts'
import type { Page, PastAttempt, Waiting } from '#store/delivery-history.ts'

import { requireLocal } from './admin.ts'
import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { parseJson, readText } from './read.ts'
import { respondError } from './respond.ts'
import { pathOf, queryOf } from './target.ts'

// The webhooks of the configuration and how their deliveries went, for programs on this machine. Routes and members
// are those of Bifrost ("Webhooks" of its API reference, as read in November 2026); next to its pages of tries stands
// what is still waiting, and one delivery can be looked at alone.

const maxBodyBytes = 16 * 1024
const maxWaitingShown = 100

/** `/api/webhooks` and what is below it. */
export function webhooksSurface(gateway: Gateway): Elysia {
  const trying = new Set<string>()
  const guarded =
    (answer: (webhooks: Webhooks, request: Request) => unknown) =>
    async ({ request }: { request: Request }): Promise<Response> => {
      try {
        requireLocal(request, gateway)
        const answered = await answer(webhooksOf(gateway), request)
        return answered instanceof Response ? answered : shown(answered)
      } catch (thrown) {
        const context = { provider: undefined, modelRequested: undefined, requestType: 'webhooks' }
        return respondError(toGatewayError(thrown), context, newId())
      }
    }
  const called = (request: Request): WebhookSettings => webhookOf(gateway, partOf(request, 3))
  const detail = (summary: string) => ({ detail: { summary, tags: ['webhooks'] } })
  const app = new Elysia({ name: 'webhooks', normalize: false })
    .get(
      '/api/webhooks',
      guarded((webhooks) => {
        const endpoints = [...gateway.snapshot().webhooks.values()].map((webhook) =>
          viewOf(webhooks, webhook),
        )
        return { endpoints, count: endpoints.length }
      }),
      detail('The webhooks of the configuration, and how they are doing'),
    )
    .get(
      '/api/webhooks/deliveries',
      guarded((webhooks, request) => search(gateway, webhooks, request)),
      detail('Search the deliveries of webhooks; a page holds all tries of its deliveries'),
    )
    .get(
      '/api/webhooks/deliveries/:id',
      guarded((webhooks, request) => deliveryView(gateway, webhooks, partOf(request, 4))),
      detail('One delivery: its tries, and when the next one is'),
    )
    .post(
      '/api/webhooks/deliveries/:id/redeliver',
      guarded((webhooks, request) => redeliver(gateway, webhooks, partOf(request, 4))),
      { parse: 'none', ...detail('Make a delivery again, under the same webhook-id') },
    )
    .get(
      '/api/webhooks/:id',
      guarded((webhooks, request) => viewOf(webhooks, called(request))),
      detail('One webhook of the configuration'),
    )
    .get(
      '/api/webhooks/:id/deliveries',
      guarded((webhooks, request) => {
        const id = partOf(request, 3)
        const page = pageOf(request)
        // What is gone from the configuration still has a history, by its name.
        const { name } = findWebhook(gateway, id) ?? { name: id }
        const { attempts, total } = webhooks.history.exists()
          ? webhooks.history.attempts(name, page)
          : nothing
        return { deliveries: attemptViews(gateway, attempts), pagination: pagination(page, total) }
      }),
      detail('The tries of deliveries to a webhook, newest first'),
    )
    .post(
      '/api/webhooks/:id/test',
      guarded(async (webhooks, request) => {
        const webhook = called(request)
        if (trying.has(webhook.name)) {
          throw new GatewayError('queue_full', 'This webhook is being tried already.')
        }
        trying.add(webhook.name)
        try {
          return await tryOut(webhooks, webhook, request)
        } finally {
          trying.delete(webhook.name)
        }
      }),
      { parse: 'none', ...detail('Send a webhook a message about a job that never was') },
    )
  return app as unknown as Elysia
}

const nothing = { attempts: [], total: 0 } as const

function shown(value: unknown, status = 200): Response {
  return Response.json(value, { status, headers: { 'cache-control': 'no-store' } })
}

function webhooksOf(gateway: Gateway): Webhooks {
  if (gateway.webhooks && gateway.snapshot().async.enabled) return gateway.webhooks
  throw new GatewayError(
    'async_unavailable',
    'There are no async operations here, and so no webhooks: logs store not configured (async.enabled).',
  )
}

/** A part of the path, counted from the first `/`; empty for what is no percent-encoding. */
function partOf(request: Request, place: number): string {
  try {
    return decodeURIComponent(pathOf(request.url).split('/')[place] ?? '')
  } catch {
    return ''
  }
}

function findWebhook(gateway: Gateway, id: string): WebhookSettings | undefined {
  const { webhooks } = gateway.snapshot()
  return [...webhooks.values()].find((webhook) => webhook.id === id) ?? webhooks.get(id)
}

function webhookOf(gateway: Gateway, id: string): WebhookSettings {
  const webhook = findWebhook(gateway, id)
  if (webhook) return webhook
  throw new GatewayError('route_not_found', 'There is no such webhook in the configuration.', {
    code: 'webhook_not_found',
  })
}

function viewOf({ history }: Webhooks, webhook: WebhookSettings): object {
  // Not even a hint of it leaves here.
  const { secret: _, ...facts } = describeWebhook(webhook)
  const health = history.exists() ? history.health(webhook.name) : undefined
  return {
    ...facts,
    consecutive_failures: health?.failures ?? 0,
    last_success_at: time(health?.successAtMs),
    last_failure_at: time(health?.failureAtMs),
    waiting_deliveries: health?.waiting ?? 0,
  }
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}

const maxLimit = 1000

function pageOf(request: Request): Page {
  const params = new URLSearchParams(queryOf(request.url))
  const whole = (name: string, standard: number, most: number): number => {
    const given = params.get(name)
    if (given === null || given === '') return standard
    const value = Number(given)
    if (Number.isInteger(value) && value >= 0) return Math.min(value, most)
    throw new GatewayError('invalid_request', `'${name}' must be a whole number, 0 or more.`, {
      param: name,
    })
  }
  return { limit: whole('limit', 50, maxLimit) || 50, offset: whole('offset', 0, 1_000_000) }
}

function pagination({ limit, offset }: Page, total: number): object {
  return { limit, offset, total_count: total }
}

function attemptViews(gateway: Gateway, attempts: readonly PastAttempt[]): object[] {
  const { deliveryHistoryMs } = gateway.snapshot().async
  return attempts.map((attempt) => ({
    id: attempt.id,
    webhook_id: `msg_${attempt.deliveryId}`,
    endpoint_id: endpointId(gateway, attempt.webhook),
    async_job_id: attempt.jobId,
    request_id: attempt.requestId,
    event: attempt.event,
    attempt_no: attempt.attempt,
    outcome: attempt.outcome,
    status_code: attempt.statusCode ?? 0,
    error: attempt.error,
    created_at: time(attempt.createdAtMs),
    expires_at: time(attempt.createdAtMs + deliveryHistoryMs),
  }))
}

function endpointId(gateway: Gateway, webhook: string): string {
  return gateway.snapshot().webhooks.get(webhook)?.id ?? webhook
}

function waitingView(gateway: Gateway, waiting: Waiting): object {
  return {
    webhook_id: `msg_${waiting.deliveryId}`,
    endpoint_id: endpointId(gateway, waiting.webhook),
    async_job_id: waiting.jobId,
    event: waiting.event,
    attempts: waiting.attempts,
    next_attempt_at: time(waiting.nextAtMs),
  }
}

function search(gateway: Gateway, { history }: Webhooks, request: Request): object {
  const params = new URLSearchParams(queryOf(request.url))
  const one = (name: string): string | undefined => params.get(name) || undefined
  const id = one('endpoint_id')
  const page = pageOf(request)
  const filter = {
    webhook: id === undefined ? undefined : (findWebhook(gateway, id)?.name ?? id),
    jobId: one('async_job_id'),
    event: one('event'),
    outcome: one('outcome'),
  }
  const { attempts, total } = history.exists() ? history.search(filter, page) : nothing
  const waiting = history.exists() ? history.waiting(filter, maxWaitingShown) : []
  return {
    deliveries: attemptViews(gateway, attempts),
    pagination: pagination(page, total),
    waiting: waiting.map((each) => waitingView(gateway, each)),
  }
}

/** `given` is a `webhook-id`, or the id of a try. */
function deliveryView(gateway: Gateway, { history }: Webhooks, given: string): object {
  const id = given.replace(/^msg_/, '')
  const attempts = history.exists() ? history.find(id) : []
  const last = attempts.at(-1)
  const deliveryId = last?.deliveryId ?? id
  const [waiting] = history.exists() ? history.waiting({ deliveryId }, 1) : []
  if (!last && !waiting) throw noDelivery()
  const ended = last?.outcome === 'delivered' ? 'delivered' : 'failed'
  return {
    webhook_id: `msg_${deliveryId}`,
    endpoint_id: endpointId(gateway, waiting?.webhook ?? last?.webhook ?? ''),
    async_job_id: waiting?.jobId ?? last?.jobId,
    request_id: last?.requestId,
    event: waiting?.event ?? last?.event,
    status: waiting ? 'waiting' : ended,
    next_attempt_at: time(waiting?.nextAtMs),
    attempts: attemptViews(gateway, attempts),
  }
}

function noDelivery(): GatewayError {
  return new GatewayError('route_not_found', 'There is no such delivery.', {
    code: 'delivery_not_found',
  })
}

function redeliver(gateway: Gateway, webhooks: Webhooks, given: string): Response {
  const { history } = webhooks
  const last = history.exists() ? history.find(given.replace(/^msg_/, '')).at(-1) : undefined
  if (!last) throw noDelivery()
  const webhook = gateway.snapshot().webhooks.get(last.webhook)
  if (!webhook || webhook.disabled) {
    throw new GatewayError(
      'invalid_request',
      `The webhook of this delivery ${webhook ? 'is disabled' : 'is not configured any more'}.`,
    )
  }
  if (!history.again(last)) {
    throw new GatewayError('idempotency_conflict', 'This delivery still waits to be made.', {
      code: 'delivery_waiting',
    })
  }
  webhooks.wake()
  return shown({ status: 'queued', webhook_id: `msg_${last.deliveryId}` }, 202)
}

async function tryOut(
  webhooks: Webhooks,
  webhook: WebhookSettings,
  request: Request,
): Promise<object> {
  if (webhook.disabled) throw new GatewayError('invalid_request', 'This webhook is disabled.')
  const text = request.body ? await readText(request, headersOf(request), maxBodyBytes) : ''
  const asked = text.trim() === '' ? {} : (parseJson(text).value as { event?: unknown })
  const event = asked.event ?? [...webhook.events][0]
  if (typeof event !== 'string' || !webhook.events.has(event)) {
    throw new GatewayError('invalid_request', 'This webhook is not told of such events.', {
      param: 'event',
    })
  }
  const result = await webhooks.try(webhook, event)
  return typeof result === 'number'
    ? { delivered: result >= 200 && result < 300, receiver_status_code: result }
    : { delivered: false, error: result }
}
