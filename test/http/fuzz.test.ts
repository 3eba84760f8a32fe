import { afterAll, beforeAll, expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts } from '#core/endpoint.ts'

import { expectUnharmed, startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { openRaw, parseAnswer } from './wire.ts'

// Whatever bytes arrive, the answer is never a 5xx of the gateway's own, and the gateway is there afterwards.
// `mistral` is not configured and `groq` lacks most operations, so that refusals are reached as well.

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ client: { max_request_body_size_mb: 1 } })
})
afterAll(() => rig[Symbol.asyncDispose]())

const numRuns = Number(process.env['ASBRU_FUZZ_RUNS'] ?? 300)

const routes = Object.values<EndpointFacts>(ENDPOINTS).flatMap(({ method, path }) =>
  ['/openai', '/openai/v1', '/openai/openai/v1'].map((prefix) => ({ method, path: prefix + path })),
)
const bytes = fc
  .uint8Array({ maxLength: 300 })
  .map((array) => Buffer.from(array).toString('latin1'))
const encoded = bytes.map((text) =>
  Buffer.from(text, 'latin1').toString('hex').replace(/../g, '%$&'),
)
const words = fc.constantFrom(
  ...[
    '',
    '.',
    '..',
    '%',
    '%00',
    '%0d%0a',
    '%2e%2e',
    '%2f',
    '%5c',
    '//',
    '?',
    '?stream=true',
    '?provider=',
    '?provider=groq',
    '&',
    '#',
    ':openai',
    'openai%2F',
    '\\',
  ],
)
const broken = fc.oneof(fc.constantFrom(' ', '\u0000', '\r\n'), bytes)
const segment = fc.oneof(
  { weight: 8, arbitrary: fc.webSegment() },
  { weight: 8, arbitrary: words },
  { weight: 3, arbitrary: encoded },
  { weight: 1, arbitrary: broken },
)
const target = fc.oneof(
  fc
    .tuple(fc.constantFrom(...routes), fc.array(segment, { maxLength: 3 }))
    .map(([route, more]) => ({
      method: route.method as string,
      path: route.path.replace(/\{[^}]*\}/g, () => more.shift() ?? 'id') + more.join(''),
    })),
  fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'FOO'),
      fc.constantFrom(
        '/',
        '/openai/',
        '/openai/v1/',
        '/openai/openai/deployments/',
        '/docs/',
        '/health',
        '',
      ),
      fc.array(segment, { maxLength: 4 }),
    )
    .map(([method, start, more]) => ({ method, path: start + more.join('/') })),
)

const names = [
  ...[
    'content-type',
    'content-encoding',
    'content-length',
    'transfer-encoding',
    'host',
    'origin',
    'expect',
    'upgrade',
    'connection',
    'range',
    'cookie',
  ],
  ...[
    'authorization',
    'x-api-key',
    'x-request-id',
    'x-model-provider',
    'x-bf-eh-x',
    'x-bf-list-models-provider',
    'x-bf-video-list-provider',
    'user-agent',
    'sec-websocket-protocol',
  ],
]
const values = [
  ...[
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=b',
    'text/plain',
    'gzip',
    'br',
    'identity',
    'chunked',
    '0',
    '5',
    '-1',
    '99999999',
  ],
  ...[
    'websocket',
    'Upgrade',
    '100-continue',
    'null',
    'http://localhost:1',
    'https://evil.example',
    'groq',
    'nobody',
    'all',
    'AzureOpenAI',
    'Bearer x',
    '__proto__',
  ],
]
const header = fc.tuple(
  fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...names) }, fc.string({ maxLength: 12 })),
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...values) },
    fc.string({ maxLength: 40 }),
    bytes,
  ),
)

const almostJson = fc
  .tuple(
    fc.dictionary(
      fc.oneof(
        fc.constantFrom(
          'model',
          'messages',
          'input',
          'prompt',
          'stream',
          'stream_options',
          'provider',
          'tools',
          'metadata',
          'fallbacks',
          '__proto__',
          'constructor',
        ),
        fc.string({ maxLength: 8 }),
      ),
      fc.oneof(
        fc.constantFrom<unknown>(
          'openai/echo',
          'groq/x',
          'mistral/x',
          '/',
          'openai/',
          true,
          null,
          [],
          {},
          [{ role: 'user', content: 'Hi' }],
          [null],
          1e308,
          -0,
        ),
        fc.jsonValue(),
      ),
    ),
    fc.nat(40),
    fc.boolean(),
  )
  .map(([value, cut, isCut]) => {
    const text = Buffer.from(JSON.stringify(value)).toString('latin1')
    return isCut ? text.slice(0, -cut) : text
  })
