import { framingOf } from '#core/endpoint.ts'
import type { Endpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { errorFrame, KEEP_ALIVE } from '#openai/frames.ts'
import { splitEvents } from '#pipeline/jobs-progress.ts'
import type { Jobs } from '#pipeline/jobs.ts'
import type { EndedJob, Job } from '#store/jobs.ts'

import { inItsClothes } from './jobs-render.ts'

// The answer of a job as a stream, from the beginning or from where somebody left off, while it comes or afterwards.
// The id of an event says which start of the job it is of: what another start says is another text.

/** How often a job is looked at that runs in another process, or not yet. */
const lookEveryMs = 100
const keepAliveMs = 15_000

/**
 * Streams the answer of a job behind the event `lastId`. Throws 400 for an id that is none, and 409 when the job was
 * begun anew since then; a job that has failed is answered as its error.
 */
export function streamAnswer(
  jobs: Jobs,
  job: Job | EndedJob,
  owner: string,
  lastId: string | undefined,
): Response {
  const from = lastId ? /^(\d{1,9})-(\d{1,9})$/.exec(lastId) : undefined
  if (from === null) {
    throw new GatewayError('invalid_request', 'Last-Event-ID is no id of an event of this job.', {
      param: 'last-event-id',
    })
  }
  if ('ending' in job && job.state === 'failed') return inItsClothes(job)
  const run = from ? Number(from[1]) : undefined
  if (run !== undefined && (run !== job.starts || job.state === 'pending')) {
    throw new GatewayError(
      'idempotency_conflict',
      'The job was begun anew since that event; read its answer from the beginning.',
      { code: 'stream_restarted' },
    )
  }
  const events = follow(jobs, job.id, owner, run, from ? Number(from[2]) : 0)
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      // A rejection cuts the connection, as it should; Bun prints what the rejection holds, so it holds nothing.
      const next = await events.next().catch(() => Promise.reject())
      if (next.done) controller.close()
      else controller.enqueue(encoder.encode(next.value))
    },
    async cancel() {
      await events.return(undefined)
    },
  })
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-request-id': job.requestId,
      'x-bf-async-id': job.id,
    },
  })
}

async function* follow(
  jobs: Jobs,
  id: string,
  owner: string,
  firstRun: number | undefined,
  seen: number,
): AsyncGenerator<string, undefined> {
  let run = firstRun
  let at = seen
  // Long enough ago: headers leave with the first bytes, so whoever has to wait gets some at once.
  let quietSince = performance.now() - keepAliveMs
  function* behind(events: readonly string[]): Generator<string> {
    for (; at < events.length; quietSince = performance.now()) {
      yield `id: ${run}-${at + 1}\n${events[at++]}\n\n`
    }
  }
  function* comment(): Generator<string> {
    if (performance.now() - quietSince < keepAliveMs) return
    quietSince = performance.now()
    yield KEEP_ALIVE
  }
  for (;;) {
    const live = jobs.progress(id)
    if (live && (run ?? live.run) === live.run) {
      run = live.run
      yield* behind(live.events)
      yield* comment()
      // While a chunk was on its way to the reader, more may have come.
      if (at >= live.events.length) await live.changed(keepAliveMs)
    } else {
      const job = jobs.find(id, owner)
      // It went on without us, as another text, or is gone: a cut says that this is not the end.
      if (!job || (run !== undefined && run !== job.starts)) throw cut()
      if ('ending' in job) {
        run = job.starts
        if (job.state === 'completed') yield* behind(eventsOf(job))
        else yield failure(job, at)
        return undefined
      }
      if (jobs.isStopping) throw cut()
      yield* comment()
      await Bun.sleep(lookEveryMs)
    }
  }
}

function eventsOf({ ending }: EndedJob): readonly string[] {
  return typeof ending.result === 'string' ? splitEvents(ending.result).events : []
}

function failure(job: EndedJob, chunks: number): string {
  const text = typeof job.ending.result === 'string' ? job.ending.result : '{}'
  const { error } = JSON.parse(text) as { error?: Record<string, unknown> }
  const facts = { message: 'The job failed.', type: 'server_error', code: null, param: null }
  return errorFrame(framingOf(job.endpoint as Endpoint), text, { ...facts, ...error }, chunks)
}

function cut(): GatewayError {
  return new GatewayError('shutting_down', 'This stream ends here; resume it with Last-Event-ID.')
}
