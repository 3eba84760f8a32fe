import { expect, test } from 'bun:test'
import { join } from 'node:path'

// A gateway that traces nothing does not carry what tracing takes.

const script = `
const { startApp } = await import(process.env.ROOT + '/src/app.ts')
const { createLogger } = await import(process.env.ROOT + '/src/core/log.ts')
const body = JSON.stringify({ model: 'mock/a', messages: [{ role: 'user', content: 'Hi' }] })
const { app } = startApp({
  host: '127.0.0.1', port: 0, env: {}, configPath: undefined, configText: process.env.CONFIG,
  log: createLogger({ level: 'error', style: 'json', write() {} }),
})
const answer = await fetch(app.url + '/openai/v1/chat/completions', {
  method: 'POST', body, headers: { 'content-type': 'application/json' },
})
await answer.text()
await app.stop()
const loaded = Object.keys(require.cache).filter((path) => /tracing.(exporter|span|content)/.test(path))
process.stdout.write(answer.status + ' ' + loaded.length)
`

async function run(config: object): Promise<string> {
  const root = join(import.meta.dir, '..', '..')
  const child = Bun.spawn([process.execPath, '-e', script], {
    cwd: root,
    env: { ...process.env, ROOT: root, CONFIG: JSON.stringify(config) },
    stdout: 'pipe',
  })
  const text = await new Response(child.stdout).text()
  await child.exited
  return text
}

test('its parts are loaded when they are needed, and not before', async () => {
  expect(await run({})).toBe('200 0')
  expect(await run({ tracing: { endpoint: 'http://127.0.0.1:1' } })).toBe('200 3')
}, 30_000)
