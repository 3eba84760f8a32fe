import { expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'

import { scratch, serve } from '../cli/program.ts'
import { startUpstream } from '../helpers/upstream.ts'

const fixture = (name: string): string => join(import.meta.dir, '../fixtures/tls', name)
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk', 'base64')

// Each starts the program, on a machine that may be busy.
setDefaultTimeout(60_000)

async function ask(cert: string, trusted: string, host: string) {
  const names: unknown[] = []
  using files = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: { cert: Bun.file(fixture(cert)), key: Bun.file(fixture('key.pem')) },
    fetch(request) {
      names.push(request.headers.get('host'))
      return new Response(png)
    },
  })
  await using upstream = await startUpstream()
  using dir = scratch()
  await Bun.write(
    dir.file('config.json'),
    JSON.stringify({
      providers: {
        ollama: { network_config: { base_url: upstream.url, allow_private_network: true } },
      },
    }),
  )
  await using gateway = await serve(['--app-dir', dir.path], {
    env: { NODE_EXTRA_CA_CERTS: fixture(trusted) },
  })
  const url = `https://${host}:${files.port}/a.png`
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'ollama/llama',
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    }),
  })
  return {
    status: response.status,
    body: (await response.json()) as any,
    names: names.map((name) => String(name).replace(/:\d+$/, '')),
  }
}

test('over TLS the certificate is that of the name, though the address is what is asked', async () => {
  // This certificate is for the name alone.
  expect(await ask('name.pem', 'name.pem', 'localhost')).toMatchObject({
    status: 200,
    names: ['localhost'],
  })
})

test('an address with a certificate of its own is fine too', async () => {
  expect(await ask('cert.pem', 'cert.pem', '127.0.0.1')).toMatchObject({ status: 200 })
})

test('a certificate for another name is refused', async () => {
  const answer = await ask('name.pem', 'name.pem', '127.0.0.1')
  expect(answer).toMatchObject({ status: 400, names: [] })
})

test('a certificate that nobody vouches for is refused', async () => {
  const answer = await ask('cert.pem', 'other.pem', 'localhost')
  expect(answer).toMatchObject({ status: 400, names: [] })
  expect(answer.body.error.message).toContain('could not be reached')
})