const almostForm = fc
  .array(
    fc.tuple(
      fc.constantFrom('model', 'file', 'provider', 'stream', 'purpose', 'x"', ''),
      fc.oneof(fc.constantFrom('openai/echo', 'groq/x', 'true', '--b', '\r\n--b--'), bytes),
      fc.boolean(),
    ),
    { maxLength: 5 },
  )
  .map((parts) => {
    const written = parts.map(
      ([name, value, isFile]) =>
        `--b\r\ncontent-disposition: form-data; name="${name}"${isFile ? '; filename="f"' : ''}\r\n\r\n${value}\r\n`,
    )
    return `${written.join('')}--b--\r\n`
  })
const body = fc.oneof(bytes, almostJson, almostForm, fc.constant(''))

const request = fc
  .tuple(target, fc.array(header, { maxLength: 3 }), body, fc.boolean())
  .map(([{ method, path }, headers, content, isFramed]) => {
    // Two lengths or two hosts are refused by Bun, which is not what most runs should find out.
    const own: [string, string][] = [['host', 'localhost']]
    if (isFramed) own.push(['content-length', String(content.length)])
    const more = headers.filter(
      ([name]) => !isFramed || !/^(?:host|content-length|transfer)/.test(name),
    )
    const lines = [...own, ...more].map(([name, value]) => `${name}: ${value}\r\n`)
    return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${content}`
  })

/** Round trips after which a request that has no answer is waiting for more of itself. */
const probes = 25
let reached = 0

/** What the gateway said before it hung up or began to wait for more. */
async function answerTo(sent: string): Promise<string> {
  const connection = await openRaw(rig.url)
  connection.send(sent)
  let left = probes
  const stop = (): void => {
    left = 0
  }
  void connection.until('\r\n\r\n').then(stop, stop)
  while (left-- > 0) expect((await fetch(`${rig.url}/health/live`)).status).toBe(200)
  connection.drop()
  return await connection.closed
}

test('no bytes get a 5xx of the gateway, or end it', async () => {
  await fc.assert(
    fc.asyncProperty(request, async (text) => {
      rig.upstream.clear()
      const received = await answerTo(text)
      const { status } = parseAnswer(received)
      if (received.includes('x-request-id')) reached++
      // 501 and 505 are Bun's own words about methods and versions; a provider's words are relayed as they are.
      const isOwnFault = status >= 500 && status !== 501 && status !== 505
      if (isOwnFault && !received.includes('"is_bifrost_error":false')) {
        throw new Error(`answered ${received.slice(0, 600)}`)
      }
    }),
    { numRuns },
  )
  // The requests were not all of the kind that is refused before anybody looks at it.
  expect(reached).toBeGreaterThan(numRuns / 10)
  rig.upstream.clear()
  await expectUnharmed(rig)
}, 120_000)

test('well-framed requests with any body to every operation', async () => {
  const posts = routes.filter(({ method }) => method === 'POST')
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...posts),
      body,
      fc.constantFrom('application/json', 'multipart/form-data; boundary=b', 'text/plain'),
      async ({ path }, content, contentType) => {
        rig.upstream.clear()
        const response = await fetch(rig.url + path.replace(/\{[^}]*\}/g, 'id'), {
          method: 'POST',
          headers: { 'content-type': contentType },
          body: Buffer.from(content, 'latin1'),
        })
        const text = await response.text()
        if (response.status >= 500) expect(text).toContain('"is_bifrost_error":false')
        if (text.includes('"is_bifrost_error":true')) {
          expect(rig.upstream.requests.length).toBe(0)
          expect(JSON.parse(text)).toMatchObject({ status_code: response.status })
        }
      },
    ),
    { numRuns },
  )
  rig.upstream.clear()
  await expectUnharmed(rig)
}, 120_000)
