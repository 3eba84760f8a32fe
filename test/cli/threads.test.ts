import { expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'

import { startUpstream } from '../helpers/upstream.ts'
import { scratch, serve } from './program.ts'

const normal = 0
const batch = 3
const idle = 5

/** The scheduling policies of the process's threads by their names; proc_pid_stat(5), field 41. */
function policies(pid: number): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    const [name = '', rest = ''] = stat.slice(stat.indexOf('(') + 1).split(') ')
    found.set(name, [...(found.get(name) ?? []), Number(rest.split(' ')[41 - 3])])
  }
  return found
}

/** How long the turns of the process's threads are, in nanoseconds, by their names; empty where Linux does not tell. */
function turns(pid: number): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const path = `/proc/${pid}/task/${thread}/sched`
    const said = existsSync(path) ? readFileSync(path, 'utf8') : ''
    const [, ns] = /^se\.slice\s*:\s*(\d+)/m.exec(said) ?? []
    if (ns === undefined) continue
    const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim()
    found.set(name, [...(found.get(name) ?? []), Number(ns)])
  }
  return found
}

/** Only since Linux 6.12 a thread may ask for its turns. */
const [major = 0, minor = 0] = release().split('.').map(Number)
const mayAsk = process.platform === 'linux' && (major > 6 || (major === 6 && minor >= 12))

test.if(mayAsk && turns(process.pid).size > 0)(
  'the thread that answers calls takes short turns, those that it started the usual ones',
  async () => {
    using dir = scratch()
    await using program = await serve(['--app-dir', dir.path])
    const answer = await fetch(`${program.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mock/echo', messages: [{ role: 'user', content: 'Hi' }] }),
    })
    expect(await answer.json()).toMatchObject({ object: 'chat.completion' })
    expect(await (await fetch(`${program.url}/api/logs`)).json()).toHaveProperty('logs')
    const main = readFileSync(`/proc/${program.pid}/task/${program.pid}/comm`, 'utf8').trim()
    const { [main]: own, Worker: workers = [] } = Object.fromEntries(turns(program.pid))
    expect(own).toEqual([500_000])
    expect(workers.length).toBeGreaterThan(0)
    for (const turn of workers) expect(turn).toBeGreaterThan(500_000)
  },
)

test.if(process.platform === 'linux')(
  'the threads that send requests and write the log work in batches, the one that searches it when a core is idle',
  async () => {
    using dir = scratch()
    await using upstream = await startUpstream()
    const config = `${dir.path}/config.json`
    await Bun.write(
      config,
      JSON.stringify({
        providers: {
          openai: {
            keys: [{ name: 'k', value: 'sk-0123456789', weight: 1 }],
            network_config: { base_url: upstream.url, allow_private_network: true },
          },
        },
      }),
    )
    await using program = await serve(['--app-dir', dir.path, '--config', config])
    const answer = await fetch(`${program.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'openai/echo', messages: [{ role: 'user', content: 'Hi' }] }),
    })
    expect(answer.status).toBe(200)
    await answer.text()
    const page = (await (await fetch(`${program.url}/api/logs`)).json()) as { logs: unknown[] }
    expect(page.logs).toHaveLength(1)
    const servants = (): unknown =>
      ['HTTP Client', 'Worker'].map((name) => policies(program.pid).get(name))
    while (!Bun.deepEquals(servants(), [[batch], [batch, idle]])) await Bun.sleep(20)
    const main = readFileSync(`/proc/${program.pid}/task/${program.pid}/comm`, 'utf8').trim()
    expect(policies(program.pid).get(main)).toEqual([normal])
  },
)
