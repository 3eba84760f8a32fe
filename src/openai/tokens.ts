import { GatewayError } from '#core/errors.ts'

import type { Conversation, Part, Turn } from './conversation/conversation.ts'

// How many tokens a conversation has, by the tokenizer of OpenAI's newer models. Other vendors cut text differently, so
// for theirs it is an estimate; of pictures and documents it is one for all.

type Count = (text: string) => number

/** What a message costs beyond its text, by OpenAI's cookbook on counting tokens (as read in November 2026). */
const perMessage = 3
const perName = 1
const perAnswer = 3
const perTool = 8
/** A picture of a megapixel, looked at closely; and at a glance. */
const perImage = 765
const perGlance = 85
/** Recorded speech of a second, and the bytes it has as 16 bit at 24 kHz. */
const perSecond = 10
const bytesPerSecond = 48_000
/** A page of a document, and the bytes a page has. */
const perPage = 600
const bytesPerPage = 40_000

/** Beyond this the rest is counted by the density of what was counted. */
const maxChars = 8 * 1024 * 1024
/** Counted in one go, so that other requests get their turn. */
const sliceChars = 32 * 1024
/** The tokenizer takes the square of a word's length, so long ones are cut. No real word is longer. */
const maxWordChars = 64

/**
 * The input tokens of a conversation with its tools, rounded up. Throws `client_closed` when the caller has left.
 */
export async function countTokens(
  { turns, tools, format }: Conversation,
  signal: AbortSignal,
): Promise<number> {
  const texts: string[] = []
  let fixed = perAnswer
  for (const turn of turns) fixed += addTurn(turn, texts)
  for (const { name, description, schema } of tools) {
    fixed += perTool
    texts.push(name, description ?? '', schema === undefined ? '' : JSON.stringify(schema))
  }
  if (format.kind === 'schema') texts.push(format.name, JSON.stringify(format.schema))
  return Math.ceil(fixed + (await countTexts(texts, signal)))
}

function addTurn(turn: Turn, texts: string[]): number {
  let fixed = perMessage
  for (const part of turn.parts) fixed += addPart(part, texts)
  if (turn.role === 'user' || turn.role === 'assistant') {
    if (turn.name !== undefined) {
      fixed += perName
      texts.push(turn.name)
    }
  }
  if (turn.role === 'assistant') {
    for (const call of turn.calls) {
      fixed += perMessage
      texts.push(call.name, call.text)
    }
    for (const { text, summary } of turn.details) texts.push(text ?? summary ?? '')
    if (turn.reasoning !== undefined) texts.push(turn.reasoning)
  }
  return fixed
}

function addPart(part: Part, texts: string[]): number {
  switch (part.type) {
    case 'text':
      texts.push(part.text)
      return 0
    case 'image':
      return part.detail === 'low' ? perGlance : perImage
    case 'audio':
      return (bytesIn(part.base64) / bytesPerSecond) * perSecond
    case 'file': {
      const { source } = part
      if (source.kind !== 'data') return perPage
      if (/^text\/|json$/.test(source.mediaType)) {
        texts.push(Buffer.from(source.base64, 'base64').toString())
        return 0
      }
      return Math.max(1, bytesIn(source.base64) / bytesPerPage) * perPage
    }
  }
}

function bytesIn(base64: string): number {
  return (base64.length * 3) / 4
}

async function countTexts(texts: readonly string[], signal: AbortSignal): Promise<number> {
  const chars = texts.reduce((sum, text) => sum + text.length, 0)
  if (chars === 0) return 0
  const count = await tokenizer()
  let tokens = 0
  let counted = 0
  for (const text of texts) {
    for (let at = 0; at < text.length && counted < maxChars;) {
      const end = sliceEnd(text, at)
      tokens += countSlice(text.slice(at, end), count)
      counted += end - at
      at = end
      // A turn of the event loop for everybody else.
      if (counted >= sliceChars) await new Promise(setImmediate)
      if (signal.aborted) {
        throw new GatewayError('client_closed', 'The client closed the connection.')
      }
    }
  }
  return counted < chars ? (tokens * chars) / counted : tokens
}

/** At a space where there is one near, so that no word is cut. */
function sliceEnd(text: string, at: number): number {
  const end = at + sliceChars
  if (end >= text.length) return text.length
  const space = text.lastIndexOf(' ', end)
  return space > at + sliceChars / 2 ? space : end
}

const longRuns = new RegExp(`\\S{${maxWordChars + 1},}|\\s{${maxWordChars + 1},}`, 'g')

function countSlice(text: string, count: Count): number {
  let tokens = 0
  let done = 0
  for (const { 0: run, index } of text.matchAll(longRuns)) {
    if (index > done) tokens += count(text.slice(done, index))
    for (let at = 0; at < run.length; at += maxWordChars) {
      tokens += count(run.slice(at, at + maxWordChars))
    }
    done = index + run.length
  }
  return done < text.length ? tokens + count(text.slice(done)) : tokens
}

let loading: Promise<Count> | undefined

/** Its table takes a hundred megabytes and half a second, so it is loaded by the first who counts. */
function tokenizer(): Promise<Count> {
  loading ??= import('gpt-tokenizer/encoding/o200k_base').then(({ countTokens: count }) => {
    // What looks like a control token is text here: it came from a caller.
    const options = { disallowedSpecial: new Set<string>() }
    return (text: string) => count(text, options)
  })
  return loading
}
