import { expect, test } from 'bun:test'

import { COMMAND, run } from '../cli/program.ts'
import { logRig } from './rig.ts'

test('a socket at /ws gets every call once it is logged, and only what comes after', async () => {
  await using rig = await logRig()
  await rig.chat({}, { 'x-request-id': 'before' })
  await rig.get('/api/logs')
  const socket = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/ws`)
  const first = Promise.withResolvers<string>()
  socket.addEventListener('message', ({ data }) => {
    // It may be seen under way, if it is slow.
    if (!String(data).includes('"status":"processing"')) first.resolve(String(data))
  })
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  await rig.chat({}, { 'x-request-id': 'after' })
  expect(JSON.parse(await first.promise)).toMatchObject({
    type: 'log',
    operation: expect.stringMatching(/^(?:create|update)$/),
    payload: { id: 'after', provider: 'openai', object: 'chat_completion', status: 'success' },
  })
  socket.close()
})

test('asbru tail prints a line for each call and ends with the gateway', async () => {
  const rig = await logRig()
  const port = new URL(rig.gateway.url).port
  const child = Bun.spawn([...COMMAND, 'tail', '--host', '127.0.0.1', '--port', port], {
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const errors = child.stderr.getReader()
  expect(new TextDecoder().decode((await errors.read()).value)).toContain('watching')
  // A call that is seen under way is printed once, when it is over.
  const gate = Promise.withResolvers<void>()
  rig.upstream.reply({ status: 400, json: { error: { message: 'slow' } }, gate: gate.promise })
  const socket = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/ws`)
  const begun = new Promise((resolve) => {
    socket.addEventListener('message', resolve, { once: true })
  })
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  const slow = rig.chat()
  await begun
  gate.resolve()
  await slow
  socket.close()
  const out = child.stdout.getReader()
  const late = new TextDecoder().decode((await out.read()).value)
  expect(late).toMatch(/^[\d:.]+ {2}400 +\d+ms {2}chat_completion {2}openai\/m {2}.*slow\n$/)
  await rig.chat({ messages: [{ role: 'user', content: 'two\u001b[2Jlines\n' }] })
  const line = new TextDecoder().decode((await out.read()).value)
  expect(line).toMatch(
    /^[\d:.]+ {2}200 +\d+ms {2}chat_completion {2}openai\/m {2}\d+ tokens {2}two \[2Jlines\n$/,
  )
  await fetch(`${rig.gateway.url}/v1/nothing`)
  const refused = new TextDecoder().decode((await out.read()).value)
  expect(refused).toMatch(/^[\d:.]+ {2}404 +\d+ms {2}unknown {2}- {4}There is no route GET/)
  await rig[Symbol.asyncDispose]()
  expect(await child.exited).toBe(0)
})

test('asbru tail ends quietly once nobody reads it', async () => {
  await using rig = await logRig()
  const { port } = new URL(rig.gateway.url)
  const child = Bun.spawn([...COMMAND, 'tail', '--host', '127.0.0.1', '--port', port], {
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const errors = child.stderr.getReader()
  expect(new TextDecoder().decode((await errors.read()).value)).toContain('watching')
  await child.stdout.cancel()
  await rig.chat()
  expect(await child.exited).toBe(0)
  expect((await errors.read()).done).toBe(true)
})

test('asbru tail says when nobody answers', async () => {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('no') })
  const ended = await run(['tail', '--host', '127.0.0.1', '--port', String(server.port)])
  await server.stop(true)
  expect(ended.code).toBe(1)
  expect(ended.stderr).toContain('no gateway that keeps a log answers')
})
