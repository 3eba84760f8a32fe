import { newId } from '#lib/id.ts'

import { type Answer, dataFrame, DONE, errorObject, failure, typedFrame } from './answer.ts'
import type { Frame, Problem } from './answer.ts'
import type { MockDialect } from './dialects.ts'
import type { Faults } from './faults.ts'

const encoder = new TextEncoder()
const terminalEvent =
  /^event: (?:response\.(?:completed|incomplete|failed)|(?:transcript\.text|speech\.audio)\.done|image_\w+\.completed)\n/
const page =
  '<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>'

/** Turns an answer into a `Response` and lets the faults happen to it. Rejects with the signal's reason when it aborts first. */
export async function send(
  answer: Answer,
  faults: Faults,
  signal: AbortSignal,
  dialect?: MockDialect,
): Promise<Response> {
  if (faults.latency) await pause(faults.latency, signal)
  const spoiled = spoil(answer, faults, dialect)
  const headers: Record<string, string> = {
    'content-type': spoiled.contentType,
    'x-request-id': `req_${newId()}`,
    'openai-processing-ms': '1',
    ...spoiled.headers,
  }
  if (faults.retryAfter !== undefined) headers['retry-after'] = String(faults.retryAfter)
  if (Array.isArray(spoiled.body)) headers['cache-control'] = 'no-cache, no-transform'
  if (faults.gzip) headers['content-encoding'] = 'gzip'
  const init = { status: spoiled.status, headers }
  const body = faults.gzip ? Bun.gzipSync(whole(spoiled.body)) : spoiled.body
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    // Bun sends headers along with the first byte of a body; a comment lets them out before the first event.
    const lead = dialect ? [] : [': waiting\n\n']
    const pieces = faults.firstTokenDelay ? [...lead, ...body] : body
    return new Response(paced(pieces, faults, signal), init)
  }
  const steady =
    faults.cut === undefined && !faults.neverEnd && !faults.reset && !faults.firstTokenDelay
  return new Response(steady ? body : paced([body], faults, signal), init)
}

/** Applies the faults that change what is said, as opposed to how it is sent. */
export function spoil(answer: Answer, faults: Faults, dialect?: MockDialect): Answer {
  const refuse = dialect ? (problem: Problem) => dialect.failure(problem) : failure
  if (faults.html) return { status: faults.status ?? 200, contentType: 'text/html', body: page }
  if (faults.status !== undefined) return refuse(statusProblem(faults.status, faults.code))
  if (answer.status >= 400) return answer
  if (faults.errorBody) return { ...refuse(statusProblem(500, faults.code)), status: 200 }
  const { body } = answer
  if (faults.empty) return { ...answer, body: Array.isArray(body) ? [] : '' }
  if (typeof body === 'string' || body instanceof Uint8Array) {
    return faults.malformed ? { ...answer, body: body.slice(0, body.length >> 1) } : answer
  }
  const frames: readonly Frame[] = body
  return {
    ...answer,
    body: dialect ? spoilForeign(frames, faults, dialect) : spoilFrames(frames as string[], faults),
  }
}

function spoilFrames(frames: readonly string[], faults: Faults): readonly string[] {
  let kept = frames
  if (faults.noDone || faults.neverEnd) {
    kept = kept.filter((frame) => frame !== DONE && !terminalEvent.test(frame))
  }
  // A quote inside a JSON string is always escaped, so these characters can only be the key itself.
  if (faults.noFinish) kept = kept.filter((frame) => !frame.includes('"finish_reason":"'))
  if (faults.malformed) {
    const broken = Math.min(1, kept.length - 1)
    kept = kept.map((frame, at) => (at === broken ? `${frame.slice(0, -4)}\n\n` : frame))
  }
  if (faults.errorEvent !== undefined) {
    const error = errorFrame(frames[0] ?? '', faults)
    kept = [...kept.slice(0, faults.errorEvent), error]
  }
  return kept
}

function spoilForeign(
  frames: readonly Frame[],
  faults: Faults,
  { frames: rules }: MockDialect,
): readonly Frame[] {
  let kept = frames
  if (faults.noDone || faults.neverEnd || faults.noFinish) {
    kept = kept.filter((frame) => !rules.isEnd(frame))
  }
  if (faults.malformed) {
    const at = Math.min(1, kept.length - 1)
    kept = kept.map((frame, index) => (index === at ? rules.broken(frame) : frame))
  }
  if (faults.errorEvent !== undefined) {
    const error = rules.errorFrame(statusProblem(500, faults.code))
    kept = [...kept.slice(0, faults.errorEvent), error]
  }
  return kept
}

