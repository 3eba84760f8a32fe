import { randomUUID } from 'node:crypto'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

import type { Secret } from '#lib/secret.ts'

import { connectThrough } from './socks.ts'

// `fetch` speaks to HTTP proxies only. For a SOCKS proxy it is given an HTTP one of this process, on loopback and behind
// a password of its own, which carries the bytes on.

const maxHeadBytes = 64 * 1024
/** Nothing was sent to the provider, and `dispatch.ts` takes it for that. */
const refusal = 'HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n'

/** Ways out by their passwords, which only this process knows. */
const exits = new Map<string, URL>()
const passwords = new Map<string, string>()
let server: Server | undefined

/** A provider's proxy as `fetch` and `WebSocket` take it. */
export function fetchProxy(proxyUrl: Secret | undefined): string | undefined {
  const url = proxyUrl?.reveal()
  return url?.startsWith('socks5:') ? tunnelTo(url) : url
}

function tunnelTo(url: string): string {
  let password = passwords.get(url)
  if (password === undefined) {
    password = randomUUID()
    passwords.set(url, password)
    exits.set(`Basic ${btoa(`tunnel:${password}`)}`, new URL(url))
  }
  server ??= start()
  return `http://tunnel:${password}@127.0.0.1:${(server.address() as AddressInfo).port}`
}

function start(): Server {
  const listening = createServer((client) => void carry(client)).listen(0, '127.0.0.1')
  // Without a handler it would end the process; the next call starts another one.
  listening.on('error', () => {
    if (server === listening) server = undefined
  })
  return listening.unref()
}

async function carry(client: Socket): Promise<void> {
  const left = new AbortController()
  client.on('error', () => client.destroy())
  client.on('close', () => left.abort())
  const asked = await headOf(client)
  const exit = asked && exits.get(asked.fields.get('proxy-authorization') ?? '')
  const wanted = asked && targetOf(asked)
  if (!asked || !exit || !wanted) {
    client.end(refusal)
    return
  }
  try {
    const provider = await connectThrough(exit, wanted, left.signal)
    provider.on('error', () => client.destroy())
    provider.on('close', () => client.destroySoon())
    client.on('close', () => provider.destroy())
    if (asked.method === 'CONNECT') client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    else provider.write(wanted.head)
    if (asked.rest.length > 0) provider.write(asked.rest)
    client.pipe(provider).pipe(client)
  } catch {
    // Hanging up would look like a provider who did, and who may have had the request.
    client.end(refusal)
  }
}

interface Head {
  readonly method: string
  readonly target: string
  readonly lines: readonly string[]
  /** By names in lower case. */
  readonly fields: ReadonlyMap<string, string>
  /** What came behind it. */
  readonly rest: Buffer
}

/** The head of the request; undefined when it is none. The socket is left paused. */
function headOf(client: Socket): Promise<Head | undefined> {
  const { promise, resolve } = Promise.withResolvers<Head | undefined>()
  let held = Buffer.alloc(0)
  const onData = (bytes: Buffer): void => {
    held = Buffer.concat([held, bytes])
    const end = held.indexOf('\r\n\r\n')
    if (end === -1 && held.length < maxHeadBytes) return
    client.off('data', onData).pause()
    if (end === -1) return resolve(undefined)
    const [line = '', ...lines] = held.toString('latin1', 0, end).split('\r\n')
    const [method = '', target = ''] = line.split(' ')
    const fields = new Map(
      lines.map((field) => {
        const colon = field.indexOf(':')
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
      }),
    )
    resolve({ method, target, lines, fields, rest: held.subarray(end + 4) })
  }
  client.on('data', onData).on('close', () => resolve(undefined))
  return promise
}

/** Where a request goes, and for one that is not about a tunnel how it begins there. */
function targetOf({
  method,
  target,
  lines,
}: Head): { readonly host: string; readonly port: number; readonly head: string } | undefined {
  const url = URL.parse(method === 'CONNECT' ? `https://${target}` : target)
  if (!url) return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port || (url.protocol === 'http:' ? 80 : 443))
  const kept = lines.filter((line) => !/^(?:proxy-[\w-]+|connection):/i.test(line))
  // A connection kept open would be taken for one to the proxy, and used for other hosts.
  const first = `${method} ${url.pathname}${url.search} HTTP/1.1`
  return { host, port, head: `${[first, ...kept, 'connection: close'].join('\r\n')}\r\n\r\n` }
}
