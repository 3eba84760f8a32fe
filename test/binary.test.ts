// What only the compiled file can get wrong. Runs when `ASBRU_BINARY` names it, as `bun run verify` does.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { APIError, OpenAI } from 'openai'

import manifest from '../package.json' with { type: 'json' }
import { buildCommand, targets } from '../src/build/build.ts'
import { createJournal } from './helpers/gateway.ts'
import { chunk, startRawUpstream } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'
import type { Upstream } from './helpers/upstream.ts'

const named = process.env['ASBRU_BINARY']
const binary = resolve(named ?? join('dist', 'asbru'))

describe('the build', () => {
  test('is made for every platform that the README names', () => {
    expect(targets.map(({ name, bun }) => `${name} ${bun}`)).toEqual([
      'asbru-linux-x64 bun-linux-x64',
      'asbru-linux-arm64 bun-linux-arm64',
      'asbru-linux-x64-musl bun-linux-x64-musl',
      'asbru-linux-arm64-musl bun-linux-arm64-musl',
      'asbru-darwin-arm64 bun-darwin-arm64',
      'asbru-darwin-x64 bun-darwin-x64',
      'asbru-windows-x64.exe bun-windows-x64',
    ])
  })

  test('leaves the settings of the folder it will run in alone, on every platform', () => {
    for (const target of [undefined, ...targets]) {
      const command = buildCommand('x', target)
      expect(command).toContain('--no-compile-autoload-dotenv')
      expect(command).toContain('--no-compile-autoload-bunfig')
      // Elysia reads the names of parameters.
      expect(command).not.toContain('--minify')
      expect(command).not.toContain('--minify-identifiers')
    }
  })
})

if (named !== undefined) {
  describe('the executable', onExecutable)
}

