import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'
import { NATIVE, providersAt } from './places.ts'

// Members of messages, parts and tools that nobody has heard of: where the dialect is OpenAI's they travel, elsewhere
// they are declared lost, one by one.

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

const pdf = 'data:application/pdf;base64,JVBERi0xLjQKJUVPRgo='
const request = {
  messages: [
    { role: 'system', content: 'Be brief.', name: 'boss-mark', tone: 'tone-mark' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'hi', weight: 'weight-mark' },
        {
          type: 'image_url',
          image_url: { url: 'data:image/png;base64,iVBORw0KGgo=', crop: 'crop-mark' },
        },
      ],
      mood: 'mood-mark',
    },
  ],
  tools: [
    {
      type: 'function',
      function: { name: 'f', description: 'd', parameters: { type: 'object' }, cost: 'cost-mark' },
    },
  ],
}
const places = [
  'messages[0].name',
  'messages[0].tone',
  'messages[1].content[0].weight',
  'messages[1].content[1].image_url.crop',
  'messages[1].mood',
  'tools[0].function.cost',
]
const marks = ['boss-mark', 'tone-mark', 'weight-mark', 'crop-mark', 'mood-mark', 'cost-mark']

async function send(body: object, headers: Record<string, string> = {}) {
  upstream.clear()
  const response = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  const dropped = response.headers.get('x-bf-dropped-params')?.split(',') ?? []
  const sent = upstream.requests.map((each) => each.text()).join('')
  return { status: response.status, dropped, body: (await response.json()) as any, sent }
}

const spoken = new Set(['openai', 'azure', 'mistral'])

describe.each(NATIVE)('$provider', ({ provider, model }) => {
  const asked = { ...request, model: `${provider}/${model}` }

  test('what nobody knows travels, or is declared lost', async () => {
    const { status, dropped, sent } = await send(asked)
    expect(status).toBe(200)
    if (spoken.has(provider)) {
      marks.forEach((mark, at) => {
        expect(sent.includes(mark) !== dropped.includes(places[at]!)).toBe(true)
      })
    } else {
      for (const place of places) expect(dropped).toContain(place)
      for (const mark of marks) expect(sent).not.toContain(mark)
    }
  })

  test('and strictness makes a refusal of it that names the first place', async () => {
    if (spoken.has(provider)) return
    const { status, body, sent } = await send(asked, { 'x-bf-strict': 'true' })
    expect([status, sent]).toEqual([400, ''])
    expect(places).toContain(body.error.param)
  })
})

test('what clients send back of an answer is no loss', async () => {
  const messages = [
    { role: 'user', content: 'hi' },
    {
      role: 'assistant',
      content: [{ type: 'text', text: 'ho', annotations: [] }],
      annotations: [],
      audio: null,
      function_call: null,
    },
    { role: 'user', content: 'hm' },
  ]
  for (const { provider, model } of NATIVE) {
    const { dropped } = await send({ messages, model: `${provider}/${model}` })
    expect([provider, dropped]).toEqual([provider, []])
  }
})

test('a document says to Anthropic that it may be cited, and what it is about', async () => {
  const file = { filename: 'a.pdf', file_data: pdf }
  const part = { type: 'file', file, citations: { enabled: true }, context: 'From the archive.' }
  const { dropped, sent } = await send({
    model: 'anthropic/claude-sonnet-4-5',
    messages: [{ role: 'user', content: [part, { type: 'text', text: 'What is in it?' }] }],
  })
  expect(dropped).toEqual([])
  const [block] = JSON.parse(sent).messages[0].content
  expect(block).toMatchObject({ citations: { enabled: true }, context: 'From the archive.' })
})
