import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { join } from 'node:path'

import { createFolder } from './folder.ts'
import type { Process } from './folder.ts'
import { secret } from './receiver.ts'

// The gateway is killed at random moments under load, again and again: jobs at both doors, webhooks that jobs name and
// one that is told of all, the log of calls. Afterwards every job that was accepted has ended exactly once and was told
// of, the provider was asked as often as the store says, and both databases are whole. Whoever got no answer asks again
// with the same key, and has one job all the same.

const rounds = Number(process.env['ASBRU_KILL_ROUNDS'] ?? 20)
const seed = Number(process.env['ASBRU_KILL_SEED'] ?? Date.now() % 1_000_000)
const path = '/v1/async/chat/completions'
const doors = [path, '/openai/v1/chat/completions'] as const
const submitters = 4
const quickly = {
  allow_private_network: true,
  attempt_timeout_seconds: 0.2,
  retry_backoff_initial_seconds: 0.05,
  retry_backoff_max_seconds: 0.1,
  max_retries: 100,
}
const maxSlowMs = 60

/** Mulberry32: the same rounds for the same seed. */
function randomOf(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

test(
  `${rounds} kills lose nothing and do nothing twice`,
  async () => {
    console.log(`seed ${seed} (ASBRU_KILL_SEED)`)
    const random = randomOf(seed)
    /** How often the provider was asked for each job, by its content. */
    const asked = new Map<string, number>()
    const atOnce = new Map<string, number>()
    const twiceAtOnce: string[] = []
    /** Message ids by receiver and job: the same one may come twice, two different ones may not. */
    const told = { named: new Map<string, Set<string>>(), all: new Map<string, Set<string>>() }
    await using provider = serve(async (request) => {
      const body = (await request.json()) as { messages: [{ content: string }] }
      const { content } = body.messages[0]
      asked.set(content, (asked.get(content) ?? 0) + 1)
      const now = (atOnce.get(content) ?? 0) + 1
      atOnce.set(content, now)
      if (now > 1) twiceAtOnce.push(content)
      const left = new Promise<void>((resolve) => {
        request.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([left, Bun.sleep(random() * maxSlowMs)])
      atOnce.set(content, atOnce.get(content)! - 1)
      const message = { role: 'assistant', content }
      const choices = [{ index: 0, finish_reason: 'stop', message }]
      return Response.json({ id: 'x', object: 'chat.completion', choices })
    })
    await using receiver = serve(async (request) => {
      const { data } = (await request.json()) as { data: { job_id: string } }
      const heard = request.url.endsWith('/all') ? told.all : told.named
      const ids = heard.get(data.job_id) ?? new Set()
      heard.set(data.job_id, ids.add(request.headers.get('webhook-id') ?? ''))
      return new Response(null, { status: random() < 0.1 ? 503 : 200 })
    })
    await using folder = createFolder(provider.url, {
      async: { concurrency: 8, lease_in_seconds: 0.3, max_starts: 1_000_000, max_queued: 100_000 },
      client: { async_job_result_ttl: 86_400 },
      webhooks: [
        { name: 'named', url: `${receiver.url}/named`, secret, ...quickly },
        { name: 'all', url: `${receiver.url}/all`, secret, every_job: true, ...quickly },
      ],
    })

    const accepted = new Map<string, string>()
    /** Those without an answer, and those that named a webhook, by content. */
    const unanswered: Submitted[] = []
    const naming = new Set<string>()
    let submitted = 0
    for (let round = 0; round < rounds; round++) {
      const gateway = await folder.start()
      const life = { isOver: false }
      const submit = async (): Promise<void> => {
        while (!life.isOver) {
          const one = unanswered.pop() ?? {
            content: `job ${submitted++}`,
            door: random() < 0.5 ? 0 : 1,
            isNaming: random() < 0.5,
          }
          if (one.isNaming) naming.add(one.content)
          const id = await tryToSubmit(gateway, one)
          if (id === undefined) unanswered.push(one)
          else accepted.set(id, one.content)
          await Bun.sleep(random() * 20)
        }
      }
      const all = Array.from({ length: submitters }, submit)
      await Bun.sleep(random() * 400)
      await gateway.kill()
      life.isOver = true
      await Promise.all(all)
    }

    const gateway = await folder.start()
    // All others may have ended before, and what a killed process had not logged yet is not in the log.
    const last: Submitted = { content: 'the last job', door: 0, isNaming: false }
    accepted.set((await tryToSubmit(gateway, last))!, last.content)
    expect(accepted.size).toBeGreaterThan(rounds / 4)
    for (const [id, content] of accepted) {
      const { body } = await gateway.ended(`${path}/${id}`)
      expect(body).toMatchObject({
        status: 'completed',
        result: { choices: [{ message: { content } }] },
      })
    }
    // What was committed without the answer getting out is a job as well.
    using sqlite = new Database(join(folder.path, 'asbru.db'), { readonly: true })
    const open = sqlite.query<{ n: number }, []>(
      `SELECT COUNT(*) AS n FROM jobs WHERE state IN ('pending', 'processing')`,
    )
    while (open.get()!.n > 0) await Bun.sleep(20)
    const waiting = sqlite.query<{ n: number }, []>(`SELECT COUNT(*) AS n FROM webhook_deliveries`)
    while (waiting.get()!.n > 0) await Bun.sleep(20)
    await logged(gateway)
    await gateway.terminate()

    expect(twiceAtOnce).toEqual([])
    for (const [id, content] of accepted) {
      expect([id, told.all.get(id)?.size]).toEqual([id, 1])
      expect([id, told.named.get(id)?.size]).toEqual([id, naming.has(content) ? 1 : undefined])
    }
    using logs = new Database(join(folder.path, 'logs.db'), { readonly: true })
    for (const each of [sqlite, logs]) {
      expect(each.query('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
    }
    const rows = sqlite
      .query<{ id: string; state: string; starts: number; result: string }, []>(
        'SELECT id, state, starts, result FROM jobs',
      )
      .all()
    const contents = new Set<string>()
    for (const { id, state, starts, result } of rows) {
      expect([id, state]).toEqual([id, 'completed'])
      const { content } = JSON.parse(result).choices[0].message
      // However often it was submitted, it is one job.
      expect([content, contents.has(content)]).toEqual([content, false])
      contents.add(content)
      // A job that was taken and killed before it reached the provider counts one start more than it has calls.
      expect(asked.get(content) ?? 0).toBeLessThanOrEqual(starts)
      expect(asked.get(content) ?? 0).toBeGreaterThanOrEqual(1)
      asked.delete(content)
    }
    // Nothing reached the provider that is no job.
    expect([...asked.keys()]).toEqual([])
    const totals = sqlite.query('SELECT queued, bytes FROM job_totals').get()
    const counted = sqlite
      .query(`SELECT SUM(state = 'pending') AS queued, SUM(bytes) AS bytes FROM jobs`)
      .get()
    expect(totals).toEqual(counted)
    const delivered = sqlite
      .query<{ n: number }, []>(
        `SELECT COUNT(DISTINCT delivery_id) AS n FROM webhook_attempts WHERE outcome = 'delivered'`,
      )
      .get()!
    expect(delivered.n).toBe(rows.length + [...contents].filter((one) => naming.has(one)).length)
    console.log(`${accepted.size} jobs accepted, ${rows.length} committed, ${rounds} kills`)
  },
  60_000 + rounds * 3000,
)

function serve(handle: (request: Request) => Promise<Response>) {
  const server = Bun.serve({ port: 0, hostname: 'localhost', idleTimeout: 0, fetch: handle })
  return {
    url: `http://localhost:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}

interface Submitted {
  readonly content: string
  readonly door: 0 | 1
  readonly isNaming: boolean
}

/** The id of the job, or undefined when the gateway ended first. */
async function tryToSubmit(
  gateway: Process,
  { content, door, isNaming }: Submitted,
): Promise<string | undefined> {
  const body = { model: 'openai/gpt-4o-mini', messages: [{ role: 'user', content }] }
  const headers = {
    'idempotency-key': content,
    ...(door === 1 && { 'x-bf-async': 'true' }),
    ...(isNaming && { 'x-bf-async-webhook': 'named' }),
  }
  try {
    const answer = await gateway.post(doors[door], body, headers)
    // Sent again, it may have ended by now, and at the second door its answer has an id of its own.
    const id = door === 1 ? answer.headers.get('x-bf-async-id') : answer.body.id
    return answer.status === 202 || answer.status === 200 ? (id ?? undefined) : undefined
  } catch {
    // The connection broke; whether the job was committed shows when it is submitted again.
    return undefined
  }
}

/** Resolves when the log answers that it has calls of jobs. */
async function logged(gateway: Process): Promise<void> {
  for (;;) {
    const { body } = await gateway.get('/api/logs?metadata_isAsyncRequest=true&limit=1')
    if (body.logs?.length > 0) return
    await Bun.sleep(20)
  }
}
