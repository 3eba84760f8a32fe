import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'

import { clock, png, weather } from './conversations.ts'
import { middle, old, question, type Rig, startRig } from './rig.ts'

// What callers get wrong, and what this vendor cannot be sent: a 400 that names the place, and nothing goes out.

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
beforeEach(() => rig.upstream.clear())
afterAll(() => rig[Symbol.asyncDispose]())

const user = (...content: object[]) => ({ messages: [{ role: 'user', content }] })
const image = (url: string) => user({ type: 'image_url', image_url: { url } })
const file = (given: object) => user({ type: 'file', file: given })
const call = (id: string) => ({
  id,
  type: 'function',
  function: { name: 'now', arguments: '{}' },
})
const calls = (...ids: string[]) => ({ role: 'assistant', tool_calls: ids.map(call) })
const result = (id: string) => ({ role: 'tool', tool_call_id: id, content: 'x' })
const google = (given: unknown) => ({ extra_content: { google: given } })

const mistakes: Record<string, readonly [request: object, param: string]> = {
  'several answers': [{ n: 2 }, 'n'],
  'too many stops': [{ stop: ['a', 'b', 'c', 'd', 'e', 'f'] }, 'stop'],
  'a modality of nobody': [{ modalities: ['text', 'video'] }, 'modalities[1]'],
  'a sound that is not spoken': [
    { modalities: ['audio'], audio: { format: 'mp3', voice: 'Kore' } },
    'audio.format',
  ],
  'an unknown effort': [{ reasoning_effort: 'extreme' }, 'reasoning_effort'],
  'an unknown effort of the object': [{ reasoning: { effort: 'extreme' } }, 'reasoning.effort'],
  'a configuration that is none': [{ thinking_config: 'low' }, 'thinking_config'],
  'an unknown member of one': [
    { google: { thinking_config: { budget: 1 } } },
    'google.thinking_config.budget',
  ],
  'safety settings that are none': [{ safety_settings: {} }, 'safety_settings'],
  'a cache without a name': [{ cached_content: 7 }, 'cached_content'],
  'an image configuration that is none': [{ image_config: 'wide' }, 'image_config'],
  'a custom tool': [{ tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0].custom'],
  'a choice among nothing': [{ tool_choice: 'required' }, 'tool_choice'],
  'a choice of a tool that is not there': [
    { tools: [clock], tool_choice: { type: 'function', function: { name: 'nobody' } } },
    'tool_choice',
  ],
  'an image in no known form': [
    image('data:image/png,abc'),
    'messages[0].content[0].image_url.url',
  ],
  'an image that is none': [image('data:text/plain;base64,aGk='), 'messages[0].content[0]'],
  'an image of another cloud': [image('s3://bucket/a.png'), 'messages[0].content[0]'],
  'an image of the cloud': [image('gs://bucket/a.png'), 'messages[0].content[0]'],
  'a file of another vendor': [
    file({ file_id: 'file-abc123' }),
    'messages[0].content[0].file.file_id',
  ],
  'a text that is no text': [
    file({ filename: 'a.json', file_data: 'data:application/json;base64,/w==' }),
    'messages[0].content[0].file.file_data',
  ],
  'a sound of unknown form': [
    user({ type: 'input_audio', input_audio: { data: 'aGk=', format: 'midi' } }),
    'messages[0].content[0].input_audio.format',
  ],
  'a call without a result': [
    { messages: [question, calls('a', 'b'), result('a')] },
    'messages[1].tool_calls[1].id',
  ],
  'a call at the end': [{ messages: [question, calls('a')] }, 'messages[1].tool_calls[0].id'],
  'a call answered twice': [
    { messages: [question, calls('a'), result('a'), result('a')] },
    'messages[3].tool_call_id',
  ],
  'a result that comes late': [
    { messages: [question, calls('a'), result('a'), question, result('a')] },
    'messages[4].tool_call_id',
  ],
  'a result of an older call': [
    { messages: [question, calls('a'), result('a'), calls('b'), result('b'), result('a')] },
    'messages[5].tool_call_id',
  ],
  'a result without a call': [{ messages: [question, result('a')] }, 'messages[1].tool_call_id'],
  'a signature that is none': [
    {
      messages: [
        question,
        {
          role: 'assistant',
          tool_calls: [{ ...call('a'), ...google({ thought_signature: '"' }) }],
        },
        result('a'),
      ],
    },
    'messages[1].tool_calls[0].extra_content.google.thought_signature',
  ],
  'a part of the server that is none': [
    {
      messages: [
        question,
        { role: 'assistant', content: 'x', ...google({ parts: [{ text: 'y' }] }) },
        question,
      ],
    },
    'messages[1].extra_content.google.parts[0]',
  ],
  'a picture of an answer that is none': [
    {
      messages: [
        question,
        { role: 'assistant', content: 'x', images: [{ image_url: { url: 'https://x.test/a' } }] },
        question,
      ],
    },
    'messages[1].images[0].image_url.url',
  ],
}

test.each(Object.entries(mistakes))('%s is refused', async (_, [request, param]) => {
  const { status, json } = await rig.ask(request)
  expect({ status, param: json.error.param }).toEqual({ status: 400, param })
  expect(json.error.type).toBe('invalid_request_error')
  expect(rig.upstream.requests).toHaveLength(0)
})

describe('what is left out', () => {
  const history = (message: object) => ({
    messages: [question, { role: 'assistant', content: 'x', ...message }, question],
  })
  const detailed = (detail: '' | 'low' | 'high' | 'auto') => ({
    type: 'image_url',
    image_url: { url: `data:image/png;base64,${png}`, detail },
  })
  const lost: Record<string, readonly [request: object, dropped: readonly string[]]> = {
    'thoughts in plain text': [history({ reasoning: 'Hm.' }), ['messages[1].reasoning']],
    'thoughts of nobody': [
      history({ reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'Hm.' }] }),
      ['messages[1].reasoning_details'],
    ],
    'sound of an earlier answer': [history({ audio: { id: 'a' } }), ['messages[1].audio']],
    'what other vendors put into their answers': [
      history({ provider_content: [{ type: 'server_tool_use' }], citations: [], later: 1 }),
      ['messages[1].provider_content', 'messages[1].citations', 'messages[1].later'],
    ],
    'what other vendors put into their calls': [
      {
        messages: [
          question,
          {
            role: 'assistant',
            tool_calls: [
              {
                id: 'a',
                type: 'function',
                function: { name: 'clock', arguments: '{}' },
                later: 1,
              },
            ],
          },
          { role: 'tool', tool_call_id: 'a', content: 'noon' },
        ],
      },
      ['messages[1].tool_calls[0].later'],
    ],
    'the name of who answered': [history({ name: 'ada' }), ['messages[1].name']],
    'details that differ': [
      user(detailed('low'), detailed('high'), detailed('auto')),
      ['messages[0].content[0].image_url.detail', 'messages[0].content[1].image_url.detail'],
    ],
    'a voice without sound': [{ audio: { voice: 'Kore' } }, ['audio']],
    'search beside functions, in older models': [
      { model: middle, web_search_options: {}, tools: [clock] },
      ['web_search_options'],
    ],
    'effort, in models that do not think': [
      { model: old, reasoning_effort: 'high' },
      ['reasoning_effort'],
    ],
    'a class of service nobody knows': [{ service_tier: 'gold' }, ['service_tier']],
    'markers on tools': [
      { tools: [{ ...weather, cache_control: { type: 'ephemeral' } }] },
      ['tools[0].function.cache_control'],
    ],
  }

  test.each(Object.entries(lost))('%s is said, and refused to who is strict', async (_, given) => {
    const [request, dropped] = given
    const reply = await rig.ask(request)
    expect({ status: reply.status, dropped: reply.dropped }).toEqual({
      status: 200,
      dropped: [...dropped],
    })
    const strict = await rig.ask(request, { 'x-bf-strict': 'true' })
    expect(strict.status).toBe(400)
    expect(strict.json.error.message).toContain(dropped[0])
  })
})

