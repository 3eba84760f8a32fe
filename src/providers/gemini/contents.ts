import { parseExact } from '#lib/json.ts'
import type {
  AssistantTurn,
  Part as ChatPart,
  PastCall,
  ToolTurn,
  Turn,
} from '#openai/conversation/conversation.ts'
import { invalid } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { mediaPart } from './media.ts'
import type { ModelFacts } from './models.ts'
import { imageParts, serverParts, signaturesOf, thoughtParts } from './replay.ts'
import type { Surface } from './surface.ts'
import type { Content, Part } from './wire.ts'

// Turns as contents ("Content" and "Function calling", as read in November 2026): the first is the user's, the last is
// the user's or holds results, and a content with calls is answered by one with as many results in the same order.

export interface Contents {
  readonly system: readonly Part[]
  readonly contents: readonly Content[]
}

interface Writing {
  readonly exchange: Exchange
  readonly surface: Surface
  readonly facts: ModelFacts
}

/** Throws a 400 naming the message when calls and results do not fit together. */
export function contentsOf(exchange: Exchange, surface: Surface, facts: ModelFacts): Contents {
  const writing = { exchange, surface, facts }
  const { turns } = exchange.conversation
  const system: Part[] = []
  const contents: { role: Content['role']; parts: Part[]; isResults: boolean }[] = []

  function add(role: Content['role'], parts: readonly Part[], isResults = false): void {
    if (parts.length === 0) return
    const last = contents.at(-1)
    // Results keep a content of their own: they are counted against the calls before them.
    if (last?.role === role && !last.isResults && !isResults) last.parts.push(...parts)
    else contents.push({ role, parts: [...parts], isResults })
  }

  for (let at = 0; at < turns.length; at++) {
    const turn = turns[at]!
    switch (turn.role) {
      case 'instruction':
        noteMarkers(turn.parts, exchange)
        for (const { text } of turn.parts) if (text !== '') system.push({ text })
        break
      case 'user':
        if (turn.name !== undefined) exchange.drop(`${turn.param}.name`)
        add('user', userParts(turn.parts, writing))
        break
      case 'assistant': {
        add('model', assistantParts(turn, writing))
        if (turn.calls.length === 0) break
        const results = resultsAfter(turns, at)
        add('user', resultParts(turn, results, writing), true)
        at += results.length
        break
      }
      case 'tool':
        throw invalid(
          `${turn.param}.tool_call_id`,
          `The result of '${turn.callId}' has to follow the message that made the call.`,
        )
    }
  }
  if (!facts.systemInstruction && system.length > 0) {
    const first = contents[0]
    if (first?.role === 'user' && !first.isResults) first.parts.unshift(...system)
    else contents.unshift({ role: 'user', parts: [...system], isResults: false })
    system.length = 0
  }
  if (contents[0]?.role !== 'user') {
    contents.unshift({ role: 'user', parts: [{ text: ' ' }], isResults: false })
  }
  if (contents.at(-1)?.role === 'model') add('user', [{ text: 'Continue.' }])
  return { system, contents: contents.map(({ role, parts }) => ({ role, parts })) }
}

function userParts(parts: readonly ChatPart[], { exchange, surface }: Writing): Part[] {
  noteMarkers(parts, exchange)
  const written = parts.flatMap((part): Part[] => {
    if (part.type !== 'text') return [mediaPart(part, exchange.resources, surface)]
    return part.text === '' ? [] : [{ text: part.text }]
  })
  // A user who says nothing still has a turn; a content without parts is refused.
  return written.length === 0 ? [{ text: ' ' }] : written
}

/** Caching is the vendor's own business here. */
function noteMarkers(parts: readonly ChatPart[], exchange: Exchange): void {
  for (const { cacheControl, param } of parts)
    if (cacheControl) exchange.drop(`${param}.cache_control`)
}

/** Members of this vendor's answers that go back with the history. */
const sentBack: ReadonlySet<string> = new Set(['extra_content', 'images'])

