import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { AzureOpenAI } from 'openai'

import { chat, chatStream, responseObject, textItem } from './answers.ts'
import { BYTES } from './bodies.ts'
import type { Rig } from './rig.ts'
import { CLIENT_KEY, fieldsOf, json, startRig } from './rig.ts'

// The Azure flavour of the SDK with the gateway as its endpoint: the deployment is in the path.

const AZURE_KEY = 'azure-resource-key-0123456789'
const messages = [{ role: 'user' as const, content: 'Hi' }]

let rig: Rig
let client: AzureOpenAI
beforeAll(async () => {
  rig = await startRig((upstream) => ({
    azure: {
      keys: [
        {
          name: 'resource',
          value: AZURE_KEY,
          models: ['*'],
          weight: 1,
          azure_key_config: { endpoint: `${upstream}/resource` },
        },
      ],
      network_config: { allow_private_network: true },
    },
  }))
  client = azureClient()
})
afterAll(() => rig.stop())

function azureClient(deployment?: string): AzureOpenAI {
  return new AzureOpenAI({
    endpoint: `${rig.url}/openai`,
    apiKey: CLIENT_KEY,
    apiVersion: '2024-10-21',
    maxRetries: 0,
    fetch: rig.fetch,
    ...(deployment === undefined ? {} : { deployment }),
  })
}

/** What the Azure resource was asked, with its own key and none of the client's. */
function expectAzure(path: string): void {
  expect(rig.received.map((request) => request.path)).toEqual([`/resource/openai/v1${path}`])
  // The version belongs to the path style of the caller; the provider's v1 paths have none.
  expect(rig.received[0]?.query).toBe('')
  expect(rig.received[0]?.headers.get('api-key')).toBe(AZURE_KEY)
  expect(JSON.stringify([...(rig.received[0]?.headers ?? [])])).not.toContain(CLIENT_KEY)
}

describe('the deployment in the path names the model of provider azure', () => {
  test('chat', async () => {
    rig.answers(chat('Hi'))
    const answer = await client.chat.completions.create({ model: 'my-luna', messages })
    expect(answer.choices[0]?.message.content).toBe('Hi')
    expect(rig.sent[0]).toMatchObject({
      path: '/openai/openai/deployments/my-luna/chat/completions',
      query: '?api-version=2024-10-21',
    })
    expectAzure('/chat/completions')
    expect(rig.received[0]?.json()).toMatchObject({ model: 'my-luna' })
  })

  test('a deployment of the client wins over the body', async () => {
    rig.answers(chat('Hi'))
    await azureClient('my-sol').chat.completions.create({ model: 'ignored', messages })
    expectAzure('/chat/completions')
    expect(rig.received[0]?.json()).toMatchObject({ model: 'my-sol' })
  })

  test('also where the gateway itself is the endpoint', async () => {
    const rooted = new AzureOpenAI({
      endpoint: rig.url,
      apiKey: CLIENT_KEY,
      apiVersion: '2024-10-21',
      maxRetries: 0,
      fetch: rig.fetch,
    })
    rig.answers(chat('Hi'))
    await rooted.chat.completions.create({ model: 'my-luna', messages })
    expect(rig.sent[0]?.path).toBe('/openai/deployments/my-luna/chat/completions')
    expectAzure('/chat/completions')
    expect(rig.received[0]?.json()).toMatchObject({ model: 'my-luna' })
  })

  test('a stream', async () => {
    rig.answers(chatStream(['Hel', 'lo']))
    const stream = client.chat.completions.stream({ model: 'my-luna', messages })
    expect(await stream.finalContent()).toBe('Hello')
    expectAzure('/chat/completions')
  })

  test('embeddings', async () => {
    rig.answers(json({ object: 'list', data: [{ index: 0, embedding: 'AACAPw==' }] }))
    const { data } = await client.embeddings.create({ model: 'my-vectors', input: 'a' })
    expect(data[0]?.embedding).toEqual([1])
    expectAzure('/embeddings')
  })

  test('speech', async () => {
    rig.answers(() => new Response(BYTES, { headers: { 'content-type': 'audio/mpeg' } }))
    const sound = await client.audio.speech.create({
      model: 'my-voice',
      input: 'Hi',
      voice: 'alloy',
    })
    expect(new Uint8Array(await sound.arrayBuffer())).toEqual(BYTES)
    expectAzure('/audio/speech')
  })

  test('transcription', async () => {
    rig.answers(json({ text: 'Hi' }))
    const file = new File([BYTES], 'a.mp3', { type: 'audio/mpeg' })
    expect((await client.audio.transcriptions.create({ model: 'my-ears', file })).text).toBe('Hi')
    expectAzure('/audio/transcriptions')
    expect(await fieldsOf(rig.received[0]!)).toContainEqual(['model', 'my-ears'])
  })

  test('images', async () => {
    rig.answers(json({ created: 1, data: [{ b64_json: 'AAAA' }] }))
    await client.images.generate({ model: 'my-brush', prompt: 'A cat' })
    expectAzure('/images/generations')
  })
})

describe('other paths', () => {
  test('a deployment with a provider goes to that provider', async () => {
    rig.answers(chat('Hi'))
    await client.chat.completions.create({ model: 'openai/gpt-6-luna', messages })
    expect(rig.received[0]).toMatchObject({ path: '/v1/chat/completions' })
    expect(rig.received[0]?.json()).toMatchObject({ model: 'gpt-6-luna' })
  })

  test('responses', async () => {
    rig.answers(json(responseObject('completed', [textItem('Hi')])))
    const response = await client.responses.create({ model: 'my-luna', input: 'Hi' })
    expect(response.output_text).toBe('Hi')
    expect(rig.sent[0]).toMatchObject({ path: '/openai/openai/responses' })
    expectAzure('/responses')
  })

  test('files', async () => {
    rig.answers(json({ object: 'list', data: [{ id: 'file_1' }], has_more: false }))
    expect((await client.files.list()).data).toMatchObject([{ id: 'file_1' }])
    expect(rig.sent[0]).toMatchObject({ path: '/openai/openai/files' })
    expectAzure('/files')
  })
})
