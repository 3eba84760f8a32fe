import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'

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
