import { Database } from 'bun:sqlite'
import { join } from 'node:path'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

export interface LogRig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly upstream: Upstream
  readonly dbPath: string
  /** A chat completion of `openai/m`; the answer is read to its end. */
  chat(body?: object, headers?: Record<string, string>): Promise<{ status: number; text: string }>
  /** What a management route answers, parsed. */
  get(path: string, headers?: Record<string, string>): Promise<any>
  sql(sql: string, more?: object): Promise<{ status: number; body: any }>
}

export const KEY = 'sk-configured-canary-0123456789'

/** A gateway that keeps a log, in front of a fake provider. */
export async function logRig(config: object = {}): Promise<LogRig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    logs: true,
    config: {
      providers: {
        openai: {
          keys: [{ name: 'main', value: KEY }],
          network_config: { base_url: upstream.url, allow_private_network: true },
        },
      },
      ...config,
    },
  })
  return {
    gateway,
    upstream,
    dbPath: join(gateway.configPath, '..', 'logs.db'),
    async chat(body = {}, headers = {}) {
      const answer = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({
          model: 'openai/m',
          messages: [{ role: 'user', content: 'Hello there' }],
          ...body,
        }),
      })
      return { status: answer.status, text: await answer.text() }
    },
    async get(path, headers = {}) {
      const answer = await fetch(`${gateway.url}${path}`, { headers })
      return await answer.json()
    },
    async sql(sql, more = {}) {
      const answer = await fetch(`${gateway.url}/api/logs/sql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ sql, ...more }),
      })
      return { status: answer.status, body: await answer.json() }
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

/** Whether the file passes SQLite's own check. */
export function isSound(path: string): boolean {
  using sqlite = new Database(path, { readonly: true })
  const row = sqlite.query<{ integrity_check: string }, []>('PRAGMA integrity_check').get()
  return row?.integrity_check === 'ok'
}
