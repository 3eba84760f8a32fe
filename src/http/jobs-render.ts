import { GatewayError } from '#core/errors.ts'
import { answerAsJson } from '#pipeline/jobs-answer.ts'
import type { EndedJob, Job } from '#store/jobs.ts'

// How a job looks: as its envelope on `/v1/async`, and in the clothes of its operation where an SDK polls.

const json = 'application/json'

/** The envelope of a job, with its answer in it once it has ended. */
export function envelope(job: Job | EndedJob): string {
  const facts = JSON.stringify({
    id: job.id,
    status: job.state,
    created_at: time(job.createdAtMs),
    ...(job.completedAtMs !== undefined && { completed_at: time(job.completedAtMs) }),
    ...(job.expiresAtMs !== undefined && { expires_at: time(job.expiresAtMs) }),
    ...(job.statusCode !== undefined && { status_code: job.statusCode }),
  })
  if (!('ending' in job)) return facts
  const name = job.state === 'completed' ? 'result' : 'error'
  return `${facts.slice(0, -1)},"${name}":${answerAsJson(job.ending)}}`
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}

/** The same for submit and poll: 202 until the job has ended. */
export function envelopeResponse(job: Job | EndedJob): Response {
  const isEnded = job.statusCode !== undefined
  return new Response(envelope(job), {
    status: isEnded ? 200 : 202,
    headers: { 'content-type': json, 'x-request-id': job.requestId },
  })
}

/** What an SDK gets that polls at the operation itself: a stub, the answer, or the error as an HTTP error. */
export function inItsClothes(job: Job | EndedJob): Response {
  const own = { 'x-bf-async-id': job.id, 'x-bf-async-status': job.state }
  if (!('ending' in job)) {
    const headers = { ...own, 'content-type': json, 'x-request-id': job.requestId }
    return new Response(JSON.stringify(stub(job)), { headers })
  }
  const { headers, statusCode, result } = job.ending
  const more = job.state === 'failed' ? { 'x-should-retry': 'false' } : {}
  return new Response(result, { status: statusCode, headers: { ...headers, ...own, ...more } })
}

function stub({ id, state, endpoint, model, createdAtMs }: Job): Record<string, unknown> {
  const created = Math.floor(createdAtMs / 1000)
  const named = model ?? ''
  switch (endpoint) {
    case 'chat_completion':
      return { id, object: 'chat.completion', created, model: named, choices: [], usage: null }
    case 'text_completion':
      return { id, object: 'text_completion', created, model: named, choices: [], usage: null }
    case 'responses':
      return response(id, state, created, named)
    case 'embedding':
      return { id, object: 'list', status: state, model: named, data: [] }
    default:
      return { id, object: 'async_job', status: state, created }
  }
}

/** A Responses object with everything that SDKs look at without asking. */
function response(
  id: string,
  status: string,
  created: number,
  model: string,
): Record<string, unknown> {
  return {
    id,
    object: 'response',
    created_at: created,
    status,
    model,
    output: [],
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    max_tool_calls: null,
    metadata: {},
    parallel_tool_calls: true,
    presence_penalty: 0,
    frequency_penalty: 0,
    previous_response_id: null,
    prompt_cache_key: null,
    reasoning: {},
    safety_identifier: null,
    service_tier: 'auto',
    store: true,
    temperature: 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: 'auto',
    tools: [],
    top_logprobs: 0,
    top_p: 1,
    truncation: 'disabled',
    usage: null,
    completed_at: null,
  }
}

/** The one answer for what is unknown, somebody else's, expired, or another kind of job. */
export function jobNotFound(): GatewayError {
  return new GatewayError('job_not_found', 'job not found or expired')
}
