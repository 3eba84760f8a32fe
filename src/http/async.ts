import { Elysia } from 'elysia'

import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import type { Jobs } from '#pipeline/jobs.ts'
import { ownerOf } from '#pipeline/keep.ts'
import type { EndedJob, Job, JobState } from '#store/jobs.ts'

import { isLocal } from './admin.ts'
import { defaultProvider } from './azure.ts'
import { readCaller } from './caller.ts'
import type { Gateway } from './gateway.ts'
import { arrive, takeIn } from './intake.ts'
import type { Arrival, RouteHints } from './intake.ts'
import { CANCELLED, FOUND, LISTED, polled, STREAMED, submitted } from './jobs-document.ts'
import { envelope, envelopeResponse, inItsClothes, jobNotFound } from './jobs-render.ts'
import { writeDown } from './jobs-run.ts'
import { streamAnswer } from './jobs-stream.ts'
import { noteRefusal } from './refusal.ts'
import { respondError } from './respond.ts'

// Two doors to the same jobs: headers on the operations of `/openai`, and `/v1/async`.

/** Operations that may be jobs, and their path below `/v1/async` where the contract has one. */
const operations: ReadonlyMap<KnownEndpoint, string | undefined> = new Map([
  ['chat_completion', '/chat/completions'],
  ['responses', '/responses'],
  ['text_completion', '/completions'],
  ['embedding', '/embeddings'],
  ['speech', '/audio/speech'],
  ['transcription', '/audio/transcriptions'],
  ['image_generation', '/images/generations'],
  ['image_edit', '/images/edits'],
  ['image_variation', '/images/variations'],
  ['translation', undefined],
  ['moderation', undefined],
  ['compaction', undefined],
  ['count_tokens', undefined],
])

/** Operations that the contract has jobs of, and that are none of the gateway's. */
const absent = ['rerank', 'ocr'] as const

/** Of those above, the ones whose streams are texts that may be kept and resumed. */
const streaming: ReadonlySet<KnownEndpoint> = new Set([
  'chat_completion',
  'text_completion',
  'responses',
])

/** Work with files is done at once, whatever the headers say, as in Bifrost. */
const atOnce = /^(?:file|upload|batch|container|chat_(?:list|retrieve|update|delete|messages))/

/** What is said to whoever wants a job of something that is always done at once. Throws. */
export function refuseJob(): never {
  throw new GatewayError('invalid_request', 'async operation is not supported on this route')
}

/** Whether the headers speak of a job. Empty ones do not. */
export function speaksOfJob(headers: Readonly<Record<string, string>>): boolean {
  return Boolean(headers['x-bf-async'] || headers['x-bf-async-id'])
}

/**
 * Submits a call as a job, or answers how a job stands; undefined for operations that are always done at once. Throws
 * `GatewayError`.
 */
export async function answerAsync(
  gateway: Gateway,
  endpoint: KnownEndpoint,
  arrival: Arrival,
  hints: RouteHints,
): Promise<Response | undefined> {
  if (atOnce.test(endpoint)) return undefined
  if (!operations.has(endpoint)) refuseJob()
  const snapshot = gateway.snapshot()
  const jobs = jobsOf(gateway, snapshot)
  if (!jobs) {
    throw new GatewayError(
      'async_unavailable',
      'async operations not available: logs store not configured',
    )
  }
  const id = arrival.headers['x-bf-async-id']
  // A poll wins, and its body is nobody's business.
  if (!id) {
    return inItsClothes(await submit(gateway, jobs, endpoint, arrival, hints, forIntegration))
  }
  const owner = ownerIn(arrival, snapshot)
  const job = find(jobs, id, endpoint, owner)
  if (!job.streams) return inItsClothes(job)
  gateway.patient(arrival.request)
  return streamAnswer(jobs, job, owner, arrival.headers['last-event-id'])
}

/** Undefined when there can be no jobs here. */
function jobsOf({ jobs }: Gateway, snapshot: Snapshot): Jobs | undefined {
  return jobs?.isDurable && snapshot.async.enabled ? jobs : undefined
}

function ownerIn(arrival: Arrival, snapshot: Snapshot): string {
  return ownerOf({ caller: readCaller(arrival.headers, snapshot, arrival) })
}

const idPattern = /^[0-9a-f-]{36}$/

