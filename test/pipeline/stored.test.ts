import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { APIError, NotFoundError, OpenAI } from 'openai'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// Responses of a provider that knows only chat: what the gateway keeps of them, and for whom.

let upstream: Upstream
let gateway: TestGateway
let client: OpenAI

const bridged = 'cerebras/llama'
const native = 'openai/gpt-6'

const tools = [
  {
    type: 'function' as const,
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
    strict: false,
  },
]

beforeAll(async () => {
  upstream = await startUpstream()
  const provider = { keys: [{ value: 'k' }], network_config: { base_url: upstream.url } }
  gateway = await startGateway({
    config: {
      client: { allow_direct_keys: true },
      providers: { cerebras: provider, openai: provider },
    },
  })
  client = clientOf('')
})

afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

function clientOf(key: string): OpenAI {
  return new OpenAI({
    apiKey: key === '' ? 'sk-bf-nobody' : key,
    baseURL: `${gateway.url}/openai`,
    maxRetries: 0,
  })
}

/** The messages of the last request that went to the chat endpoint. */
function lastMessages(): { role: string; content: unknown }[] {
  return upstream.requests.at(-1)!.json().messages
}

async function refusal(promise: Promise<unknown>): Promise<APIError> {
  try {
    await promise
  } catch (thrown) {
    if (thrown instanceof APIError) return thrown
    throw thrown
  }
  throw new Error('it was not refused')
}

describe('a response that was kept', () => {
  test('is continued with all that was before it, over several turns', async () => {
    const first = await client.responses.create({
      model: bridged,
      instructions: 'Be brief.',
      input: 'My name is Ada.',
    })
    expect(first).toMatchObject({ store: true })
    const second = await client.responses.create({
      model: bridged,
      previous_response_id: first.id,
      input: [{ role: 'user', content: 'What is my name?' }],
    })
    expect(second.previous_response_id).toBe(first.id)
    // Instructions belong to one request.
    expect(lastMessages()).toEqual([
      { role: 'user', content: 'My name is Ada.' },
      { role: 'assistant', content: first.output_text },
      { role: 'user', content: 'What is my name?' },
    ])
    expect(upstream.requests.at(-1)!.text()).not.toContain('previous_response_id')
    const stream = client.responses.stream({
      model: bridged,
      previous_response_id: second.id,
      input: 'And now?',
    })
    const third = await stream.finalResponse()
    expect(third.previous_response_id).toBe(second.id)
    expect(lastMessages().map(({ content }) => content)).toEqual([
      'My name is Ada.',
      first.output_text,
      'What is my name?',
      second.output_text,
      'And now?',
    ])
  })

  test('is retrieved as it was answered, until it is deleted', async () => {
    const made = await client.responses.create({
      model: bridged,
      input: 'Hello',
      metadata: { topic: 'greeting' },
    })
    const found = await client.responses.retrieve(made.id)
    const { extra_fields: extra, ...rest } = found as unknown as Record<string, unknown>
    const { extra_fields: _, ...original } = made as unknown as Record<string, unknown>
    expect(rest).toEqual(original)
    expect(extra).toMatchObject({ provider: 'cerebras', request_type: 'responses_retrieve' })
    const deleted = await fetch(`${gateway.url}/openai/v1/responses/${made.id}`, {
      method: 'DELETE',
    })
    expect(await deleted.json()).toMatchObject({ id: made.id, object: 'response', deleted: true })
    const gone = await refusal(
      client.responses.create({ model: bridged, previous_response_id: made.id, input: 'x' }),
    )
    expect(gone).toMatchObject({
      status: 400,
      code: 'previous_response_not_found',
      param: 'previous_response_id',
    })
    expect(gone.message).toContain(made.id)
  })

  test('of a stream is there when the stream has ended', async () => {
    const stream = client.responses.stream({ model: bridged, input: 'Hello' })
    const made = await stream.finalResponse()
    const found = await client.responses.retrieve(made.id)
    expect(found.output_text).toBe(made.output_text)
    expect(found.usage).toEqual(made.usage)
  })

  test('is not kept with store: false', async () => {
    const made = await client.responses.create({ model: bridged, input: 'Hello', store: false })
    expect(made).toMatchObject({ store: false })
    const gone = await refusal(
      client.responses.create({ model: bridged, previous_response_id: made.id, input: 'x' }),
    )
    expect(gone.code).toBe('previous_response_not_found')
  })

  test('carries tool calls, whose outputs may come by their ids alone', async () => {
    const first = await client.responses.create({
      model: 'cerebras/tools',
      input: 'weather?',
      tools,
    })
    const [call] = first.output.filter(({ type }) => type === 'function_call')
    if (call?.type !== 'function_call') throw new Error('the mock called no tool')
    await client.responses.create({
      model: 'cerebras/tools',
      previous_response_id: first.id,
      tools,
      input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain' }],
    })
    const messages = lastMessages()
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool'])
    expect(messages[1]).toMatchObject({
      tool_calls: [{ id: call.call_id, function: { name: 'weather' } }],
    })
  })

  test('lends its items by reference', async () => {
    const first = await client.responses.create({ model: bridged, input: 'One' })
    const [item] = first.output
    await client.responses.create({
      model: bridged,
      input: [
        { type: 'item_reference', id: item!.id! },
        { role: 'user', content: 'Two' },
      ],
    })
    expect(lastMessages().map(({ role }) => role)).toEqual(['assistant', 'user'])
    const unknown = await refusal(
      client.responses.create({
        model: bridged,
        input: [{ type: 'item_reference', id: 'msg_nothing' }],
      }),
    )
    expect(unknown).toMatchObject({ status: 400, param: 'input[0].id' })
  })

  test('keeps a picture whole, however large', async () => {
    const data = Buffer.alloc(400_000, 7).toString('base64')
    const first = await client.responses.create({
      model: bridged,
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_image', image_url: `data:image/png;base64,${data}`, detail: 'auto' },
          ],
        },
      ],
    })
    await client.responses.create({
      model: bridged,
      previous_response_id: first.id,
      input: 'What was it?',
    })
    expect(lastMessages()[0]).toMatchObject({
      content: [{ image_url: { url: `data:image/png;base64,${data}` } }],
    })
  })
})

