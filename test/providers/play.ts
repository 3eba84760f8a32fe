import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { parseExact } from '#lib/json.ts'
import { addDetail } from '#openai/answer/collector.ts'

import { playback } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// Recorded answers of vendors, played to the gateway whole, by lines and by bytes, and put together again.

/** The ways a stream may be cut on its way. */
export const CUTS = ['whole', 'line', 'byte'] as const

/** A recorded file; without the note about its source, where that would be in the way. */
export function fixture(path: string): string {
  const text = readFileSync(join(import.meta.dir, '../fixtures', path), 'utf8')
  return path.endsWith('.ndjson') ? text.slice(text.indexOf('\n') + 1) : text
}

export function unaryFixture(path: string): unknown {
  const { _source, ...answer } = parseExact(fixture(path)) as Record<string, unknown>
  if (typeof _source !== 'string') throw new Error(`${path} does not say where it comes from`)
  return answer
}

/** Queues a recorded stream as the next answer. */
export function play(
  upstream: Upstream,
  bytes: string,
  contentType: string,
  cut: (typeof CUTS)[number] = 'whole',
): void {
  upstream.reply({ headers: { 'content-type': contentType }, chunks: playback(bytes, cut) })
}

/**
 * Queues a recorded stream whose part from `mark` on is sent when the caller has got the headers, sends the request,
 * and gives the whole text of the answer.
 */
export async function playInTwo(
  upstream: Upstream,
  recorded: { bytes: string; contentType: string; cut: (typeof CUTS)[number]; mark: string },
  gateway: string,
  body: object,
): Promise<{ status: number; text: string }> {
  const { bytes, contentType, cut, mark } = recorded
  const at = bytes.indexOf(mark)
  if (at === -1) throw new Error(`The recording has no '${mark}'`)
  const first = playback(bytes.slice(0, at), cut)
  const got = Promise.withResolvers<void>()
  upstream.reply({
    headers: { 'content-type': contentType },
    chunks: [...first, ...playback(bytes.slice(at), cut)],
    gate: [...first.map(() => undefined), got.promise],
  })
  const response = await post(gateway, '/chat/completions', body)
  got.resolve()
  return { status: response.status, text: await response.text() }
}

export interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: any
}

/** Sends one request to the gateway. */
export async function ask(
  gateway: string,
  path: string,
  body: object,
  headers = {},
): Promise<Asked> {
  const response = await post(gateway, path, body, headers)
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  }
}

/** Sends a body, which may be text that is JSON already. */
export function post(
  gateway: string,
  path: string,
  body: object | string,
  headers = {},
): Promise<Response> {
  return fetch(`${gateway}/openai/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

/** The objects of an event stream. */
export function framesOf(stream: string): any[] {
  return stream
    .split('\n\n')
    .flatMap((event) => event.split('\n'))
    .filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map((line) => JSON.parse(line.slice('data: '.length)))
}

/** A chat stream put together as a careful client does it: the choice and the usage of a whole answer. */
export function assembled(stream: string): { choice: any; usage: any } {
  const message: any = { role: 'assistant', content: '', refusal: null }
  const choice: any = { index: 0, message, logprobs: null, finish_reason: null }
  let usage: any
  for (const frame of framesOf(stream)) {
    if (frame.usage) usage = frame.usage
    for (const { delta, logprobs, finish_reason } of frame.choices) {
      addDelta(message, delta)
      if (logprobs) {
        choice.logprobs ??= { content: [], refusal: null }
        choice.logprobs.content.push(...logprobs.content)
      }
      if (finish_reason) choice.finish_reason = finish_reason
    }
  }
  if (message.content === '' && message.tool_calls) message.content = null
  return { choice, usage }
}

function addDelta(message: any, delta: any): void {
  const { role, content, reasoning, ...more } = delta
  message.role = role ?? message.role
  message.content += content ?? ''
  if (reasoning !== undefined) message.reasoning = (message.reasoning ?? '') + reasoning
  for (const [name, pieces] of Object.entries<any>(more)) {
    message[name] ??= []
    for (const piece of pieces) {
      if (name === 'reasoning_details') addDetail(message[name], piece)
      else if (name !== 'tool_calls') message[name].push(piece)
      else addCall(message[name], piece)
    }
  }
}

function addCall(calls: any[], { index, ...piece }: any): void {
  const known = calls[index]
  if (known) known.function.arguments += piece.function.arguments
  else calls[index] = piece
}
