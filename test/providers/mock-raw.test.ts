import { expect, test } from 'bun:test'

import { RAW, type RawScript, refusedUrl, startRawUpstream } from '../helpers/upstream.ts'

async function outcome(url: string): Promise<string> {
  try {
    const response = await fetch(url, { method: 'POST', body: 'hello' })
    try {
      return `${response.status} ${await response.text()}`
    } catch (error) {
      return `${response.status} then ${(error as { code?: string }).code}`
    }
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

test.each<[keyof typeof RAW, RegExp]>([
  ['resetBeforeHeaders', /^ECONNRESET$/],
  ['closeBeforeHeaders', /^ECONNRESET$/],
  ['cutInHeaders', /^ECONNRESET$/],
  ['resetMidStream', /^200 then /],
  ['truncatedChunk', /^200 then /],
  ['missingLastChunk', /^200 then /],
  ['badChunkSize', /InvalidHTTPResponse|then/],
  ['endlessHeaders', /^\w+$/],
  ['endlessHeader', /^\w+$/],
  ['garbage', /^\w+$/],
  ['shortBody', /^200 then /],
])('%s is what a client sees as that', async (name, expected) => {
  await using upstream = await startRawUpstream(RAW[name])
  expect(await outcome(upstream.url)).toMatch(expected)
  const [request] = await upstream.waitFor(1)
  expect(request).toStartWith('POST / HTTP/1.1\r\n')
  expect(request).toEndWith('\r\n\r\nhello')
})

test('a refused address refuses', async () => {
  expect(await outcome(refusedUrl())).toMatch(/ConnectionRefused|ECONNREFUSED/)
})

const counting: RawScript = (index) => [
  `HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${index}`,
  ...(index === 1 ? [{ close: 'end' } as const] : []),
]

test('a script may differ from request to request on one connection', async () => {
  await using upstream = await startRawUpstream(counting)
  expect(await outcome(upstream.url)).toBe('200 0')
  expect(await outcome(upstream.url)).toBe('200 1')
  expect(upstream.connections).toBe(1)
  await upstream.closed
})

test('a silent server notices that its client has left', async () => {
  await using upstream = await startRawUpstream(RAW.silent)
  const leaving = new AbortController()
  const asking = fetch(upstream.url, { signal: leaving.signal }).catch((error: Error) => error.name)
  await upstream.waitFor(1)
  leaving.abort()
  expect(await asking).toBe('AbortError')
  await upstream.closed
})

test('a script can speak before it is spoken to', async () => {
  await using upstream = await startRawUpstream(['\u0015\u0003\u0001', { close: 'reset' }], {
    on: 'connect',
  })
  expect(await outcome(upstream.url)).toMatch(/^\w+$/)
})
