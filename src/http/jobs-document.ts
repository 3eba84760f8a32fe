import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'

import { describeOperation } from './document.ts'

// What the OpenAPI document says of `/v1/async`.

interface Options {
  readonly parse: 'none'
  readonly detail: object
}

const header = (name: string, description: string): object => ({
  name,
  in: 'header',
  description,
  schema: { type: 'string' },
})
const query = (name: string, description: string, schema: object): object => ({
  name,
  in: 'query',
  description,
  schema,
})

const job = 'The job: `id`, `status`, `created_at`, and once it has ended `result` or `error`.'
const refused = { '4XX': { description: 'The error envelope.' } }
const ended = { description: `${job} It has ended.` }
const waiting = { description: `${job} It has not ended yet.` }

const submitting = [
  header('x-bf-async-job-result-ttl', 'Seconds that the result is kept from its end on.'),
  header('idempotency-key', 'The same key and body name the same job.'),
  header('x-bf-async-webhook', 'The webhook of the configuration that is told of the end.'),
]

function options(detail: object): Options {
  return { parse: 'none', detail: { tags: ['async'], ...detail } }
}

/** Of the route that makes a job of an operation. */
export function submitted(endpoint: KnownEndpoint): Options {
  const facts = ENDPOINTS[endpoint]
  const { requestBody } = describeOperation(endpoint, facts, false)
  return options({
    operationId: `async_${endpoint}`,
    summary: `${facts.summary}, as a job`,
    description: 'Answers at once. The job is kept on disk until it has ended, whatever happens.',
    parameters: submitting,
    requestBody,
    responses: { 202: waiting, ...refused },
  })
}

/** Of the route that tells how such a job stands. */
export function polled(endpoint: KnownEndpoint): Options {
  return options({
    operationId: `async_${endpoint}_result`,
    summary: `How such a job stands: ${ENDPOINTS[endpoint].summary.toLowerCase()}`,
    responses: {
      200: ended,
      202: waiting,
      404: { description: 'There is no such job, it is not yours, or its result has expired.' },
    },
  })
}

export const LISTED = options({
  operationId: 'async_jobs',
  summary: 'Your jobs, newest first; without a key those of nobody, for programs on this machine',
  parameters: [
    query('limit', 'Jobs on a page.', { type: 'integer', minimum: 1, maximum: 100, default: 20 }),
    query('after', 'The last job of the page before.', { type: 'string' }),
    query('status', 'Only jobs that stand so.', {
      type: 'string',
      enum: ['pending', 'processing', 'completed', 'failed'],
    }),
  ],
  responses: { 200: { description: 'A list with `data` and `has_more`.' }, ...refused },
})
export const FOUND = options({
  operationId: 'async_job',
  summary: 'How a job stands, whatever its operation',
  responses: { 200: ended, 202: waiting, ...refused },
})
export const STREAMED = options({
  operationId: 'async_job_stream',
  summary: 'The events of a job that was submitted with `stream: true`, from its first one on',
  parameters: [header('last-event-id', 'The last event that has been seen.')],
  responses: {
    200: { description: 'Events, each with an id.', content: { 'text/event-stream': {} } },
    ...refused,
  },
})
export const CANCELLED = options({
  operationId: 'async_job_cancel',
  summary: 'Cancel a job; one that has ended stays as it is',
  responses: { 200: ended, 202: waiting, ...refused },
})
