// What standing, growing and starting cost: idle streams, many streams, memory, start time.

import type { Job } from './job.ts'
import { aimed, measure, median } from './measure.ts'
import {
  base,
  compared,
  difference,
  figures,
  plain,
  problemsOf,
  type Scenario,
  usage,
  withBoth,
} from './stage.ts'
import { figure, ms, type Row } from './table.ts'

/** Open streams on which almost nothing happens: memory and CPU while they stand. */
export function idle(streams: number, holdMs: number): Scenario {
  const name = `${figures(streams)} idle open streams`
  const job: Omit<Job, 'url'> = {
    ...base,
    model: 'bench-idle',
    kind: 'hold',
    concurrency: streams,
    requests: streams,
    spreadMs: 1000,
    timeoutMs: 30_000,
  }
  return {
    name,
    run: (parts) =>
      withBoth(parts, async (floor, gateway) => {
        const seen = []
        for (const contender of [floor, gateway]) {
          let cpuShare: number | undefined
          let residentMb: number | undefined
          const result = await parts.loader.hold(aimed(contender, job), async () => {
            const start = usage(contender)
            await Bun.sleep(holdMs)
            const end = usage(contender)
            if (start && end) cpuShare = ((end.cpuMs - start.cpuMs) * 1000) / holdMs
            residentMb = end?.residentMb
          })
          seen.push({ ...result, cpuUs: undefined, cpuShare, residentMb })
        }
        const [bare, full] = seen
        if (!bare || !full) throw new Error('a contender was not measured')
        return {
          rows: [
            compared(`${name}: memory MB`, bare.residentMb, full.residentMb),
            compared(`${name}: CPU ms per second`, bare.cpuShare, full.cpuShare),
          ],
          raw: seen,
          problems: problemsOf(name, { floor: bare, gateway: full }),
        }
      }),
  }
}

/** Many streams at once: every one must arrive whole. */
export function concurrent(streams: number): Scenario {
  const name = `${figures(streams)} concurrent streams`
  const job: Omit<Job, 'url'> = {
    ...base,
    model: 'bench-paced',
    kind: 'stream',
    concurrency: streams,
    requests: streams,
    spreadMs: 1000,
  }
  return {
    name,
    run: (parts) =>
      withBoth(parts, async (floor, gateway) => {
        const bare = await measure(parts.loader, floor, job)
        const full = await measure(parts.loader, gateway, job)
        return {
          rows: [
            {
              scenario: `${name}: complete`,
              floor: figures(bare.ok),
              gateway: figures(full.ok),
              ratio: '–',
              target: `all ${figures(streams)}`,
              met: full.ok === streams && full.errors === 0,
            },
            plain(`${name}: first event, p99`, ms(bare.firstP99Us), ms(full.firstP99Us)),
          ],
          raw: [bare, full],
          problems: problemsOf(name, { floor: bare, gateway: full }),
        }
      }),
  }
}

/** From the start of the process to its first complete answer to a chat request. */
export function startTime(turns: number): Scenario {
  const name = 'start to first answer'
  const job = { ...base, concurrency: 1 }
  return {
    name,
    async run(parts) {
      const taken: [number[], number[]] = [[], []]
      for (let turn = 0; turn < turns; turn += 1) {
        for (const [index, start] of [parts.startFloor, parts.startGateway].entries()) {
          const startedAt = performance.now()
          const contender = await start()
          const result = await parts.loader.run(aimed(contender, job))
          const tookMs = performance.now() - startedAt
          await contender.stop()
          if (result.ok !== 1)
            throw new Error(`${contender.name}: ${result.firstError ?? 'no answer'}`)
          taken[index === 0 ? 0 : 1].push(tookMs)
        }
      }
      const bare = median(taken[0])
      const full = median(taken[1])
      const row: Row = {
        ...plain(`${name}, median of ${turns}`, `${figure(bare)} ms`, `${figure(full)} ms`),
        ratio: `${figure(full / bare)}×`,
        target: '≤ 150 ms',
        met: full <= 150,
      }
      return { rows: [row], raw: taken, problems: [] }
    },
  }
}

/** Memory after many requests and after as many again: the second lot must not add to it. */
export function memory(requests: number): Scenario {
  const name = 'memory'
  const limitMb = 120
  const flatShare = 0.05
  const job = { ...base, requests }
  return {
    name,
    run: (parts) =>
      withBoth(parts, async (floor, gateway) => {
        const taken = []
        for (const contender of [floor, gateway]) {
          const fresh = usage(contender)?.residentMb
          const first = await measure(parts.loader, contender, job)
          const second = await measure(parts.loader, contender, job)
          taken.push({ fresh, first, second })
        }
        const [bare, full] = taken
        if (!bare || !full) throw new Error('a contender was not measured')
        const after = full.first.residentMb
        const growth = difference(full.second.residentMb, after)
        const count = figures(requests)
        return {
          rows: [
            compared('memory MB, idle after start', bare.fresh, full.fresh),
            {
              ...compared(`memory MB, after ${count} requests`, bare.first.residentMb, after),
              target: `≤ ${limitMb} MB`,
              met: after === undefined ? undefined : after <= limitMb,
            },
            {
              ...plain(
                `memory MB, added by a further ${count}`,
                figure(difference(bare.second.residentMb, bare.first.residentMb)),
                figure(growth),
              ),
              target: `flat (≤ ${flatShare * 100} %)`,
              met:
                growth === undefined || after === undefined
                  ? undefined
                  : growth <= after * flatShare,
            },
          ],
          raw: taken,
          problems: [
            ...problemsOf(name, { floor: bare.first, gateway: full.first }),
            ...problemsOf(name, { floor: bare.second, gateway: full.second }),
          ],
        }
      }),
  }
}
