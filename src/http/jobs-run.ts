import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { splitEvents } from '#pipeline/jobs-progress.ts'
import type { Progress } from '#pipeline/jobs-progress.ts'
import type { Perform, Secrets } from '#pipeline/jobs.ts'
import { ownerOf } from '#pipeline/keep.ts'
import type { Outcome } from '#pipeline/outcome.ts'
import type { Recorder } from '#pipeline/record.ts'
import { run } from '#pipeline/run.ts'
import type { Services } from '#pipeline/services.ts'
import type { ClaimedJob, Ending, NewJob } from '#store/jobs.ts'

import { takeIn } from './intake.ts'
import type { Arrival, RouteHints } from './intake.ts'
import { respond, respondError } from './respond.ts'

// A request is written down as it came and taken in anew when its turn has come, under the configuration of that
// moment. Credentials are not part of what is written.

/** What a job's row holds of its request besides the body. */
interface Written {
  readonly path: string
  readonly query: string
  readonly apiVersion: string | undefined
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly hints: RouteHints
  readonly requestId: string
  /** Whose it is; the value of the virtual key is not written down. */
  readonly virtualKeyId: string | undefined
}

/** Larger requests are better answered at once. */
const maxBodyBytes = 32 * 1024 * 1024
const maxResultBytes = 64 * 1024 * 1024

/** Of one transfer, or of the trace of whoever submitted, which has ended by then. */
const framing =
  /^(?:traceparent|tracestate|host|connection|keep-alive|content-length|content-encoding|content-type|transfer-encoding|te|trailer|upgrade|expect|accept-encoding|proxy-.*|sec-.*|cookie|x-bf-async.*)$/
const credential = /^(?:authorization|api-key|x-api-key|x-goog-api-key|x-bf-vk)$/
/** What a header of the caller's own choice may be called when it carries a secret; an author is none. */
const secretName =
  /auth(?!or(?!i[sz]))|token|secret|password|credential|signature|apikey|(?:^|[-_])key$/
const notSecret = /^(?:idempotency-key|x-bf-api-key|x-bf-cache-key)$/
/** Stands for the whole query among the secrets; no header is called this. */
const queryName = '?'

/** The request of a call, split into what may be written down and what may not. Throws 413 for a large one. */
export function writeDown(
  call: Call,
  arrival: Arrival,
  hints: RouteHints,
): {
  readonly job: Omit<NewJob, 'id' | 'ttlMs' | 'webhook' | 'idempotencyKey'>
  readonly secrets: Secrets
} {
  const { body } = call
  const isJson = body.kind === 'json'
  const content = isJson ? body.text : body.kind === 'bytes' ? body.bytes : ''
  const contentType =
    body.kind === 'bytes' ? body.contentType : isJson ? 'application/json' : undefined
  if (content.length > maxBodyBytes) {
    throw new GatewayError(
      'payload_too_large',
      `The request body of an async job has at most ${maxBodyBytes / 1024 ** 2} MB.`,
    )
  }
  const headers: Record<string, string> = {}
  const secrets: Record<string, string> = {}
  const key = call.caller.directKey?.reveal()
  const virtualKey = call.caller.virtualKey?.reveal()
  let holdsKey = key !== undefined
  for (const [name, value] of Object.entries(arrival.headers)) {
    if (framing.test(name)) continue
    if (credential.test(name)) secrets[name] = value
    else if (!notSecret.test(name) && secretName.test(name)) {
      secrets[name] = value
      holdsKey = true
    } else if (key !== undefined && value.includes(key)) secrets[name] = value
    // Its id says whose the job is; the rest of such a header is not worth a secret on the disk.
    else if (virtualKey !== undefined && value.includes(virtualKey)) continue
    else headers[name] = value
  }
  const { path, query, apiVersion, id: requestId } = arrival
  if (holdsSecret(query)) {
    secrets[queryName] = query
    holdsKey = true
  }
  const virtualKeyId = call.caller.owner?.virtualKeyId
  const shown = queryName in secrets ? '' : query
  const facts = { path, query: shown, apiVersion, contentType, headers, hints, requestId }
  const written: Written = { ...facts, virtualKeyId }
  return {
    job: {
      owner: ownerOf(call),
      endpoint: call.endpoint,
      model: call.modelRequested,
      provider: call.provider,
      requestId,
      request: JSON.stringify(written),
      body: content,
      bodyHash: hashOf([call.endpoint, path, query, hints.model ?? ''], content, contentType),
      holdsKey,
      streams: call.stream,
    },
    secrets,
  }
}

/** Whether a parameter of a query is called what a secret is called, as the keys of some providers' own clients are. */
function holdsSecret(query: string): boolean {
  if (query === '') return false
  return Array.from(new URLSearchParams(query).keys()).some((name) =>
    secretName.test(name.toLowerCase().replaceAll('_', '-')),
  )
}

/** Of the request as it came; the boundary of a form is a new one each time it is sent. */
function hashOf(
  facts: readonly string[],
  content: string | Uint8Array<ArrayBuffer>,
  contentType: string | undefined,
): string {
  const hasher = new Bun.CryptoHasher('sha256').update(JSON.stringify(facts))
  const boundary = /boundary="?([^";]+)/i.exec(contentType ?? '')?.[1]
  if (typeof content === 'string' || boundary === undefined) hasher.update(content)
  else hasher.update(Buffer.from(content).toString('latin1').replaceAll(boundary, ''), 'latin1')
  return hasher.digest('hex')
}

