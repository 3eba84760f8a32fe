import { afterAll, beforeAll, expect, test } from 'bun:test'
import { connect } from 'node:net'

import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

// Exports of more than a page, and of more than a socket takes at once.

const count = 60
const chars = 150_000
/** Longer than a page, whatever was kept of it. */
const longest = 'ü'.repeat(400_000)

let rig: LogRig

const said = (n: number): string => (n === 7 ? longest : `${n} `.repeat(chars / 4))

beforeAll(async () => {
  rig = await logRig()
  for (let n = 0; n < count; n++) {
    await rig.chat(
      { messages: [{ role: 'user', content: said(n) }] },
      { 'x-request-id': `call-${n}` },
    )
  }
})

afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const ids = Array.from({ length: count }, (_, n) => `call-${n}`)

function checked(text: string): void {
  const rows = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(rows.slice(0, count).map(({ id }) => id)).toEqual(ids)
  for (const [n, row] of rows.slice(0, count).entries()) {
    const [message] = row.input_history ?? []
    // A request that is longer than what is kept of it cannot be read any more.
    if (n !== 7) expect(message?.content === said(n)).toBeTrue()
  }
  expect(rows[7].raw_request?.length ?? JSON.stringify(rows[7]).length).toBeGreaterThan(200_000)
}

test('an export has pages of many calls and a call that is longer than a page', async () => {
  const answer = await fetch(`${rig.gateway.url}/api/logs/export`)
  checked(await answer.text())
})

test('an export has each page as it was for a reader who stops in the middle', async () => {
  const { port } = new URL(rig.gateway.url)
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const began = Promise.withResolvers<void>()
  const parts: Buffer[] = []
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', reject)
  socket.on('data', (part: Buffer) => {
    parts.push(part)
    began.resolve()
  })
  socket.on('end', () => resolve(Buffer.concat(parts)))
  socket.write('GET /api/logs/export HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  await began.promise
  socket.pause()
  // Meanwhile as many pages as the socket takes were asked for, and more.
  for (let n = 0; n < 20; n++) await rig.chat({}, { 'x-request-id': `later-${n}` })
  socket.resume()
  const answer = await promise
  const from = answer.indexOf('\r\n\r\n') + 4
  checked(unchunked(answer.subarray(from)))
})

/** The body of an answer that came in chunks (RFC 9112, 7.1). */
function unchunked(bytes: Buffer): string {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\r\n', at)
    const length = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (length === 0) break
    parts.push(bytes.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
  return Buffer.concat(parts).toString()
}