function find(jobs: Jobs, id: string, endpoint: string | undefined, owner: string): Job | EndedJob {
  const job = idPattern.test(id) ? jobs.find(id, owner) : undefined
  if (!job || (endpoint !== undefined && job.endpoint !== endpoint)) throw jobNotFound()
  return job
}

async function submit(
  gateway: Gateway,
  jobs: Jobs,
  endpoint: KnownEndpoint,
  arrival: Arrival,
  hints: RouteHints,
  refusal: (call: Call) => string,
): Promise<Job | EndedJob> {
  const snapshot = gateway.snapshot()
  const call = await takeIn(endpoint, arrival, hints, snapshot)
  if (call.stream && !(snapshot.async.allowStream && streaming.has(endpoint))) {
    throw new GatewayError('invalid_request', refusal(call), { param: 'stream' })
  }
  const { headers } = arrival
  const { job, secrets } = writeDown(call, arrival, hints)
  const submission = await jobs.submit(
    {
      ...job,
      id: crypto.randomUUID(),
      ttlMs: ttlMs(headers['x-bf-async-job-result-ttl'], snapshot),
      idempotencyKey: idempotencyKey(headers['idempotency-key']),
      webhook: webhookIn(headers['x-bf-async-webhook'], snapshot),
    },
    secrets,
  )
  if (submission.kind === 'made') return submission.job
  if (submission.kind === 'same') return find(jobs, submission.job.id, undefined, job.owner)
  throw new GatewayError(
    'idempotency_conflict',
    'This Idempotency-Key was sent before with another request.',
  )
}

const maxTtlSeconds = 30 * 86_400

/** What is no whole number of seconds, or none at all, means the default. */
function ttlMs(given: string | undefined, snapshot: Snapshot): number {
  const wanted = given !== undefined && /^\d{1,9}$/.test(given) ? Number(given) : 0
  return wanted === 0 ? snapshot.async.resultTtlMs : Math.min(wanted, maxTtlSeconds) * 1000
}

const maxKeyChars = 255

function idempotencyKey(given: string | undefined): string | undefined {
  if (given !== undefined && given.length > maxKeyChars) {
    throw new GatewayError(
      'invalid_request',
      `An Idempotency-Key has at most ${maxKeyChars} characters.`,
    )
  }
  return given || undefined
}

function webhookIn(name: string | undefined, snapshot: Snapshot): string | undefined {
  if (!name) return undefined
  const webhook = snapshot.webhooks.get(name)
  if (webhook && !webhook.disabled) return name
  throw new GatewayError(
    'invalid_request',
    `There is no webhook '${name.slice(0, 100)}', or it is disabled.`,
    { param: 'x-bf-async-webhook' },
  )
}

function forIntegration(): string {
  return 'streaming is not supported for async requests'
}

const names: Partial<Record<string, string>> = {
  chat_completion: 'chat completions',
  text_completion: 'text completions',
  transcription: 'transcriptions',
  image_generation: 'image generations',
  image_edit: 'image edits',
}

function forUnified({ endpoint }: Call): string {
  return `stream is not supported for async ${names[endpoint] ?? endpoint}`
}

const prefix = '/v1/async'