test('what is wrong with the new items is said by the numbers that the caller gave them', async () => {
  const first = await client.responses.create({ model: bridged, input: 'One' })
  const error = await refusal(
    client.responses.create({
      model: bridged,
      previous_response_id: first.id,
      input: [
        { role: 'user', content: 'Two' },
        { type: 'function_call_output', call_id: 'c', output: 'x' },
      ],
    }),
  )
  expect(error).toMatchObject({ status: 400, param: 'input[1].call_id' })
})

describe('input items', () => {
  test('come in pages, as the SDK asks for them', async () => {
    const first = await client.responses.create({
      model: bridged,
      input: [
        { role: 'user', content: 'One' },
        { role: 'assistant', content: 'Two' },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Three' }] },
      ],
    })
    const second = await client.responses.create({
      model: bridged,
      previous_response_id: first.id,
      input: 'Five',
    })
    const texts: string[] = []
    const ids = new Set<string | undefined>()
    for await (const item of client.responses.inputItems.list(second.id, {
      limit: 2,
      order: 'asc',
    })) {
      if (item.type !== 'message') throw new Error(`unexpected ${item.type}`)
      ids.add(item.id)
      for (const part of item.content) if ('text' in part) texts.push(part.text)
    }
    expect(texts).toEqual(['One', 'Two', 'Three', first.output_text, 'Five'])
    expect(ids.size).toBe(5)
    const page = await client.responses.inputItems.list(second.id)
    expect(page.data[0]).toMatchObject({
      type: 'message',
      role: 'user',
      content: [{ type: 'input_text', text: 'Five' }],
    })
    const listed: (string | undefined)[] = page.data.map(({ id }) => id)
    expect(listed).toEqual([...ids].toReversed())
    expect(page.has_more).toBe(false)
  })

  test.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['order=up', 'order'],
    ['after=msg_nothing', 'after'],
  ])('refuse ?%s', async (query, param) => {
    const made = await client.responses.create({ model: bridged, input: 'Hello' })
    const response = await fetch(
      `${gateway.url}/openai/v1/responses/${made.id}/input_items?${query}`,
    )
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param } })
  })
})

