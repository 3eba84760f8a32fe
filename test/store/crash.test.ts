import { Database } from 'bun:sqlite'
import { expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync } from 'node:fs'

import { OpenAI } from 'openai'

import { scratch, serve } from '../cli/program.ts'
import type { Serving } from '../cli/program.ts'
import { startUpstream } from '../helpers/upstream.ts'

// The program as a process, from the outside: what it keeps when it is killed, and when it is asked to stop.

// Each starts the program several times, on a machine that may be busy.
setDefaultTimeout(60_000)

function clientOf({ url }: Serving): OpenAI {
  return new OpenAI({ apiKey: 'x', baseURL: `${url}/openai`, maxRetries: 0 })
}

async function configured(upstreamUrl: string, file: string): Promise<void> {
  const provider = { keys: [{ value: 'k' }], network_config: { base_url: upstreamUrl } }
  await Bun.write(file, JSON.stringify({ providers: { cerebras: provider } }))
}

function check(path: string): unknown {
  const file = new Database(path)
  try {
    return file.query('PRAGMA integrity_check').get()
  } finally {
    file.close()
  }
}

test('killed at any moment, it keeps every response whose end a client has seen', async () => {
  await using upstream = await startUpstream()
  using dir = scratch()
  await configured(upstream.url, dir.file('config.json'))
  const seen: { id: string; text: string }[] = []
  for (let round = 0; round < 3; round++) {
    await using gateway = await serve(['--app-dir', dir.path])
    const client = clientOf(gateway)
    const enough = Promise.withResolvers<void>()
    let count = 0
    const work = async (worker: number): Promise<void> => {
      for (let n = 0; ; n++) {
        const body = { model: 'cerebras/llama', input: `${round} ${worker} ${n}` }
        const stream = await client.responses.create({ ...body, stream: true })
        for await (const event of stream) {
          if (event.type !== 'response.completed') continue
          seen.push({ id: event.response.id, text: body.input })
          if (++count === 40) enough.resolve()
        }
      }
    }
    // Each ends with the connection, in the middle of something.
    const workers = [1, 2, 3, 4].map((worker) => work(worker).catch(() => undefined))
    await enough.promise
    gateway.kill('SIGKILL')
    await gateway.exited
    await Promise.all(workers)
  }
  expect(check(dir.file('asbru.db'))).toEqual({ integrity_check: 'ok' })
  expect(seen.length).toBeGreaterThanOrEqual(120)
  await using gateway = await serve(['--app-dir', dir.path])
  const client = clientOf(gateway)
  for (const { id, text } of seen) {
    const found = await client.responses.retrieve(id)
    expect(found.output_text).toBe(text)
  }
})

test('asked to stop, it leaves one whole file', async () => {
  await using upstream = await startUpstream()
  using dir = scratch()
  await configured(upstream.url, dir.file('config.json'))
  await using gateway = await serve(['--app-dir', dir.path])
  const made = await clientOf(gateway).responses.create({ model: 'cerebras/llama', input: 'Hello' })
  gateway.kill('SIGTERM')
  expect(await gateway.exited).toEqual({ code: 0, signal: null })
  expect(readdirSync(dir.path).toSorted()).toEqual([
    'asbru.db',
    'asbru.lock',
    'config.json',
    'logs.db',
  ])
  await using next = await serve(['--app-dir', dir.path])
  expect((await clientOf(next).responses.retrieve(made.id)).output_text).toBe('Hello')
})

test('nothing is written by calls that need no store', async () => {
  await using upstream = await startUpstream()
  using dir = scratch()
  await configured(upstream.url, dir.file('config.json'))
  await using gateway = await serve(['--app-dir', dir.path])
  await clientOf(gateway).chat.completions.create({
    model: 'cerebras/llama',
    messages: [{ role: 'user', content: 'Hello' }],
  })
  // The log of calls has a file of its own, and so has the lock of the folder.
  const names = readdirSync(dir.path).filter(
    (name) => !/^(?:logs\.db|asbru\.(?:lock|pid))/.test(name),
  )
  expect(names).toEqual(['config.json'])
})

test('tokens are counted', async () => {
  await using upstream = await startUpstream()
  using dir = scratch()
  await configured(upstream.url, dir.file('config.json'))
  await using gateway = await serve(['--app-dir', dir.path])
  const counted = await clientOf(gateway).responses.inputTokens.count({
    model: 'cerebras/llama',
    input: 'Hello',
  })
  expect(counted.input_tokens).toBe(7)
})