describe('an image by its address', () => {
  async function served(respond: () => Response) {
    const server = Bun.serve({ port: 0, hostname: 'localhost', fetch: respond })
    return { server, url: `http://localhost:${server.port}/a.png` }
  }

  test('is fetched, and travels inside the request', async () => {
    const { server, url } = await served(() => new Response(Buffer.from(png, 'base64')))
    const sent = await rig.sent(image(url))
    expect(sent.json().contents[0].parts).toEqual([
      { inlineData: { mimeType: 'image/png', data: png } },
    ])
    await rig.post('/responses/input_tokens', {
      model: 'gemini/echo',
      input: [{ role: 'user', content: [{ type: 'input_image', image_url: url }] }],
    })
    expect(rig.upstream.requests.at(-1)!.text()).toContain(png)
    await server.stop(true)
  })

  test('that is none is refused', async () => {
    const { server, url } = await served(() => Response.json({ hello: 1 }))
    const { status, json } = await rig.ask(image(url))
    expect({ status, param: json.error.param }).toEqual({
      status: 400,
      param: 'messages[0].content[0]',
    })
    await server.stop(true)
  })

  test('that cannot be had is refused', async () => {
    const { server, url } = await served(() => new Response('', { status: 404 }))
    const { status, json } = await rig.ask(image(url))
    expect(status).toBe(400)
    expect(json.error.param).toStartWith('messages')
    await server.stop(true)
  })
})