describe('a response that is told again', () => {
  test.each(['llama', 'reason', 'tools', 'refuse', 'length'])(
    'is the same response, in an order that the SDK accepts: %s',
    async (behaviour) => {
      const made = await client.responses.create({
        model: `cerebras/${behaviour}`,
        input: 'Tell me something of some length',
        ...(behaviour === 'tools' && { tools }),
      })
      const stream = client.responses.stream({ response_id: made.id })
      const types: string[] = []
      stream.on('event', ({ type }) => types.push(type))
      const again = await stream.finalResponse()
      expect(again.output).toMatchObject(made.output)
      expect(again.status).toBe(made.status)
      expect(types.slice(0, 2)).toEqual(['response.created', 'response.in_progress'])
      expect(types.at(-1)).toBe(`response.${made.status}`)
    },
  )

  test('goes on after the event that was named', async () => {
    const made = await client.responses.create({ model: bridged, input: 'Hello' })
    const numbersAfter = async (after?: number): Promise<number[]> => {
      const events = await client.responses.retrieve(made.id, {
        stream: true,
        ...(after !== undefined && { starting_after: after }),
      })
      return (await Array.fromAsync(events)).map((event) => event.sequence_number)
    }
    const all = await numbersAfter()
    expect(all).toEqual(all.map((_, i) => i))
    expect(await numbersAfter(3)).toEqual(all.slice(4))
    expect(await numbersAfter(all.length)).toEqual([])
  })

  test.each(['stream=true&starting_after=x', 'starting_after=1'])('refuses ?%s', async (query) => {
    const made = await client.responses.create({ model: bridged, input: 'Hello' })
    const response = await fetch(`${gateway.url}/openai/v1/responses/${made.id}?${query}`)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param: 'starting_after' } })
  })
})

test('what runs in the foreground cannot be cancelled', async () => {
  const made = await client.responses.create({ model: bridged, input: 'Hello' })
  const error = await refusal(client.responses.cancel(made.id))
  expect(error.status).toBe(400)
  expect(error.message).toContain('background')
})

describe('whose it is', () => {
  test('nobody else sees it, and cannot tell that it is there', async () => {
    const mine = clientOf('key-one')
    const made = await mine.responses.create({ model: bridged, input: 'Secret' })
    expect((await mine.responses.retrieve(made.id)).id).toBe(made.id)
    for (const other of [clientOf('key-two'), client]) {
      for (const id of [made.id, 'resp_nothing']) {
        const options = { headers: { 'x-model-provider': 'cerebras' } }
        const errors = [
          await refusal(other.responses.retrieve(id, {}, options)),
          await refusal(other.responses.delete(id, options)),
          await refusal(other.responses.cancel(id, options)),
          await refusal(other.responses.inputItems.list(id, {}, options)),
        ]
        for (const error of errors) {
          expect(error).toBeInstanceOf(NotFoundError)
          expect(error.message).toBe(`404 Response with id '${id}' not found.`)
        }
        const previous = await refusal(
          other.responses.create({ model: bridged, previous_response_id: id, input: 'x' }),
        )
        expect(previous.message).toBe(`400 Previous response with id '${id}' not found.`)
      }
      const reference = await refusal(
        other.responses.create({
          model: bridged,
          input: [{ type: 'item_reference', id: made.output[0]!.id! }],
        }),
      )
      expect(reference.status).toBe(400)
    }
    expect((await mine.responses.retrieve(made.id)).id).toBe(made.id)
  })

  test('ids cannot be guessed from one another', async () => {
    const options = { headers: { 'x-request-id': 'the-same' } }
    const one = await client.responses.create({ model: bridged, input: 'x' }, options)
    const two = await client.responses.create({ model: bridged, input: 'x' }, options)
    expect(one.id).not.toBe(two.id)
    expect(one.id).toMatch(/^resp_[\da-z]{26,}$/)
  })
})

