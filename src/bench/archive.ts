// A log of a million calls: what reading, tidying and exporting it does to the calls that are under way, and how long
// the first page of a search takes.

import { closeSync, cpSync, fsyncSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { setTurnsOf } from '#lib/threads.ts'

import type { Configure, Contender, Parts } from './contenders.ts'
import { commonWord, providers, rareWord } from './filling.ts'
import type { Job, LoadResult } from './job.ts'
import { standBack } from './machine.ts'
import { aimed, median } from './measure.ts'
import {
  base,
  divide,
  figures,
  plain,
  problemsOf,
  type Result,
  type Scenario,
  times,
  usage,
  warmUp,
} from './stage.ts'
import { figure, missing, ms, type Row } from './table.ts'

const p99Limit = 1.2
const pageLimitMs = 100
const memoryLimitMb = 200
const mb = 2 ** 20
/** So much of the log is too much in the gateway that tidies, which keeps it at it for the whole measurement. */
const keptShare = 0.9
const timesAsked = 5
const pairs = 3
/** Calls before the measurement, for each in it. */
const warmUpShare = 5

/** The filters of the searches, each a first page of fifty. */
const searches: readonly string[] = [
  '',
  `providers=${providers[1]}`,
  `models=${providers[0]}-model-1,${providers[2]}-model-3`,
  'status=error',
  `status=error&providers=${providers[4]}`,
  'min_latency=5000',
  'min_cost=0.005',
  'stop_reasons=length',
  'virtual_key_ids=vk-7&status=success',
  'metadata_team=team-3',
  'user_agents=curl/8.5.0&max_tokens=300',
  'period=24h&objects=embedding',
  `content_search=${commonWord}`,
  `content_search=${rareWord}`,
  `content_search=${rareWord}&providers=${providers[3]}&status=error`,
  'content_search=nowhere',
  'sort_by=latency&order=desc',
  'sort_by=cost&order=desc&status=success',
  'missing_cost_only=true&sort_by=tokens&order=asc',
]

/** `rows` calls in the log; less of everything for a look. */
export function archive(rows: number, quick: boolean): Scenario {
  const name = `log of ${figures(rows)} calls`
  const live: Omit<Job, 'url'> = {
    ...base,
    concurrency: 16,
    requests: quick ? 800 : 4000,
    // About three hundred calls a second: what is looked for is delay, not what a full core does.
    pauseMs: 50,
    spreadMs: 50,
  }
  return {
    name,
    async run(parts): Promise<Result> {
      const quiet = parts.newFolder()
      const filled = await parts.fillLog({
        path: join(quiet, 'logs.db'),
        rows,
        maxBytes: Number.MAX_SAFE_INTEGER,
      })
      const capMb = Math.ceil((filled.bytes / mb) * keptShare)
      const pages = await withLog(parts, quiet, undefined, firstPages)
      const usual: LoadResult[] = []
      const during: Disturbed[] = []
      const undisturbed = async (): Promise<void> => {
        usual.push(await withLog(parts, quiet, undefined, (gateway) => alone(parts, gateway, live)))
      }
      // One at a time, and in turns: a tail is made of few calls, and says little when it was looked at once.
      for (let pair = 0; pair < (quick ? 1 : pairs); pair += 1) {
        if (pair % 2 === 0) await undisturbed()
        const busy = parts.newFolder()
        copyLog(quiet, busy)
        during.push(await withLog(parts, busy, capMb, (gateway) => disturbed(parts, gateway, live)))
        rmSync(busy, { recursive: true, force: true })
        if (pair % 2 === 1) await undisturbed()
      }

      const capBytes = Math.ceil(filled.bytes / 10)
      const bounded = await parts.fillLog({
        path: join(parts.newFolder(), 'logs.db'),
        rows: Math.ceil(rows / 5),
        maxBytes: capBytes,
      })
      const ratios = usual.flatMap((one, pair) => divide(during[pair]!.live.p99Us, one.p99Us) ?? [])
      const ratio = ratios.length === 0 ? undefined : median(ratios)
      const of = (rounds: readonly LoadResult[], share: 'p50Us' | 'p99Us'): number =>
        median(rounds.map((round) => round[share]))
      const disturbances = during.map((round) => round.live)
      const errors = disturbances.reduce((sum, round) => sum + round.errors, 0)
      const residentMb = Math.max(...during.map((round) => round.residentMb ?? 0)) || undefined
      const worst = pages.toSorted((a, b) => b.typicalMs - a.typicalMs)[0]
      const rowsOut: Row[] = [
        {
          scenario: `${name}: p99 of calls while it is searched, exported and tidied, beside alone`,
          floor: ms(of(usual, 'p99Us')),
          gateway: ms(of(disturbances, 'p99Us')),
          ratio: times(ratio),
          target: `≤ ${figure(p99Limit)}×`,
          met: errors > 0 || ratio === undefined ? false : ratio <= p99Limit,
        },
        plain(`${name}: p50 of the same`, ms(of(usual, 'p50Us')), ms(of(disturbances, 'p50Us'))),
        {
          ...plain(
            `${name}: first page of the slowest of ${searches.length} searches (${worst?.search || 'all'})`,
            '–',
            worst ? `${figure(worst.typicalMs)} ms` : missing,
          ),
          target: `≤ ${pageLimitMs} ms`,
          met: worst !== undefined && worst.typicalMs <= pageLimitMs,
        },
        {
          ...plain(`${name}: memory MB, at most`, '–', figure(residentMb)),
          target: `≤ ${memoryLimitMb} MB`,
          met: residentMb === undefined ? undefined : residentMb <= memoryLimitMb,
        },
        {
          ...plain(
            `${name}: disk MB at most, beside its cap`,
            figure(capBytes / mb),
            figure(bounded.peakBytes / mb),
          ),
          ratio: `batch ${figure(bounded.batchBytes / mb)} MB`,
          target: '≤ cap + batch',
          met: bounded.peakBytes <= capBytes + bounded.batchBytes,
        },
      ]
      return {
        rows: rowsOut,
        raw: { filled, pages, usual, during, bounded },
        problems: [
          ...usual.flatMap((round) => problemsOf(name, { 'calls alone': round })),
          ...disturbances.flatMap((round) => problemsOf(name, { 'calls beside searches': round })),
          ...during.flatMap(({ failures }) => failures.map((failure) => `${name}: ${failure}`)),
        ],
      }
    },
  }
}

/** On the disk before anybody is measured: the first to sync the file would have to wait for all of it. */
function copyLog(from: string, to: string): void {
  cpSync(from, to, { recursive: true })
  for (const name of readdirSync(to)) {
    const file = openSync(join(to, name), 'r+')
    fsyncSync(file)
    closeSync(file)
  }
}

/** A gateway over the log in `home`, on any core: its threads are there to use more than one. */
async function withLog<T>(
  parts: Parts,
  home: string,
  capMb: number | undefined,
  work: (gateway: Contender) => Promise<T>,
): Promise<T> {
  const configure: Configure = (usual) => ({
    ...usual,
    client: { enable_logging: true },
    logs_store: { enabled: true, max_size_mb: capMb ?? 1_000_000 },
  })
  const gateway = await parts.startGateway(configure, { home, isFree: true })
  try {
    return await work(gateway)
  } finally {
    await gateway.stop()
  }
}

async function alone(parts: Parts, gateway: Contender, job: Omit<Job, 'url'>) {
  // As one that has been running for a while, whatever reads its log as well; then as fast as it is measured.
  const { pauseMs: _, ...steady } = job
  // Client and provider stand for other machines, on which nothing of the gateway runs. Here they would wait behind
  // its threads for the length of a turn, which nobody would who is served over a network.
  for (const pid of parts.ends) setTurnsOf(pid, true)
  try {
    await warmUp(parts, gateway, { job: steady, requests: job.requests * warmUpShare })
    await warmUp(parts, gateway, { job, requests: job.requests / 2 })
    return await parts.loader.run(aimed(gateway, job))
  } finally {
    for (const pid of parts.ends) setTurnsOf(pid, false)
  }
}

interface Disturbed {
  readonly live: LoadResult
  readonly failures: readonly string[]
  readonly residentMb: number | undefined
  readonly pages: number
  readonly exportedMb: number
}

/** Calls while one reader goes from search to search, another exports everything, and the oldest calls are removed. */
async function disturbed(
  parts: Parts,
  gateway: Contender,
  job: Omit<Job, 'url'>,
): Promise<Disturbed> {
  const ended = new AbortController()
  const { signal } = ended
  const failures: string[] = []
  const comeBack = standBack()
  let residentMb: number | undefined
  let pages = 0
  let exported = 0
  const searching = (async () => {
    while (!signal.aborted) {
      const search = searches[pages % searches.length]!
      const { status } = await page(gateway, search)
      pages += 1
      if (status !== 200) failures.push(`a search (${search}) was answered with ${status}`)
    }
  })()
  const exporting = (async () => {
    while (!signal.aborted) {
      const answer = await fetch(new URL('/api/logs/export?format=ndjson', gateway.url))
      for await (const bytes of answer.body ?? []) {
        exported += bytes.length
        if (signal.aborted) break
      }
    }
  })()
  const watching = setInterval(() => {
    residentMb = Math.max(residentMb ?? 0, usage(gateway)?.residentMb ?? 0) || undefined
  }, 250)
  try {
    const live = await alone(parts, gateway, job)
    return {
      live,
      failures,
      get residentMb() {
        return residentMb
      },
      pages,
      exportedMb: exported / mb,
    }
  } finally {
    clearInterval(watching)
    comeBack()
    ended.abort()
    await Promise.all([searching, exporting])
  }
}

/** How long each search takes while nothing else happens, with the middle of a few times. */
async function firstPages(gateway: Contender) {
  const taken = []
  for (const search of searches) {
    const tookMs: number[] = []
    for (let n = 0; n < timesAsked; n += 1) tookMs.push((await page(gateway, search)).tookMs)
    taken.push({ search, tookMs, typicalMs: median(tookMs) })
  }
  return taken
}

async function page(gateway: Contender, search: string) {
  const startedAt = performance.now()
  const answer = await fetch(new URL(`/api/logs?limit=50&${search}`, gateway.url))
  await answer.arrayBuffer()
  return { status: answer.status, tookMs: performance.now() - startedAt }
}