/** `/v1/async`: the contract's submit and poll routes, and a list of one's jobs with a way to cancel them. */
export function asyncSurface(gateway: Gateway): Elysia {
  const app = new Elysia({ name: 'async', normalize: false })
  const hidden = { parse: 'none', detail: { hide: true } } as const
  const route =
    (
      handle: (
        jobs: Jobs,
        arrival: Arrival,
        id: string,
      ) => Job | EndedJob | Promise<Job | EndedJob>,
    ) =>
    ({ request }: { request: Request }) =>
      answered(gateway, request, async (jobs, arrival) =>
        envelopeResponse(await handle(jobs, arrival, idIn(arrival.path))),
      )
  const owner = (arrival: Arrival): string => ownerIn(arrival, gateway.snapshot())
  for (const [endpoint, path] of operations) {
    if (path === undefined) continue
    app.post(
      prefix + path,
      route((jobs, arrival) => {
        const hints = { defaultProvider: defaultProvider(arrival.headers['user-agent']) }
        return submit(gateway, jobs, endpoint, arrival, hints, forUnified)
      }),
      submitted(endpoint),
    )
    app.get(
      `${prefix}${path}/:id`,
      route((jobs, arrival, id) => find(jobs, id, endpoint, owner(arrival))),
      polled(endpoint),
    )
  }
  for (const name of absent) {
    app.post(
      `${prefix}/${name}`,
      route(() => {
        throw new GatewayError(
          'unsupported_endpoint',
          `The gateway has no ${name} operation, and so no jobs of it.`,
        )
      }),
      hidden,
    )
    app.get(
      `${prefix}/${name}/:id`,
      route(() => {
        throw jobNotFound()
      }),
      hidden,
    )
  }
  app.get(
    `${prefix}/jobs`,
    ({ request }) =>
      answered(gateway, request, (jobs, arrival) => list(gateway, jobs, arrival, owner(arrival))),
    LISTED,
  )
  app.get(
    `${prefix}/jobs/:id`,
    route((jobs, arrival, id) => find(jobs, id, undefined, owner(arrival))),
    FOUND,
  )
  app.get(
    `${prefix}/jobs/:id/stream`,
    ({ request }) =>
      answered(gateway, request, (jobs, arrival) => {
        const whose = owner(arrival)
        const job = find(jobs, idIn(arrival.path), undefined, whose)
        if (!job.streams) {
          throw new GatewayError('invalid_request', 'This job was not submitted with stream: true.')
        }
        gateway.patient(request)
        return streamAnswer(jobs, job, whose, arrival.headers['last-event-id'])
      }),
    STREAMED,
  )
  app.post(
    `${prefix}/jobs/:id/cancel`,
    route((jobs, arrival, id) => {
      const whose = owner(arrival)
      if (idPattern.test(id)) jobs.cancel(id, whose)
      // One that had ended already stays what it was, and says so.
      return find(jobs, id, undefined, whose)
    }),
    CANCELLED,
  )
  return app
}

/** Elysia gives no parameters to handlers that it did not see asking for them. */
function idIn(path: string): string {
  return path.split('/').find((segment) => idPattern.test(segment)) ?? ''
}

async function answered(
  gateway: Gateway,
  request: Request,
  handle: (jobs: Jobs, arrival: Arrival) => Response | Promise<Response>,
): Promise<Response> {
  const arrival = arrive(request, prefix.length)
  try {
    const jobs = jobsOf(gateway, gateway.snapshot())
    if (!jobs) {
      throw new GatewayError(
        'route_not_found',
        'There are no async operations here: logs store not configured (async.enabled).',
      )
    }
    return await handle(jobs, arrival)
  } catch (thrown) {
    const context = { provider: undefined, modelRequested: undefined, requestType: 'async' }
    const error = toGatewayError(thrown)
    noteRefusal(gateway, arrival, 'async', error)
    return respondError(error, context, newId())
  }
}

const states: ReadonlySet<string> = new Set(['pending', 'processing', 'completed', 'failed'])

function list(gateway: Gateway, jobs: Jobs, { query, request }: Arrival, owner: string): Response {
  // Whoever has no key shares that with all the others: only the id says that a job is theirs. To programs on this
  // machine the log tells what was said in such jobs anyway.
  if (owner === '' && !isLocal(request, gateway)) {
    throw new GatewayError(
      'caller_forbidden',
      'Jobs are listed for the key that they were submitted with; this call has none, and is not from this machine.',
    )
  }
  const params = new URLSearchParams(query)
  const limit = Number(params.get('limit') ?? 20)
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) {
    throw wrong('limit', "'limit' must be a whole number from 1 to 100.")
  }
  const status = params.get('status') ?? undefined
  if (status !== undefined && !states.has(status)) {
    throw wrong('status', `'status' must be one of ${[...states].join(', ')}.`)
  }
  const after = params.get('after') ?? undefined
  const page = { limit: limit + 1, after, state: status as JobState | undefined }
  const found = jobs.list(owner, page)
  if (!found) throw wrong('after', "'after' names no job of yours.")
  const data = found.slice(0, limit).map(envelope).join(',')
  const text = `{"object":"list","data":[${data}],"has_more":${found.length > limit}}`
  return new Response(text, { headers: { 'content-type': 'application/json' } })
}

function wrong(param: string, message: string): GatewayError {
  return new GatewayError('invalid_request', message, { param })
}