/** Runs jobs by the same steps that answer a caller who waits. */
export function performer(snapshotNow: () => Snapshot, services: () => Services): Perform {
  return async (job, secrets, left, progress) => {
    const tooLong = new AbortController()
    const signal = AbortSignal.any([left, tooLong.signal])
    const endpoint = job.endpoint as KnownEndpoint
    const written = JSON.parse(job.request) as Written
    const arrival = arrivalOf(written, job, secrets, signal)
    const snapshot = snapshotNow()
    let call: Call | undefined
    const { recorder, failure } = witness(services().recorder)
    try {
      call = { ...(await takeIn(endpoint, arrival, written.hints, snapshot)), signal }
      call.trace.add('parse', `async job ${job.id}`)
      const outcome = await run(call, snapshot, { ...services(), recorder })
      return call.stream && outcome.kind === 'stream'
        ? await followed(call, outcome, progress, () => tooLong.abort(), failure)
        : await readEnding(respond(call, outcome))
    } catch (thrown) {
      if (left.aborted) return 'interrupted'
      const error = tooLong.signal.aborted
        ? tooLarge()
        : (failure() ?? toGatewayError(thrown ?? brokenOff()))
      if (error.kind === 'shutting_down') return 'interrupted'
      const context = {
        provider: call?.provider,
        modelRequested: call?.modelRequested,
        requestType: requestType(endpoint, call?.stream ?? false),
      }
      const response = respondError(error, context, written.requestId)
      return { ...(await readEnding(response)), state: 'failed' }
    }
  }
}

/** The same recorder, which remembers why the call failed: a body that breaks off does not say it itself. */
function witness(recorder: Recorder): {
  readonly recorder: Recorder
  readonly failure: () => GatewayError | undefined
} {
  let failure: GatewayError | undefined
  return {
    failure: () => failure,
    recorder: {
      ...recorder,
      open(call, release) {
        const settle = recorder.open(call, release)
        return {
          first: () => settle.first?.(),
          success: (usage) => settle.success(usage),
          failure(error, usage) {
            if (!settle.isSettled) failure = error
            settle.failure(error, usage)
          },
          get isSettled() {
            return settle.isSettled
          },
          books: settle.books,
        }
      },
    },
  }
}

function arrivalOf(
  { path, query, apiVersion, contentType, headers, requestId, virtualKeyId }: Written,
  { id, body }: ClaimedJob,
  { [queryName]: secretQuery, ...secrets }: Secrets,
  signal: AbortSignal,
): Arrival {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  const all = {
    ...headers,
    ...secrets,
    // What the log keeps of a call is asked for by headers; these are how a job's calls are found in it.
    'x-bf-lh-isAsyncRequest': 'true',
    'x-bf-lh-async_job_id': id,
    'content-length': String(length),
    ...(contentType !== undefined && { 'content-type': contentType }),
  }
  return {
    id: requestId,
    request: new Request('http://localhost/', { method: 'POST', body, signal }),
    headers: all,
    startedAt: performance.now(),
    path,
    query: secretQuery ?? query,
    apiVersion,
    virtualKeyId,
    // Not all of its headers were written down, and those that the configuration requires were looked for when it came.
    wasAdmitted: true,
  }
}

/** Belong to one transfer or to whoever waits. */
const notKept =
  /^(?:content-length|transfer-encoding|connection|date|set-cookie|retry-after(?:-ms)?)$/

function kept(given: Headers): Record<string, string> {
  const headers: Record<string, string> = {}
  given.forEach((value, name) => {
    if (!notKept.test(name)) headers[name] = value
  })
  return headers
}

async function readEnding(response: Response): Promise<Ending> {
  const headers = kept(response.headers)
  const isText = /^(?:text\/|application\/(?:[\w.+-]*\+)?json\b)/i.test(
    headers['content-type'] ?? '',
  )
  const bytes = new Uint8Array(await response.arrayBuffer())
  if (bytes.length > maxResultBytes) {
    throw tooLarge()
  }
  return {
    state: 'completed',
    statusCode: response.status,
    headers,
    result: (isText ? exactText(bytes) : undefined) ?? bytes,
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Undefined for what would not come back as the same bytes, or is no plain text for whoever puts it into JSON. */
function exactText(bytes: Uint8Array): string | undefined {
  try {
    const text = strict.decode(bytes)
    return text.startsWith('\ufeff') ? undefined : text
  } catch {
    return undefined
  }
}

/** Reads a stream as it comes, for those who follow it and for the row of the job. */
async function followed(
  call: Call,
  outcome: Outcome & { kind: 'stream' },
  progress: Progress,
  giveUp: () => void,
  failure: () => GatewayError | undefined,
): Promise<Ending> {
  const { headers } = respond(call, outcome)
  const decoder = new TextDecoder()
  let rest = ''
  let size = 0
  // An error at the end of a stream is the end of the job, and told as such.
  let held: string | undefined
  const add = (text: string): number => {
    size += text.length
    if (size > maxResultBytes) giveUp()
    const { events, rest: left } = splitEvents(rest + text)
    rest = left
    for (const event of events) {
      if (held !== undefined) progress.add(held)
      held = /^event: error$|"error":\s*\{/m.test(event) ? event : undefined
      if (held === undefined) progress.add(event)
    }
    return text.length
  }
  await outcome.pump({
    write: (chunk) =>
      add(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })),
    flush: () => 0,
  })
  const failed = failure()
  if (failed) throw failed
  if (held !== undefined) progress.add(held)
  const result = progress.events.map((event) => `${event}\n\n`).join('')
  return { state: 'completed', statusCode: outcome.status, headers: kept(headers), result }
}

function tooLarge(): GatewayError {
  return new GatewayError(
    'upstream_malformed',
    `The answer has more than ${maxResultBytes / 1024 ** 2} MB, which is more than an async job keeps.`,
  )
}

function brokenOff(): GatewayError {
  return new GatewayError('upstream_truncated', 'The answer of the provider broke off.')
}