function onExecutable(): void {
  let dir: string
  const children = new Set<Bun.Subprocess>()

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'asbru-binary-'))
  })

  afterAll(() => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  })

  /** An empty folder. */
  function folder(name: string): string {
    const path = join(dir, name)
    mkdirSync(path)
    return path
  }

  function spawn(args: readonly string[], cwd = dir) {
    const child = Bun.spawn([binary, ...args], {
      cwd,
      env: { PATH: process.env['PATH'], HOME: cwd },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    children.add(child)
    return child
  }

  async function run(args: readonly string[], cwd?: string) {
    const child = spawn(args, cwd)
    const [stdout, stderr, exitCode] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
      child.exited,
    ])
    return { stdout, stderr, exitCode }
  }

  /** Starts the gateway and waits for its ready line. */
  async function serve(config?: object, cwd = mkdtempSync(join(dir, 'run-'))) {
    const file = join(cwd, 'gateway.json')
    if (config) writeFileSync(file, JSON.stringify(config))
    const args = [
      'serve',
      '--port',
      '0',
      '--host',
      '127.0.0.1',
      ...(config ? ['--config', file] : []),
    ]
    const child = spawn(args, cwd)
    const journal = createJournal()
    const output = forEachLine(child.stdout, journal.write)
    const ready = await Promise.race([
      journal.logged(({ url }) => typeof url === 'string'),
      child.exited.then(async (code) => {
        throw new Error(`the gateway ended with ${code}: ${await child.stderr.text()}`)
      }),
    ])
    const url = String(ready['url'])
    return { child, journal, output, ready, url, client: clientOf(url) }
  }

  test.each([[['version']], [['--version']], [['-v']]])('%p prints the version', async (args) => {
    const { stdout, stderr, exitCode } = await run(args)
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
    const [version, prices, ...more] = stdout.split('\n')
    expect(version).toBe(manifest.version)
    expect(prices).toMatch(/^prices of \d{4}-\d{2}-\d{2} /)
    expect(more).toEqual([''])
  })

  test.each([[['help']], [['--help']], [['serve', '-h']]])('%p prints the usage', async (args) => {
    const { stdout, stderr, exitCode } = await run(args)
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
    expect(stdout).toStartWith('Usage: asbru ')
  })

  test.if(process.platform === 'linux')(
    'its heap grows in small steps, and code is optimised late',
    async () => {
      const { child } = await serve()
      const environment = await Bun.file(`/proc/${child.pid}/environ`).text()
      expect(environment.split('\0')).toEqual(
        expect.arrayContaining([
          'BUN_JSC_heapGrowthMaxIncrease=1.2',
          'BUN_JSC_thresholdForOptimizeAfterWarmUp=5000',
        ]),
      )
      child.kill('SIGTERM')
      expect(await child.exited).toBe(0)
    },
  )

  test('an unknown command or flag is used wrongly', async () => {
    const command = await run(['sevre'])
    expect(command).toMatchObject({ stdout: '', exitCode: 2 })
    expect(command.stderr).toContain("'sevre'")
    const flag = await run(['--prot', '0'])
    expect(flag).toMatchObject({ stdout: '', exitCode: 2 })
    expect(flag.stderr).toMatch(/port"\?/)
  })

  test('the schema is printed', async () => {
    const { stdout, exitCode } = await run(['check', '--schema'])
    expect(exitCode).toBe(0)
    expect(Object.keys((JSON.parse(stdout) as { properties: object }).properties)).toContain(
      'providers',
    )
  })

  describe('in a hostile folder', () => {
    const hostile = `OPENAI_API_KEY=sk-not-yours\nAPP_PORT=1\nLOG_LEVEL=bogus\nASBRU_CONFIG=/nowhere\nBUN_CONFIG_MAX_HTTP_REQUESTS=1\n`
    let cwd: string

    beforeAll(() => {
      cwd = folder('hostile')
      for (const name of ['.env', '.env.local', '.env.production', '.env.development']) {
        writeFileSync(join(cwd, name), hostile)
      }
      const preload = 'preload = ["./preload.ts"]\n'
      writeFileSync(join(cwd, 'bunfig.toml'), `${preload}[run]\n${preload}[serve]\n${preload}`)
      const witness = JSON.stringify(join(cwd, 'preloaded'))
      writeFileSync(join(cwd, 'preload.ts'), `await Bun.write(${witness}, '')\n`)
      writeFileSync(join(cwd, 'config.json'), '{ "no": "configuration" }')
      writeFileSync(join(cwd, 'package.json'), '{ "type": "commonjs", broken')
    })

    test('nothing of it has an effect', async () => {
      const { child, ready, url } = await serve(undefined, cwd)
      expect(ready['providers']).toEqual({ mock: 'built in, no key needed' })
      expect(new URL(url).port).not.toBe('1')
      const answer = await clientOf(url).chat.completions.create(hello('mock/echo'))
      expect(answer.choices[0]?.message.content).toBe('Hello, bridge!')
      child.kill('SIGTERM')
      expect(await child.exited).toBe(0)
      const checked = await run(['check', '--json'], cwd)
      expect(JSON.parse(checked.stdout)).toMatchObject({ ok: true, warnings: [] })
      expect(checked.stdout).not.toContain('openai')
      expect(readdirSync(cwd)).not.toContain('preloaded')
    })
  })

  describe('without a configuration', () => {
    let gateway: Awaited<ReturnType<typeof serve>>
    beforeAll(async () => {
      gateway = await serve()
    })

    test('is the process that was started', () => {
      expect(gateway.ready['pid']).toBe(gateway.child.pid)
    })

    test('streams to the official SDK', async () => {
      const stream = await gateway.client.chat.completions.create({
        ...hello('mock/echo'),
        stream: true,
      })
      expect(await contentOf(stream)).toBe('Hello, bridge!')
    })

    test('serves the reference from inside itself', async () => {
      const get = async (path: string) => (await fetch(gateway.url + path)).text()
      const page = await get('/docs')
      expect(page).toContain('/docs/swagger-ui.js')
      // Imported with another type it would be that type for the gateway of the other tests, too.
      const css = Bun.resolveSync('swagger-ui-dist/swagger-ui.css', import.meta.dir)
      expect(await get('/docs/swagger-ui.css')).toBe(await Bun.file(css).text())
      expect(await get('/docs/swagger-ui.js')).toContain('SwaggerUIBundle')
      expect(await get('/docs/start.js')).toContain('SwaggerUIBundle')
      const document = JSON.parse(await get('/docs/json')) as { paths: object }
      expect(Object.keys(document.paths)).toContain('/openai/v1/chat/completions')
    })

    test('names no folder of the machine that built it', async () => {
      const bytes = Buffer.from(await Bun.file(binary).arrayBuffer())
      expect(bytes.includes(join(import.meta.dir, '..', 'node_modules'))).toBe(false)
    })
  })

  test('`asbru mock` serves faults until it is told to stop', async () => {
    const child = spawn(['mock', '--port', '0', '--host', '127.0.0.1', '--status', '429'])
    const journal = Promise.withResolvers<string>()
    const output = forEachLine(child.stdout, journal.resolve)
    const url = (await journal.promise).split(' ').at(-1)!
    const response = await fetch(`${url}/models`)
    expect(response.status).toBe(429)
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
    await output
  })

  describe('when it is told to stop during a stream', () => {
    /** A gateway whose provider has sent one event and waits for `gate`; the caller has read that event. */
    async function midStream(drainSeconds: number, gate: Promise<unknown>) {
      const upstream = await startUpstream()
      upstream.reply({
        sse: [event('one ', null), event('two', 'stop'), '[DONE]'],
        gate: [undefined, gate],
      })
      const gateway = await serve({
        client: { drain_timeout_in_seconds: drainSeconds },
        providers: { openai: providerAt(upstream.url) },
      })
      const stream = await gateway.client.chat.completions.create({ ...hello('gpt'), stream: true })
      const reader = stream[Symbol.asyncIterator]()
      const first = await reader.next()
      expect(first.value?.choices[0]?.delta.content).toBe('one ')
      const rest = { [Symbol.asyncIterator]: () => reader }
      return { ...gateway, upstream, rest }
    }

    const saidStop = ({ message }: Record<string, unknown>): boolean =>
      /^SIG(INT|TERM): finishing/.test(String(message))

    test('Ctrl-C lets the stream end by itself', async () => {
      const gate = Promise.withResolvers<void>()
      const { child, journal, rest, upstream } = await midStream(600, gate.promise)
      child.kill('SIGINT')
      await journal.logged(saidStop)
      gate.resolve()
      expect(await contentOf(rest)).toBe('two')
      expect(await child.exited).toBe(0)
      await upstream.stop()
    })

    test('the end of the drain window is an error event that the SDK raises', async () => {
      const { child, rest, upstream } = await midStream(0.2, new Promise(() => {}))
      child.kill('SIGINT')
      const failure = await contentOf(rest).catch((thrown: unknown) => thrown)
      expect(failure).toBeInstanceOf(APIError)
      expect((failure as APIError).message).toContain('shutting down')
      expect(await child.exited).toBe(0)
      await upstream.stop()
    })

    test('a second SIGTERM does not wait', async () => {
      const { child, journal, rest, upstream } = await midStream(600, new Promise(() => {}))
      child.kill('SIGTERM')
      await journal.logged(({ message }) => String(message).startsWith('a second signal'))
      child.kill('SIGTERM')
      expect(await child.exited).toBe(130)
      const failure = await contentOf(rest).catch((thrown: unknown) => thrown)
      expect(failure).toBeInstanceOf(Error)
      await upstream.stop()
    })
  })

  // Bun lets 256 requests out at once unless the process was started with a higher cap.
  test('2,000 streams are open at the provider at the same time, and all end well', async () => {
    const count = 2000
    const gate = Promise.withResolvers<void>()
    const head =
      'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
    const upstream = await startRawUpstream([
      head + chunk(`data: ${event('one ', null)}\n\n`),
      { wait: gate.promise },
      `${chunk(`data: ${event('two', 'stop')}\n\n`)}${chunk('data: [DONE]\n\n')}0\r\n\r\n`,
    ])
    const limits = { concurrency: count, buffer_size: count }
    const { child, url } = await serve({
      providers: { openai: { ...providerAt(upstream.url), concurrency_and_buffer_size: limits } },
    })
    const body = JSON.stringify({ ...hello('gpt'), stream: true })
    const answers = Array.from({ length: count }, () => post(url, body))
    await upstream.waitFor(count)
    gate.resolve()
    const endings = new Map<string, number>()
    for (const answer of await Promise.all(answers)) {
      const text = answer.replaceAll(/^[0-9a-f]+\r\n|\r\n(?=[0-9a-f]*\r\n)/gm, '')
      const good = /^HTTP\/1\.1 200 .*"one ".*"two".*\ndata: \[DONE\]\n/s.test(text)
      const ending = good ? 'well' : text
      endings.set(ending, (endings.get(ending) ?? 0) + 1)
    }
    expect([...endings]).toEqual([['well', count]])
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
    await upstream.stop()
  })
}

function hello(model: string) {
  return { model, messages: [{ role: 'user' as const, content: 'Hello, bridge!' }] }
}

function clientOf(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/openai`, apiKey: 'dummy-key', maxRetries: 0 })
}

function providerAt(url: Upstream['url']) {
  return {
    keys: [{ name: 'k', value: 'sk-provider', models: ['*'], weight: 1 }],
    network_config: { base_url: url },
  }
}

function event(content: string, finish: string | null): string {
  const choice = { index: 0, delta: { content }, finish_reason: finish }
  return JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [choice],
  })
}

async function contentOf(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<string> {
  let text = ''
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
  return text
}

/** One request over a connection of its own, which `fetch` would share and limit; resolves with all that came back. */
function post(url: string, body: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const { promise, resolve: settle, reject } = Promise.withResolvers<string>()
  let text = ''
  void Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open(socket) {
        socket.write(
          `POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        )
      },
      data(socket, bytes) {
        text += bytes.toString('latin1')
        if (text.endsWith('\r\n0\r\n\r\n')) socket.end()
      },
      close: () => settle(text),
      error: (_, error) => reject(error),
    },
  }).catch(reject)
  return promise
}

async function forEachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
}
