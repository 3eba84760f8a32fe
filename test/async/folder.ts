import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createJournal, spawned } from '../helpers/gateway.ts'
import { client } from './rig.ts'
import type { Rig } from './rig.ts'

/** A gateway as a process of its own. */
export interface Process extends Pick<Rig, 'post' | 'get' | 'ended'> {
  readonly url: string
  kill(): Promise<void>
  terminate(): Promise<void>
}

/** An app dir that outlives the processes that work in it. */
export interface Folder extends AsyncDisposable {
  readonly path: string
  start(): Promise<Process>
  /** Whether any file in it holds this text. */
  holds(text: string): boolean
}

const command = process.env['ASBRU_BINARY']
  ? [process.env['ASBRU_BINARY']]
  : [process.execPath, join(import.meta.dir, '../../src/main.ts')]

export function createFolder(upstreamUrl: string, config: object = {}): Folder {
  const path = mkdtempSync(join(tmpdir(), 'asbru-jobs-'))
  const configPath = join(path, 'config.json')
  const network = {
    base_url: upstreamUrl,
    allow_private_network: true,
    max_retries: 0,
  }
  const providers = { openai: { keys: [{ value: 'sk-provider-0123' }], network_config: network } }
  writeFileSync(configPath, JSON.stringify({ providers, ...config }))
  const open = new Set<Process>()
  return {
    path,
    async start() {
      const running = await spawned(command, configPath, {}, createJournal())
      const { url } = running
      const ended = (end: () => Promise<void>) => async () => {
        open.delete(own)
        await end()
      }
      const own: Process = {
        url,
        ...client(() => url),
        kill: ended(() => running.stop()),
        terminate: ended(() => running.drain()),
      }
      open.add(own)
      return own
    },
    holds: (text) =>
      readdirSync(path).some((name) => readFileSync(join(path, name)).includes(text)),
    async [Symbol.asyncDispose]() {
      await Promise.all([...open].map((process) => process.kill()))
      rmSync(path, { recursive: true, force: true })
    },
  }
}