function assistantParts(turn: AssistantTurn, writing: Writing): Part[] {
  const { exchange, surface, facts } = writing
  noteMarkers(turn.parts, exchange)
  if (turn.name !== undefined) exchange.drop(`${turn.param}.name`)
  for (const name of Object.keys(turn.extra)) {
    if (!sentBack.has(name)) exchange.drop(`${turn.param}.${name}`)
  }
  const signatures = signaturesOf(turn, exchange, surface, facts)
  const texts = turn.parts.flatMap((part): Part[] => {
    if (part.type !== 'text') return [mediaPart(part, exchange.resources, surface)]
    return part.text === '' ? [] : [{ text: part.text }]
  })
  if (signatures.text !== undefined) {
    const last = texts.findLastIndex(({ text }) => text !== undefined)
    const thoughtSignature = signatures.text
    if (last === -1) texts.push({ text: '', thoughtSignature })
    else texts[last] = { ...texts[last], thoughtSignature }
  }
  return [
    ...thoughtParts(turn, facts),
    ...serverParts(turn),
    ...texts,
    ...imageParts(turn, facts),
    ...turn.calls.map((call) => callPart(call, signatures.calls.get(call), writing)),
  ]
}

function callPart(call: PastCall, signature: string | undefined, writing: Writing): Part {
  const { exchange, surface } = writing
  if (call.cacheControl) exchange.drop(`${call.param}.cache_control`)
  for (const name of Object.keys(call.extra)) {
    if (name !== 'extra_content') exchange.drop(`${call.param}.${name}`)
  }
  // What is no object is shown to the model as what it once wrote.
  const args = call.input ?? { [call.kind === 'custom' ? 'input' : 'arguments']: call.text }
  return {
    functionCall: { ...(surface.callIds && { id: call.id }), name: call.name, args },
    ...(signature !== undefined && { thoughtSignature: signature }),
  }
}

function resultsAfter(turns: readonly Turn[], at: number): ToolTurn[] {
  const results: ToolTurn[] = []
  for (let next = at + 1; next < turns.length; next++) {
    const turn = turns[next]!
    if (turn.role !== 'tool') break
    results.push(turn)
  }
  return results
}

/** The results of one message's calls, in the order of the calls. */
function resultParts(turn: AssistantTurn, results: readonly ToolTurn[], writing: Writing): Part[] {
  const byId = new Map<string, ToolTurn>()
  for (const result of results) {
    const param = `${result.param}.tool_call_id`
    if (byId.has(result.callId)) {
      throw invalid(param, `The call '${result.callId}' has two results.`)
    }
    byId.set(result.callId, result)
  }
  const parts = turn.calls.flatMap((call) => {
    const result = byId.get(call.id)
    if (!result) {
      throw invalid(
        `${call.param}.id`,
        `The call '${call.id}' has no result: the messages after it must answer every one of its tool_calls.`,
      )
    }
    byId.delete(call.id)
    return resultPart(call, result, writing)
  })
  for (const stray of byId.values()) {
    throw invalid(
      `${stray.param}.tool_call_id`,
      `'${stray.callId}' is not among the calls of the message before it.`,
    )
  }
  return parts
}

function resultPart(call: PastCall, result: ToolTurn, writing: Writing): Part[] {
  const { exchange, surface, facts } = writing
  noteMarkers(result.parts, exchange)
  const texts: string[] = []
  const media: Part[] = []
  for (const part of result.parts) {
    if (part.type === 'text') texts.push(part.text)
    else media.push(mediaPart(part, exchange.resources, surface))
  }
  const functionResponse = {
    ...(surface.callIds && { id: call.id }),
    name: call.name,
    response: responseOf(texts.join('\n'), result.isError),
  }
  if (media.length === 0) return [{ functionResponse }]
  if (facts.pictureResults) return [{ functionResponse: { ...functionResponse, parts: media } }]
  return [{ functionResponse }, ...media]
}

/** An object stands for itself; anything else is named by what it is. */
function responseOf(text: string, isError: boolean): Readonly<Record<string, unknown>> {
  const value = readJson(text)
  if (isError) return { error: value }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Record<string, unknown>) : { output: value }
}

function readJson(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return text
  try {
    return parseExact(text)
  } catch {
    // Text that only begins like JSON.
    return text
  }
}
