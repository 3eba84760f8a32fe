import { connect, isIPv4, isIPv6 } from 'node:net'
import type { Socket } from 'node:net'

// The caller's half of SOCKS 5 (RFC 1928, with the user names of RFC 1929). Names are resolved by the proxy.

const version = 5
const noAuthentication = 0
const userAndPassword = 2
const connectCommand = 1

/** What a proxy may say to a request to connect. */
const refusals: Readonly<Record<number, string>> = {
  1: 'general failure',
  2: 'not allowed by its rules',
  3: 'network unreachable',
  4: 'host unreachable',
  5: 'connection refused',
}

/** Opens a connection to a host through `socks5://user:password@host:port`. Rejects when that does not work. */
export async function connectThrough(
  proxy: URL,
  target: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect(Number(proxy.port), bare(proxy.hostname))
  const give = (): void => void socket.destroy()
  signal.addEventListener('abort', give)
  if (signal.aborted) give()
  const reader = readerOf(socket)
  try {
    await greet(socket, reader, proxy)
    socket.write(request(target))
    const [, reply = 1, , kind] = await reader.take(4)
    if (reply !== 0) throw new Error(`the SOCKS proxy said: ${refusals[reply] ?? reply}`)
    // The address that the proxy goes out with, which nobody needs.
    const length = kind === 1 ? 4 : kind === 4 ? 16 : (await reader.take(1))[0]!
    await reader.take(length + 2)
    reader.release()
    return socket
  } catch (thrown) {
    socket.destroy()
    throw thrown
  } finally {
    signal.removeEventListener('abort', give)
  }
}

async function greet(socket: Socket, reader: Reader, proxy: URL): Promise<void> {
  const user = Buffer.from(decodeURIComponent(proxy.username))
  const password = Buffer.from(decodeURIComponent(proxy.password))
  const offered = user.length > 0 ? [noAuthentication, userAndPassword] : [noAuthentication]
  socket.write(Buffer.from([version, offered.length, ...offered]))
  const [spoken, method] = await reader.take(2)
  if (spoken !== version) throw new Error('this is no SOCKS 5 proxy')
  if (method === noAuthentication) return
  if (method !== userAndPassword || user.length === 0) {
    throw new Error('the SOCKS proxy wants another kind of authentication')
  }
  socket.write(Buffer.from([1, user.length, ...user, password.length, ...password]))
  const [, verdict] = await reader.take(2)
  if (verdict !== 0) throw new Error('the SOCKS proxy does not take this user and password')
}

function request({ host, port }: { readonly host: string; readonly port: number }): Buffer {
  return Buffer.from([version, connectCommand, 0, ...address(host), port >> 8, port & 0xff])
}

function address(host: string): number[] {
  if (isIPv4(host)) return [1, ...host.split('.').map(Number)]
  if (isIPv6(host)) return [4, ...sixteenBytes(host)]
  const name = Buffer.from(host)
  if (name.length > 255) throw new Error('the name of the host is too long')
  return [3, name.length, ...name]
}

function sixteenBytes(host: string): number[] {
  // A URL writes the last two groups as hexadecimal digits, too.
  const [head = '', tail] = bare(new URL(`http://[${host}]`).hostname).split('::')
  const groups = (text: string | undefined): number[] =>
    text ? text.split(':').map((group) => Number.parseInt(group, 16)) : []
  const [front, back] = [groups(head), groups(tail)]
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => 0)
  return [...front, ...zeros, ...back].flatMap((group) => [group >> 8, group & 0xff])
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}

interface Reader {
  /** So many bytes, once they are here. Rejects when the connection is over before. */
  take(count: number): Promise<Buffer>
  /** Leaves the socket to others, paused and with what has not been taken. */
  release(): void
}

function readerOf(socket: Socket): Reader {
  let held = Buffer.alloc(0)
  let failure: Error | undefined
  let wake: (() => void) | undefined
  const onData = (bytes: Buffer): void => {
    held = Buffer.concat([held, bytes])
    wake?.()
  }
  const onEnd = (thrown?: Error | boolean): void => {
    failure ??=
      thrown instanceof Error ? thrown : new Error('the SOCKS proxy closed the connection')
    wake?.()
  }
  socket.on('data', onData).on('error', onEnd).on('close', onEnd)
  return {
    async take(count) {
      while (held.length < count) {
        if (failure) throw failure
        const { promise, resolve } = Promise.withResolvers<void>()
        wake = resolve
        await promise
      }
      const taken = held.subarray(0, count)
      held = held.subarray(count)
      return taken
    },
    release() {
      socket.pause()
      socket.off('data', onData).off('close', onEnd)
      if (held.length > 0) socket.unshift(held)
    },
  }
}
