import { afterAll, beforeAll, expect, test } from 'bun:test'

import OpenAI from 'openai'

import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'
import { MODELS, providersAt } from './places.ts'

// Every helper of OpenAI's Node SDK in front of every dialect.

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

const schema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}
const said = [{ role: 'user' as const, content: 'over the bridge' }]

test.each(Object.keys(MODELS))('%s answers every helper of the Node SDK', async (provider) => {
  const named = (behaviour: string): string => `${provider}/${MODELS[provider]!(behaviour)}`
  const client = new OpenAI({ baseURL: `${gateway.url}/openai/v1`, apiKey: 'x', maxRetries: 0 })

  const stream = client.chat.completions.stream({ model: named('echo'), messages: said })
  expect(await stream.finalContent()).toBe('over the bridge')

  const parsed = await client.chat.completions.parse({
    model: named('json'),
    messages: said,
    response_format: { type: 'json_schema', json_schema: { name: 'place', schema, strict: true } },
  })
  expect(parsed.choices[0]!.message.parsed).toHaveProperty('city')

  const asked: unknown[] = []
  const runner = client.chat.completions.runTools({
    model: named('tools'),
    messages: said,
    tools: [
      {
        type: 'function',
        function: {
          name: 'weather',
          description: 'Tells the weather.',
          parameters: schema,
          parse: (text: string) => JSON.parse(text) as object,
          function: (input: object) => {
            asked.push(input)
            return 'sunny'
          },
        },
      },
    ] as never,
  })
  expect(await runner.finalContent()).toBe('The tool says: sunny')
  expect(asked).toHaveLength(1)

  const responding = client.responses.stream({ model: named('echo'), input: 'over the bridge' })
  expect((await responding.finalResponse()).output_text).toBe('over the bridge')

  const response = await client.responses.parse({
    model: named('json'),
    input: 'over the bridge',
    text: { format: { type: 'json_schema', name: 'place', schema, strict: true } },
  })
  expect(response.output_parsed).toHaveProperty('city')
})