function errorFrame(first: string, faults: Faults): string {
  const error = errorObject(statusProblem(500, faults.code))
  if (!first.startsWith('event: response.')) return dataFrame({ error })
  const { code, message, param } = error
  return typedFrame({ type: 'error', code, message, param, sequence_number: faults.errorEvent })
}

/** What a provider says with this status. */
function statusProblem(status: number, code: string | undefined) {
  const [type, usual, message] = PROBLEMS.get(status) ?? (status < 500 ? badRequest : serverError)
  return { status, type, code: code ?? usual, message: `${message} (made up by the mock)` }
}

type ProblemRow = readonly [type: string, code: string | null, message: string]
const badRequest: ProblemRow = ['invalid_request_error', null, 'The request was refused']
const serverError: ProblemRow = ['server_error', 'server_error', 'The server had an error']
const PROBLEMS: ReadonlyMap<number, ProblemRow> = new Map<number, ProblemRow>([
  [401, ['invalid_request_error', 'invalid_api_key', 'Incorrect API key provided']],
  [403, ['permission_error', 'permission_denied', 'You may not use this model']],
  [404, ['invalid_request_error', 'model_not_found', 'The model does not exist']],
  [429, ['requests', 'rate_limit_exceeded', 'Rate limit reached']],
  [503, ['server_error', 'overloaded', 'The engine is currently overloaded']],
])

function whole(body: Answer['body']): string | Uint8Array<ArrayBuffer> {
  if (typeof body === 'string' || body instanceof Uint8Array) return body
  return new Uint8Array(Buffer.concat(body.map((frame) => Buffer.from(frame as string))))
}

/** A body sent piece by piece, which ends, stalls or breaks as the faults say. */
function paced(
  pieces: readonly (string | Uint8Array<ArrayBuffer>)[],
  faults: Faults,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const stalls = faults.neverEnd ?? false
  const limit =
    faults.reset && faults.cut === undefined ? 0 : (faults.cut ?? Number.POSITIVE_INFINITY)
  // Half of a body that is not a stream, so that a stalled one is recognisably unfinished.
  const unary = pieces.length === 1
  const delayed = faults.firstTokenDelay && !unary ? 1 : 0
  let next = 0
  let sent = 0

  function take(): Uint8Array | undefined {
    if (next === pieces.length || sent >= limit) return undefined
    // Without delays the pieces after the first travel in groups, as they would from a fast provider.
    const piece = pieces[next++]!
    const grouped = next > delayed + 1 && !faults.chunkDelay
    let bytes: Uint8Array =
      typeof piece === 'string'
        ? encoder.encode(grouped ? piece + more(piece.length) : piece)
        : piece
    if (stalls && unary && faults.cut === undefined) bytes = bytes.subarray(0, bytes.length >> 1)
    if (sent + bytes.length > limit) bytes = bytes.subarray(0, limit - sent)
    sent += bytes.length
    return bytes
  }

  function more(length: number): string {
    let text = ''
    for (; next < pieces.length && length + text.length < 4096; next++) {
      const piece = pieces[next]
      if (typeof piece !== 'string') break
      text += piece
    }
    return text
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const delay =
          next === delayed ? faults.firstTokenDelay : next > delayed ? faults.chunkDelay : 0
        if (delay && next < pieces.length && sent < limit) await pause(delay, signal)
        const bytes = take()
        if (bytes?.length) {
          controller.enqueue(bytes)
          return
        }
        if (faults.reset) {
          // Bun drops what it has not written yet when a body fails; a turn of the event loop lets it out.
          if (sent > 0) await pause(1, signal)
          throw new Error('the mock breaks this connection, as it was asked to')
        }
        if (stalls) await aborted(signal)
        controller.close()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  if (signal.aborted) return Promise.reject(signal.reason)
  const timer = setTimeout(() => {
    signal.removeEventListener('abort', stop)
    resolve()
  }, ms)
  function stop(): void {
    clearTimeout(timer)
    reject(signal.reason)
  }
  signal.addEventListener('abort', stop, { once: true })
  return promise
}

/** Never resolves; rejects with the signal's reason when it aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  if (signal.aborted) return Promise.reject(signal.reason)
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise
}
