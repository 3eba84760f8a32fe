import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'

import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'
import { MODELS, providersAt } from './places.ts'

// OpenAI's Python SDK in front of every dialect, where this machine has it.

const python = Bun.spawnSync(['python3', '-c', 'import openai, pydantic'])
if (python.exitCode !== 0) console.log('no Python with the openai package here: skipped')

let upstream: Upstream
let gateway: TestGateway

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({ config: { providers: providersAt(upstream.url) } })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

test.skipIf(python.exitCode !== 0).each(Object.keys(MODELS))(
  '%s answers the Python SDK',
  async (provider) => {
    const named = (behaviour: string): string => `${provider}/${MODELS[provider]!(behaviour)}`
    const row = { echo: named('echo'), json: named('json'), tools: named('tools') }
    const run = Bun.spawn(
      [
        'python3',
        join(import.meta.dir, 'client.py'),
        `${gateway.url}/openai/v1`,
        JSON.stringify([row]),
      ],
      { stdout: 'pipe', stderr: 'pipe' },
    )
    const [out, error] = await Promise.all([run.stdout.text(), run.stderr.text()])
    expect([await run.exited, error.slice(-2000)]).toEqual([0, ''])
    expect(JSON.parse(out)).toEqual({
      text: 'Hello there',
      streamed: 'Hello there',
      parsed: 'Weather',
      called: 'weather',
      told: 'The tool says: sunny',
      responded: 'Hello there',
      response_parsed: 'Weather',
    })
  },
  60_000,
)
