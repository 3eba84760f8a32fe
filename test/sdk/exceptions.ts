import { expect } from 'bun:test'
import { createHmac } from 'node:crypto'

import type OpenAI from 'openai'

// Methods that the generated call cannot stand for, each with the reason.

/** Helpers that make several requests, poll or read a stream: tested by name in the file given. */
export const ELSEWHERE: Record<string, string> = {
  'chat.completions.parse': 'chat.test.ts',
  'chat.completions.runTools': 'chat.test.ts',
  'chat.completions.stream': 'chat.test.ts',
  'responses.parse': 'responses.test.ts',
  'responses.stream': 'responses.test.ts',
  // Answered by the gateway, from every provider's list.
  'models.list': 'client.test.ts',
  'files.waitForProcessing': 'polling.test.ts',
  'vectorStores.files.createAndPoll': 'polling.test.ts',
  'vectorStores.files.poll': 'polling.test.ts',
  'vectorStores.files.upload': 'polling.test.ts',
  'vectorStores.files.uploadAndPoll': 'polling.test.ts',
  'vectorStores.fileBatches.createAndPoll': 'polling.test.ts',
  'vectorStores.fileBatches.poll': 'polling.test.ts',
  'vectorStores.fileBatches.uploadAndPoll': 'polling.test.ts',
  'beta.threads.createAndRunPoll': 'polling.test.ts',
  'beta.threads.runs.createAndPoll': 'polling.test.ts',
  'beta.threads.runs.poll': 'polling.test.ts',
  'beta.threads.runs.submitToolOutputsAndPoll': 'polling.test.ts',
  'beta.threads.createAndRunStream': 'assistants.test.ts',
  'beta.threads.runs.createAndStream': 'assistants.test.ts',
  'beta.threads.runs.stream': 'assistants.test.ts',
  'beta.threads.runs.submitToolOutputsStream': 'assistants.test.ts',
  'beta.agents.sessions.stream': 'assistants.test.ts',
  'beta.agents.sessions.artifacts.forResult': 'assistants.test.ts',
  'beta.agents.environments.files.prepare': 'polling.test.ts',
  'beta.agents.environments.files.upload': 'polling.test.ts',
}

const secret = `whsec_${Buffer.from('a webhook secret').toString('base64')}`

function signed(payload: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac('sha256', 'a webhook secret')
    .update(`msg_1.${timestamp}.${payload}`)
    .digest('base64')
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  }
}

/** Methods that compute and never call: run for real, and nothing may have been sent. */
export const LOCAL: Record<string, (client: OpenAI) => Promise<void>> = {
  'webhooks.unwrap': async (client) => {
    const payload = '{"type":"response.completed","data":{"id":"resp_1"}}'
    const event = await client.webhooks.unwrap(payload, signed(payload), secret)
    expect(event.type).toBe('response.completed')
  },
  'webhooks.verifySignature': async (client) => {
    const forged = { ...signed('{}'), 'webhook-signature': 'v1,AAAA' }
    expect(client.webhooks.verifySignature('{}', forged, secret)).rejects.toThrow()
    await client.webhooks.verifySignature('{}', signed('{}'), secret)
  },
}
