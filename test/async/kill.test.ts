import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { join } from 'node:path'

import { createFolder } from './folder.ts'
import type { Process } from './folder.ts'

// The gateway is killed at random moments under load, again and again. Afterwards every job that was accepted has
// ended exactly once and was told of, and the provider was asked as often as the store says.

const rounds = Number(process.env['ASBRU_KILL_ROUNDS'] ?? 20)
const seed = Number(process.env['ASBRU_KILL_SEED'] ?? Date.now() % 1_000_000)
const path = '/v1/async/chat/completions'
const secret = `whsec_${Buffer.from('0123456789abcdef').toString('base64')}`
const submitters = 4
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
    /** Message ids by job: the same one may come twice, two different ones may not. */
    const told = new Map<string, Set<string>>()
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
      const ids = told.get(data.job_id) ?? new Set()
      told.set(data.job_id, ids.add(request.headers.get('webhook-id') ?? ''))
      return new Response(null)
    })
    await using folder = createFolder(provider.url, {
      async: { concurrency: 8, lease_in_seconds: 0.3, max_starts: 1_000_000, max_queued: 100_000 },
      client: { async_job_result_ttl: 86_400 },
      webhooks: [
        {
          name: 'hook',
          url: receiver.url,
          secret,
          allow_private_network: true,
          attempt_timeout_seconds: 0.2,
          retry_backoff_initial_seconds: 0.05,
          retry_backoff_max_seconds: 0.1,
          max_retries: 100,
        },
      ],
    })

    const accepted = new Map<string, string>()
    let submitted = 0
    for (let round = 0; round < rounds; round++) {
      const gateway = await folder.start()
      const life = { isOver: false }
      const submit = async (): Promise<void> => {
        while (!life.isOver) {
          const content = `job ${submitted++}`
          const id = await tryToSubmit(gateway, content)
          if (id !== undefined) accepted.set(id, content)
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
    expect(accepted.size).toBeGreaterThan(rounds)
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
    while ([...accepted.keys()].some((id) => !told.has(id))) await Bun.sleep(20)
    await gateway.terminate()

    expect(twiceAtOnce).toEqual([])
    for (const id of accepted.keys()) expect(told.get(id)!.size).toBe(1)
    expect(sqlite.query('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
    const rows = sqlite
      .query<{ id: string; state: string; starts: number; result: string }, []>(
        'SELECT id, state, starts, result FROM jobs',
      )
      .all()
    for (const { id, state, starts, result } of rows) {
      expect([id, state]).toEqual([id, 'completed'])
      const { content } = JSON.parse(result).choices[0].message
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

/** The id of the job, or undefined when the gateway ended first. */
async function tryToSubmit(gateway: Process, content: string): Promise<string | undefined> {
  const body = { model: 'openai/gpt-4o-mini', messages: [{ role: 'user', content }] }
  try {
    const answer = await gateway.post(path, body, { 'x-bf-async-webhook': 'hook' })
    return answer.status === 202 ? answer.body.id : undefined
  } catch {
    // The connection broke; whether the job was committed shows later.
    return undefined
  }
}
