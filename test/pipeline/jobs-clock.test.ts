import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import { createJobs } from '#pipeline/jobs.ts'
import type { Jobs } from '#pipeline/jobs.ts'
import { createDb } from '#store/db.ts'
import { createJobStore } from '#store/jobs.ts'
import type { Ending, NewJob } from '#store/jobs.ts'

import { accepted } from '../config/rig.ts'
import { until } from './rig.ts'

const done: Ending = { state: 'completed', statusCode: 200, headers: {}, result: '{}' }
const job: NewJob = {
  id: 'a',
  owner: '',
  endpoint: 'chat_completion',
  model: 'm',
  provider: 'openai',
  requestId: 'r',
  request: '{}',
  body: '{}',
  ttlMs: 3_600_000,
  idempotencyKey: undefined,
  bodyHash: 'h',
  holdsKey: false,
  webhook: undefined,
  streams: false,
}

test.each([86_400_000, -86_400_000])(
  'a step of the clock by %d ms takes no job from a process that is alive',
  async (step) => {
    const dir = mkdtempSync(join(tmpdir(), 'asbru-jobs-clock-'))
    const log = createLogger({ level: 'error', style: 'json', write() {} })
    const clock = { now: Date.UTC(2026, 10, 21) }
    const settings = { ...accepted({}).async, leaseMs: 30 }
    const dbs: ReturnType<typeof createDb>[] = []
    const started: string[] = []
    const release = Promise.withResolvers<void>()
    /** A process over the folder; `onLook` is called whenever it looks for what others have left. */
    const process = (name: string, onLook: () => void): Jobs => {
      const db = createDb({ path: join(dir, 'asbru.db'), log })
      dbs.push(db)
      const store = createJobStore(db, () => clock.now)
      return createJobs({
        store: {
          ...store,
          renew(worker, leaseMs) {
            onLook()
            return store.renew(worker, leaseMs)
          },
        },
        async perform() {
          started.push(name)
          await release.promise
          return done
        },
        settings: () => settings,
        log,
        now: () => clock.now,
      })
    }
    let looks = 0
    let looksAtStep = Number.POSITIVE_INFINITY
    const one = process('one', () => undefined)
    const two = process('two', () => {
      looks++
      // The first to look after the step, and again, is the one that has no job.
      if (looks === looksAtStep + 2) one.start()
    })
    try {
      await one.submit(job, {})
      await until(() => started.length === 1)
      two.start()
      await until(() => looks >= 2)
      clock.now += step
      looksAtStep = looks
      await until(() => looks >= looksAtStep + 8)
      expect(started).toEqual(['one'])
      release.resolve()
      await until(() => one.find('a', '')?.state === 'completed')
      expect(started).toEqual(['one'])
    } finally {
      release.resolve()
      one.close()
      two.close()
      for (const db of dbs) db.close()
      rmSync(dir, { recursive: true, force: true })
    }
  },
)
