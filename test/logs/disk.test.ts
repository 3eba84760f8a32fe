import { expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync } from 'node:fs'
import { join } from 'node:path'

import { scratch, serve } from '../cli/program.ts'
import type { Serving } from '../cli/program.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { DISKS, STARTING_DISKS } from './disk.ts'
import { isSound } from './rig.ts'

// The program as a process whose disk is full: it answers as before, says what it cannot keep, and keeps it again as
// soon as there is room.

// Each starts the program, on a machine that may be busy.
setDefaultTimeout(60_000)

const chat = { model: 'cerebras/llama', messages: [{ role: 'user', content: 'Hello' }] }

interface Rig extends AsyncDisposable {
  readonly upstream: Upstream
  readonly program: Serving
  readonly dir: string
  /** A file beside the folder that fills up. */
  readonly outside: (name: string) => string
  readonly ask: (path: string, body?: object) => Promise<Answer>
  readonly call: (more?: object) => Promise<Answer>
  readonly submit: () => Promise<Answer>
  /** What the log says is wrong after one more call; the question waits for what was logged before it. */
  readonly failure: () => Promise<string | null>
  /** How many lines the program wrote that have these words. */
  readonly said: (words: RegExp) => number
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly body: any
}

async function startRig(within: (dir: string) => readonly string[]): Promise<Rig> {
  await using stack = new AsyncDisposableStack()
  const upstream = stack.use(await startUpstream())
  const dir = stack.use(scratch())
  const outside = stack.use(scratch())
  const config = outside.file('config.json')
  const network = { base_url: upstream.url, allow_private_network: true }
  const providers = { cerebras: { keys: [{ value: 'k' }], network_config: network } }
  await Bun.write(config, JSON.stringify({ providers }))
  const args = ['--app-dir', dir.path, '--config', config]
  const program = stack.use(await serve(args, { within: within(dir.path) }))
  const ask: Rig['ask'] = async (path, body) => {
    const answer = await fetch(program.url + path, {
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      headers: { 'content-type': 'application/json' },
    })
    const text = await answer.text()
    return { status: answer.status, text, body: text.startsWith('{') ? JSON.parse(text) : {} }
  }
  const call: Rig['call'] = (more = {}) => ask('/openai/v1/chat/completions', { ...chat, ...more })
  const kept = stack.move()
  return {
    upstream,
    program,
    dir: dir.path,
    outside: (name) => outside.file(name),
    ask,
    call,
    submit: () => ask('/v1/async/chat/completions', chat),
    async failure() {
      expect((await call()).status).toBe(200)
      await ask('/api/logs/stats')
      return (await ask('/api/logs/dropped')).body.failure
    },
    said: (words) => program.logs.filter(({ message }) => words.test(String(message))).length,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

test.each([...DISKS])('$name stops the log and new jobs, and no call', async (disk) => {
  await using rig = await startRig(disk.within)
  const { ask, call, dir, failure, outside, program, said, submit, upstream } = rig
  expect(await failure()).toBeNull()
  const release = Promise.withResolvers<void>()
  upstream.reply({ gate: release.promise, json: { id: 'late', object: 'chat.completion' } })
  const early = await submit()
  expect(early.status).toBe(202)
  await upstream.waitFor(2)

  disk.fill(dir, program)
  while ((await failure()) === null);
  for (let batch = 0; batch < 5; batch++) expect(await failure()).toBeString()
  expect((await call({ stream: true })).text).toEndWith('data: [DONE]\n\n')
  // A response that cannot be kept is answered all the same.
  const response = { model: chat.model, input: 'Hello', store: true }
  expect((await ask('/openai/v1/responses', response)).status).toBe(200)
  expect((await ask('/health')).status).toBe(200)
  expect((await ask('/api/logs/dropped')).body.dropped_requests).toBeGreaterThanOrEqual(6)
  expect(said(/log cannot be written/)).toBe(1)

  // A job that cannot be kept is not taken, and its request goes nowhere.
  const asked = upstream.requests.length
  for (let n = 0; n < 3; n++) {
    expect(await submit()).toMatchObject({
      status: 503,
      body: { error: { code: 'store_unavailable' } },
    })
  }
  expect(upstream.requests).toHaveLength(asked)
  // One that was taken before is answered now, and there is no room for the answer.
  release.resolve()
  await program.logged(({ message }) => /end of a job/.test(String(message)))

  disk.free(dir, program)
  while ((await failure()) !== null);
  let later = await submit()
  while (later.status === 503) later = await submit()
  expect(later.status).toBe(202)
  const ended = async ({ body }: Answer): Promise<Answer> => {
    for (;;) {
      const job = await ask(`/v1/async/chat/completions/${body.id}`)
      if (job.status !== 202) return job
    }
  }
  expect((await ended(early)).body).toMatchObject({ status: 'completed', result: { id: 'late' } })
  expect((await ended(later)).body).toMatchObject({ status: 'completed' })
  expect(await failure()).toBeNull()
  expect(said(/log cannot be written/)).toBe(1)
  expect(said(/calls are logged again/)).toBe(1)
  // SQLite does not open a file through the eyes of another process, so copies are looked at; nothing writes now.
  for (const file of ['logs.db', 'asbru.db']) {
    for (const end of ['', '-wal'])
      cpSync(join(disk.seen(dir, program), file + end), outside(file + end))
    expect(isSound(outside(file))).toBe(true)
  }
})

test.each([...STARTING_DISKS])('$name does not keep it from starting', async (disk) => {
  await using rig = await startRig(disk.withinFull)
  const { dir, failure, program, said, submit } = rig
  for (let batch = 0; batch < 3; batch++) expect(await failure()).toBeString()
  expect(said(/log cannot be written/)).toBe(1)
  expect((await submit()).status).toBe(503)
  disk.free(dir, program)
  while ((await failure()) !== null);
  expect(said(/calls are logged again/)).toBe(1)
})
