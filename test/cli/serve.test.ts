import { describe, expect, test } from 'bun:test'
import { renameSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'
import { openRaw } from '../http/wire.ts'
import { COMMAND, run, scratch, serve } from './program.ts'

const chat = (url: string, body: object): Promise<Response> =>
  fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], ...body }),
  })

const hasLoopback6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1')

const config = (upstream: Upstream, more: object = {}): string =>
  JSON.stringify(
    {
      providers: {
        openai: {
          keys: [{ name: 'k', value: 'sk-0123456789', weight: 1 }],
          network_config: { base_url: upstream.url, allow_private_network: true },
        },
        ...more,
      },
    },
    null,
    2,
  )

describe('a start', () => {
  test('without anything answers, and says what it found', async () => {
    using dir = scratch()
    await using program = await serve(['--app-dir', dir.path])
    expect(program.ready).toMatchObject({
      level: 'info',
      pid: program.pid,
      providers: { mock: 'built in, no key needed' },
    })
    expect(String(program.ready['message'])).toContain(`${program.url}/openai`)
    expect(program.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
    const answer = await chat(program.url, { model: 'mock/echo' })
    expect(await answer.json()).toMatchObject({ choices: [{ message: { role: 'assistant' } }] })
  })

  test('refuses large headers with an answer in the envelope, where Bun alone would send a bare 431', async () => {
    using dir = scratch()
    await using program = await serve(['--app-dir', dir.path])
    const headers = { 'x-large': 'a'.repeat(70_000) }
    const answer = await fetch(`${program.url}/openai/v1/models`, { headers })
    expect(answer.status).toBe(431)
    expect(await answer.json()).toMatchObject({
      is_bifrost_error: true,
      status_code: 431,
      error: { type: 'invalid_request_error', code: 'headers_too_large' },
    })
    expect(
      (await fetch(`${program.url}/health`, { headers: { 'x-a': 'a'.repeat(40_000) } })).status,
    ).toBe(200)
  })

  test('goes through the proxy of the environment, but not where the configuration says otherwise', async () => {
    await using proxy = await startUpstream()
    await using upstream = await startUpstream()
    using dir = scratch()
    const to = (base_url: string, more: object = {}): object => ({
      keys: [{ value: 'sk-0123456789', weight: 1 }],
      network_config: { base_url },
      ...more,
    })
    const text = JSON.stringify({
      providers: { openai: to('http://llm.example.com'), groq: to(upstream.url) },
    })
    writeFileSync(`${dir.path}/config.json`, text)
    const env = { HTTP_PROXY: proxy.url, http_proxy: proxy.url }
    await using program = await serve(['--app-dir', dir.path], { env })
    expect((await chat(program.url, { model: 'openai/echo' })).status).toBe(200)
    expect(proxy.requests.length).toBe(1)
    expect((await chat(program.url, { model: 'groq/echo' })).status).toBe(200)
    expect(upstream.requests.length).toBe(1)
    expect(proxy.requests.length).toBe(1)
  })

  test('finds keys in the environment and never prints them', async () => {
    using dir = scratch()
    const env = { OPENAI_API_KEY: 'sk-env-0123456789', GROQ_API_KEY: 'gsk-env-0123456789' }
    await using program = await serve(['-app-dir', dir.path], { env })
    expect(program.ready['providers']).toMatchObject({
      openai: 'environment, 1 key(s)',
      groq: 'environment, 1 key(s)',
    })
    expect(JSON.stringify(program.logs)).not.toContain('0123456789')
  })

  test('takes Bifrost’s single dashes and variables', async () => {
    using dir = scratch()
    for (const [args, env] of [
      [['-app-dir', dir.path, '-log-level=warn', '-log-style', 'json'], {}],
      [[], { BIFROST_APP_DIR: dir.path, BIFROST_LOG_LEVEL: 'warn' }],
      [[], { APP_DIR: dir.path, LOG_LEVEL: 'warn', LOG_STYLE: 'json' }],
      [[], { ASBRU_APP_DIR: dir.path, APP_DIR: '/nowhere' }],
    ] as const) {
      await using program = await serve(args, { env })
      expect(String(program.ready['config'])).toContain(dir.path)
    }
  })

  test('on a port that is taken fails and says so', async () => {
    using dir = scratch()
    using other = scratch()
    await using program = await serve(['--app-dir', dir.path])
    const { port } = new URL(program.url)
    const second = await run([
      'serve',
      '--host',
      '127.0.0.1',
      '--port',
      port,
      '--app-dir',
      other.path,
    ])
    expect({ code: second.code, stdout: second.stdout }).toEqual({ code: 1, stdout: '' })
    expect(second.stderr).toContain(`127.0.0.1:${port}`)
    expect(second.stderr.trim().split('\n').length).toBe(1)
  })

  test('on a host that is none fails and says so', async () => {
    using dir = scratch()
    const { code, stderr } = await run([
      'serve',
      '--host',
      'host.invalid',
      '--port',
      '0',
      '--app-dir',
      dir.path,
    ])
    expect(code).toBe(1)
    expect(stderr).toContain('host.invalid')
  })

  test('with a broken configuration lists every problem and starts nothing', async () => {
    using dir = scratch()
    writeFileSync(dir.file('config.json'), '{\n  "nope": 1,\n  "client": {"extra_fields": 5}\n}')
    const { code, stdout, stderr } = await run(['serve', '--port', '0', '--app-dir', dir.path])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(`${dir.file('config.json')}:2:3 /nope`)
    expect(stderr).toContain('/client/extra_fields')
  })

  test('with a configuration that is not there fails, but only when it was named', async () => {
    using dir = scratch()
    const { code, stderr } = await run(['serve', '--port', '0', '--config', dir.file('none.json')])
    expect(code).toBe(1)
    expect(stderr).toContain(dir.file('none.json'))
  })

  test.skipIf(!hasLoopback6)('at an address in brackets says where it is', async () => {
    using dir = scratch()
    for (const host of ['::1', '[::1]']) {
      await using program = await serve(['--host', host, '--app-dir', dir.path])
      expect(program.url).toStartWith('http://[::1]:')
      expect((await fetch(`${program.url}/health`)).status).toBe(200)
    }
  })

  test('in pretty style is readable', async () => {
    using dir = scratch()
    const child = Bun.spawn(
      [...COMMAND, '--port', '0', '--log-style', 'pretty', '--app-dir', dir.path],
      { env: { PATH: process.env['PATH'] }, stdout: 'pipe', stderr: 'ignore' },
    )
    let text = ''
    for await (const chunk of child.stdout) {
      text += new TextDecoder().decode(chunk)
      if (text.includes('mock')) break
    }
    child.kill('SIGKILL')
    await child.exited
    expect(text).toMatch(/^Asbru \d/)
    expect(text).toContain('built in, no key needed')
  })
})

describe('an end', () => {
  test('SIGTERM lets what is under way finish', async () => {
    using dir = scratch()
    await using upstream = await startUpstream()
    writeFileSync(dir.file('config.json'), config(upstream))
    await using program = await serve(['--app-dir', dir.path])
    const release = Promise.withResolvers<void>()
    upstream.reply({ sse: [delta('a'), delta('b', 'stop'), '[DONE]'], gate: release.promise })
    const response = await chat(program.url, { model: 'm', stream: true })
    const reader = response.body!.getReader()
    expect(decode(await reader.read())).toContain('"content":"a"')
    program.kill('SIGTERM')
    await program.logged(({ message }) => String(message).startsWith('SIGTERM'))
    // Still listening, to say that it takes no more.
    const late = await chat(program.url, { model: 'm' })
    expect(late.status).toBe(503)
    expect(await late.json()).toMatchObject({ error: { code: 'shutting_down' } })
    release.resolve()
    let rest = ''
    for (;;) {
      const read = await reader.read()
      if (read.done) break
      rest += decode(read)
    }
    expect(rest).toContain('"content":"b"')
    expect(rest).toEndWith('data: [DONE]\n\n')
    expect(await program.exited).toEqual({ code: 0, signal: null })
    expect(program.logs.at(-1)).toMatchObject({ message: 'stopped' })
  })

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s with nothing under way ends at once',
    async (signal) => {
      using dir = scratch()
      await using program = await serve(['--app-dir', dir.path])
      program.kill(signal)
      expect(await program.exited).toEqual({ code: 0, signal: null })
    },
  )

  test('a second signal waits for nobody', async () => {
    using dir = scratch()
    await using upstream = await startUpstream()
    writeFileSync(dir.file('config.json'), config(upstream))
    await using program = await serve(['--app-dir', dir.path])
    const never = Promise.withResolvers<void>()
    upstream.reply({ sse: [delta('a'), '[DONE]'], gate: never.promise })
    const response = await chat(program.url, { model: 'm', stream: true })
    const reader = response.body!.getReader()
    await reader.read()
    program.kill('SIGTERM')
    await program.logged(({ message }) => String(message).startsWith('a second signal'))
    program.kill('SIGTERM')
    expect(await program.exited).toEqual({ code: 130, signal: null })
    await reader.cancel().catch(() => undefined)
    never.resolve()
  })

  // As after Ctrl-C in a terminal where `bun run start` was typed: the terminal and `bun run` both send it.
  test('a signal that arrives twice is one', async () => {
    using dir = scratch()
    await using upstream = await startUpstream()
    writeFileSync(dir.file('config.json'), config(upstream))
    await using program = await serve(['--app-dir', dir.path])
    const release = Promise.withResolvers<void>()
    upstream.reply({ sse: [delta('a'), delta('b', 'stop'), '[DONE]'], gate: release.promise })
    const response = await chat(program.url, { model: 'm', stream: true })
    const text = response.text()
    program.kill('SIGINT')
    program.kill('SIGTERM')
    await program.logged(({ message }) => String(message).startsWith('a second signal'))
    release.resolve()
    expect(await text).toEndWith('data: [DONE]\n\n')
    expect(await program.exited).toEqual({ code: 0, signal: null })
    const said = program.logs.filter(({ message }) => String(message).startsWith('SIG'))
    expect(said).toHaveLength(1)
  })

  test('a request whose body is still coming is taken', async () => {
    using dir = scratch()
    await using program = await serve(['--app-dir', dir.path])
    const body = JSON.stringify({ model: 'mock/echo', messages: [{ role: 'user', content: 'Hi' }] })
    const connection = await openRaw(program.url)
    connection.send(
      `POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
    )
    await connection.until('100 Continue')
    program.kill('SIGTERM')
    await program.logged(({ message }) => String(message).startsWith('SIGTERM'))
    connection.send(body.slice(10))
    await connection.until('"choices"')
    expect(await program.exited).toEqual({ code: 0, signal: null })
  })
})

describe('its output', () => {
  test('has no reader any more, and nothing happens', async () => {
    using dir = scratch()
    const child = Bun.spawn(
      [
        ...COMMAND,
        '--host',
        '127.0.0.1',
        '--port',
        '0',
        '--log-level',
        'debug',
        '--app-dir',
        dir.path,
      ],
      { env: { PATH: process.env['PATH'] }, stdout: 'pipe', stderr: 'ignore' },
    )
    const reader = child.stdout.getReader()
    const first = decode(await reader.read())
    await reader.cancel()
    const { url } = JSON.parse(first.split('\n')[0]!) as { url: string }
    for (let i = 0; i < 50; i++) {
      const response = await chat(url, { model: 'mock/echo' })
      expect(response.status).toBe(200)
      await response.text()
    }
    expect(child.exitCode).toBeNull()
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
  })

  test.each([[['help']], [['check', '--schema']], [['version']]])(
    'of %j has no reader',
    async (args) => {
      const child = Bun.spawn([...COMMAND, ...args], {
        env: { PATH: process.env['PATH'] },
        stdout: 'pipe',
        stderr: 'pipe',
      })
      await child.stdout.cancel()
      const stderr = await new Response(child.stderr).text()
      expect(stderr).toBe('')
      expect(await child.exited).toBe(0)
    },
  )
})

describe('the file, while it runs', () => {
  test('a valid change is taken, without a cut in what is under way', async () => {
    using dir = scratch()
    await using first = await startUpstream()
    await using second = await startUpstream()
    writeFileSync(dir.file('config.json'), config(first))
    await using program = await serve(['--app-dir', dir.path])
    const release = Promise.withResolvers<void>()
    first.reply({ sse: [delta('a'), delta('b', 'stop'), '[DONE]'], gate: release.promise })
    const stream = await chat(program.url, { model: 'm', stream: true })
    const reader = stream.body!.getReader()
    await reader.read()

    // As editors save: a new file in the place of the old one.
    writeFileSync(dir.file('config.json.new'), config(second))
    renameSync(dir.file('config.json.new'), dir.file('config.json'))
    await program.logged(({ message }) => message === 'configuration changed')
    await (await chat(program.url, { model: 'm' })).text()
    expect([first.requests.length, second.requests.length]).toEqual([1, 1])

    release.resolve()
    let rest = ''
    for (;;) {
      const read = await reader.read()
      if (read.done) break
      rest += decode(read)
    }
    expect(rest).toContain('"content":"b"')
    expect(rest).toEndWith('data: [DONE]\n\n')
  })

  test('a broken change is told with its place, and what ran goes on', async () => {
    using dir = scratch()
    await using upstream = await startUpstream()
    writeFileSync(dir.file('config.json'), config(upstream))
    await using program = await serve(['--app-dir', dir.path])
    writeFileSync(dir.file('config.json'), config(upstream, { groq: { keyz: [] } }))
    const line = await program.logged(({ level }) => level === 'error')
    const broken = config(upstream, { groq: { keyz: [] } }).split('\n')
    expect(line).toMatchObject({
      path: dir.file('config.json'),
      problems: [
        {
          pointer: '/providers/groq/keyz',
          line: broken.findIndex((text) => text.includes('keyz')) + 1,
        },
      ],
    })
    expect((await chat(program.url, { model: 'm' })).status).toBe(200)
    const health = await (await fetch(`${program.url}/health`)).json()
    expect(health).toMatchObject({ components: { config_generation: 1 } })

    // Mended, it is taken again.
    writeFileSync(dir.file('config.json'), config(upstream, { groq: { keys: [] } }))
    await program.logged(({ message }) => message === 'configuration changed')
  })
})

function decode({ value }: { value?: Uint8Array | undefined }): string {
  return new TextDecoder().decode(value)
}

function delta(content: string, finish: string | null = null): string {
  return JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
  })
}

test.each<[string[], number]>([
  [[], 403],
  [['--host', 'localhost'], 403],
  [['--host', '0.0.0.0'], 200],
])('with %j what is read under another name is answered with %d', async (args, status) => {
  using dir = scratch()
  await using program = await serve(['--app-dir', dir.path, ...args])
  const url = `http://127.0.0.1:${new URL(program.url).port}/openai/v1/models`
  const named = (host: string) => fetch(url, { headers: { host } }).then((answer) => answer.status)
  expect([await named('llm.example.com'), await named('127.0.0.1')]).toEqual([status, 200])
})
