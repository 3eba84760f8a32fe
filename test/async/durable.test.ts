import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createJobs } from '#pipeline/jobs.ts'
import { createDb } from '#store/db.ts'
import { createJobStore } from '#store/jobs.ts'

import { accepted } from '../config/rig.ts'
import { gate } from './rig.ts'

// What has to be on the disk before somebody relies on it.

const quiet = { level: 'error', debug() {}, info() {}, warn() {}, error() {} } as const

/** Jobs over a store whose disk is as slow as the test wants it. */
function jobsOn(disk: () => Promise<void>, onRestart: 'retry' | 'fail') {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-durable-'))
  const db = createDb({ path: join(dir, 'asbru.db'), log: quiet })
  const begun = Promise.withResolvers<string>()
  const settings = accepted({ async: { on_restart: onRestart } }).async
  const jobs = createJobs({
    store: { ...createJobStore(db), durable: disk },
    perform(job) {
      begun.resolve(job.id)
      return Promise.resolve({ state: 'completed', statusCode: 200, headers: {}, result: '{}' })
    },
    settings: () => settings,
    log: quiet,
  })
  const submit = () =>
    jobs.submit(
      {
        id: 'a',
        owner: '',
        endpoint: 'chat_completion',
        model: undefined,
        provider: 'openai',
        requestId: 'r',
        request: '{}',
        body: '',
        ttlMs: 1000,
        idempotencyKey: undefined,
        bodyHash: '',
        holdsKey: false,
        webhook: undefined,
        streams: false,
      },
      {},
    )
  return {
    jobs,
    submit,
    begun: begun.promise,
    [Symbol.dispose]() {
      jobs.close()
      db.close()
      rmSync(dir, { recursive: true })
    },
  }
}

test('a submission is answered when the job is on the disk; it may run before', async () => {
  const disk = gate()
  using rig = jobsOn(() => disk.opened, 'retry')
  const states: string[] = []
  const submitted = rig.submit().then(({ kind }) => states.push(kind))
  expect(await rig.begun).toBe('a')
  expect(states).toEqual([])
  disk.open()
  await submitted
  expect(states).toEqual(['made'])
})

test('where a job must not run twice, that it runs is on the disk before it does', async () => {
  const disk = [gate(), gate()]
  let asked = 0
  const secondAsked = gate()
  using rig = jobsOn(() => {
    if (asked === 1) secondAsked.open()
    return disk[asked++]!.opened
  }, 'fail')
  const submitted = rig.submit()
  disk[0]!.open()
  await submitted
  await secondAsked.opened
  const first = await Promise.race([rig.begun, Bun.sleep(0).then(() => 'not yet')])
  expect([first, rig.jobs.find('a', '')?.state]).toEqual(['not yet', 'processing'])
  disk[1]!.open()
  expect(await rig.begun).toBe('a')
})
