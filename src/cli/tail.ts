import type { Environment } from '#config/reference.ts'

import { parseFlags } from './flags.ts'
import { failedOutput } from './output.ts'

/**
 * `asbru tail`: prints each call of a running gateway once it is over. Ends with the gateway, or when nobody reads on.
 * Returns the exit code.
 */
export async function tail(argv: readonly string[], env: Environment): Promise<number> {
  const parsed = parseFlags(argv, env, { json: 'boolean' })
  if (!parsed.ok || parsed.positionals.length > 0) {
    console.error(
      `asbru: ${parsed.ok ? 'tail takes no arguments.' : parsed.message}\nSee asbru help.`,
    )
    return 2
  }
  const { host, port } = parsed.flags
  // What listens everywhere listens on this machine, too.
  const name = /^(?:0\.0\.0\.0|::|\[::\])$/.test(host) ? 'localhost' : host
  const url = `ws://${name.includes(':') && !name.startsWith('[') ? `[${name}]` : name}:${port}/ws`
  const { promise, resolve } = Promise.withResolvers<number>()
  const socket = new WebSocket(url)
  let isOpen = false
  let written: Promise<unknown> = Promise.resolve()
  socket.addEventListener('open', () => {
    isOpen = true
    console.error(`asbru: watching the calls of ${url}`)
  })
  socket.addEventListener('message', ({ data }) => {
    const { type, payload } = JSON.parse(String(data)) as { type: string; payload: Row }
    if (type === 'log' && payload.status !== 'processing') {
      const text = parsed.own['json'] === true ? `${JSON.stringify(payload)}\n` : line(payload)
      written = written.then(() => Bun.write(Bun.stdout, text))
      written.catch((thrown: unknown) => resolve(failedOutput(thrown)))
    }
  })
  socket.addEventListener('close', () => {
    if (!isOpen) console.error(`asbru: no gateway that keeps a log answers at ${url}.`)
    // What came last may still be on its way out.
    void written.then(() => resolve(isOpen ? 0 : 1))
  })
  return await promise
}

interface Row {
  readonly timestamp: string
  readonly status: string
  readonly status_code: number
  readonly object: string
  readonly provider: string
  readonly model: string | null
  readonly latency: number
  readonly total_tokens: number | null
  readonly content_summary: string | null
  readonly error_details: { readonly message?: string } | null
}

/** Where the call went; of what was refused before it went anywhere, what was asked for. */
function placeOf({ provider, model }: Row): string {
  if (provider === '') return model ?? '-'
  return `${provider}/${model?.replace(`${provider}/`, '') ?? ''}`
}

function line(row: Row): string {
  const said = row.error_details?.message ?? row.content_summary ?? ''
  const text = [
    row.timestamp.slice(11, 23),
    String(row.status_code),
    `${Math.round(row.latency)}ms`.padStart(8),
    row.object,
    placeOf(row),
    row.total_tokens === null ? '' : `${row.total_tokens} tokens`,
    said.slice(0, 100),
  ].join('  ')
  // What callers and models write may try to move the cursor of a terminal.
  return `${text.replaceAll(/\p{Cc}+/gu, ' ').trimEnd()}\n`
}
