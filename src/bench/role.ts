// The parts of a benchmark that run in processes of their own, so that each can be pinned and measured alone.
// A part lives as long as its standard input: when the parent dies, however it dies, so does the part.

import { fillLog, type FillOrder } from './filling.ts'
import { parseLine } from './fleet.ts'
import { startFloor } from './floor.ts'
import { isJob, isRelease } from './job.ts'
import { type Running, startLoad } from './load.ts'
import { startUpstream } from './upstream.ts'

/** `bench-role upstream`, `bench-role floor UPSTREAM_URL`, `bench-role load` or `bench-role log ORDER`; returns the exit code. */
export async function runRole(args: readonly string[]): Promise<number> {
  const [role, url] = args
  switch (role) {
    case 'upstream': {
      const upstream = startUpstream()
      say({ url: upstream.url })
      await untilInputEnds(() => {})
      upstream.stop()
      return 0
    }
    case 'floor': {
      if (url === undefined) break
      const floor = startFloor(url)
      say({ url: floor.url })
      await untilInputEnds(() => {})
      floor.stop()
      return 0
    }
    case 'load': {
      let running: Running | undefined
      say({ ready: true })
      await untilInputEnds((line) => {
        const order = parseLine(line)
        if (order === undefined) return
        if (isRelease(order)) {
          running?.release()
        } else if (isJob(order)) {
          running = startLoad(order, (held) => say({ held }))
          void running.done.then(say)
        }
      })
      return 0
    }
    case 'log': {
      if (url === undefined) break
      say(fillLog(JSON.parse(url) as FillOrder))
      return 0
    }
    case undefined:
    default:
      break
  }
  console.error('bench-role takes one of: upstream, floor URL, load, log ORDER')
  return 2
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

async function untilInputEnds(onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of Bun.stdin.stream()) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
}