describe('with a provider that keeps responses itself', () => {
  test('its own ids go to it untouched', async () => {
    const first = await client.responses.create({ model: native, input: 'One' })
    await client.responses.create({
      model: native,
      previous_response_id: first.id,
      input: 'Two',
    })
    expect(upstream.requests.at(-1)!.json()).toMatchObject({
      previous_response_id: first.id,
      input: 'Two',
    })
    expect((await client.responses.retrieve(first.id)).id).toBe(first.id)
    expect(upstream.requests.at(-1)!.path).toBe(`/v1/responses/${first.id}`)
  })

  test('a conversation of the store goes on there, as plain input', async () => {
    const first = await client.responses.create({ model: bridged, input: 'One' })
    const second = await client.responses.create({
      model: native,
      previous_response_id: first.id,
      input: 'Two',
    })
    const sent = upstream.requests.at(-1)!.json()
    expect(sent).not.toHaveProperty('previous_response_id')
    expect(sent.input).toMatchObject([
      { role: 'user', content: [{ text: 'One' }] },
      { type: 'message', role: 'assistant' },
      { role: 'user', content: 'Two' },
    ])
    for (const item of sent.input) expect(item).not.toHaveProperty('id')
    expect(second.previous_response_id).toBe(first.id)
    // It was given all of it, so it can be asked to go on by its own id.
    const third = await client.responses.create({
      model: native,
      previous_response_id: second.id,
      input: 'Three',
    })
    expect(third.previous_response_id).toBe(second.id)
  })

  test('of the stored items it gets what it can read, and what it does not get is declared', async () => {
    const asked = await client.responses.create({ model: 'cerebras/tools', input: 'x', tools })
    const [call] = asked.output.filter(({ type }) => type === 'function_call')
    if (call?.type !== 'function_call') throw new Error('the mock called no tool')
    const told = await client.responses.create({
      model: 'cerebras/reason',
      previous_response_id: asked.id,
      tools,
      input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain' }],
    })
    const { response, data } = await client.responses
      .create({ model: native, previous_response_id: told.id, input: 'And?' })
      .withResponse()
    const { input } = upstream.requests.at(-1)!.json()
    expect(input.map(({ type, role }: any) => type ?? role)).toEqual([
      'message',
      'function_call',
      'function_call_output',
      'message',
      'message',
    ])
    for (const item of input) expect(item).not.toHaveProperty('id')
    expect(response.headers.get('x-bf-dropped-params')).toBe('previous_response_id.reasoning')
    expect(data.previous_response_id).toBe(told.id)
    const strict = await refusal(
      client.responses.create(
        { model: native, previous_response_id: told.id, input: 'And?' },
        { headers: { 'x-bf-strict': 'true' } },
      ),
    )
    expect(strict).toMatchObject({ status: 400, param: 'previous_response_id.reasoning' })
  })

  test('a stream of it names what it continues, in every event that holds the response', async () => {
    const first = await client.responses.create({ model: bridged, input: 'One' })
    const stream = await client.responses.create({
      model: native,
      previous_response_id: first.id,
      input: 'Two',
      stream: true,
    })
    const named: unknown[] = []
    for await (const event of stream) {
      if ('response' in event) named.push(event.response.previous_response_id)
    }
    expect(named.length).toBeGreaterThan(1)
    expect(new Set(named)).toEqual(new Set([first.id]))
  })
})
