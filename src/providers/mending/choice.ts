import type { ReasoningDetail } from '#openai/answer/writer.ts'
import { isRecord, text } from '#openai/conversation/fields.ts'

import type { Mends } from '../quirks.ts'
import { mendCalls } from './calls.ts'

/** A parsed answer of our own to change. */
export type Loose = Record<string, unknown>

/** What stands in for what the server does not say of its answer. */
export interface Facts {
  readonly id: string
  /** Seconds since 1970. */
  readonly created: number
  readonly model: string
  readonly kind: 'chat.completion' | 'text_completion'
}

/** What one choice of a stream has said so far. */
export interface ChoiceState {
  hasRole: boolean
  /** The server's index of a tool call → ours and its id. */
  readonly calls: Map<number, { readonly index: number; readonly id: string }>
  count: number
  last: number
  /** Block of thinking, counted from 0. */
  block: number
  isThinking: boolean
}

export function newChoice(): ChoiceState {
  return { hasRole: false, calls: new Map(), count: 0, last: -1, block: -1, isThinking: false }
}

export interface ChoiceOutcome {
  readonly isChanged: boolean
  /** The finish reason says that the answer failed, and this is why. */
  readonly failed: string | undefined
}

/** Mends one choice in place; `holder` is what its message is called. */
export function mendChoice(
  choice: Loose,
  holder: 'delta' | 'message',
  state: ChoiceState,
  mends: Mends,
  facts: Facts,
): ChoiceOutcome {
  let isChanged = false
  const message = choice[holder]
  if (isRecord(message)) {
    const own = message as Loose
    if (mends.contentParts && Array.isArray(own['content'])) {
      splitParts(own, own['content'], state)
      isChanged = true
    }
    if (mends.tidy && tidy(own, holder, state, facts)) isChanged = true
  }
  if (mends.tokenLists && isRecord(choice['logprobs'])) {
    const tokens = tokensOf(choice['logprobs'])
    if (tokens) {
      choice['logprobs'] = { content: tokens, refusal: null }
      isChanged = true
    }
  }
  const reason = choice['finish_reason']
  let failed: string | undefined
  if (typeof reason === 'string') {
    const wanted =
      mends.finish && Object.hasOwn(mends.finish, reason) ? mends.finish[reason] : undefined
    let mended: string | null = reason
    if (typeof wanted === 'string') mended = wanted
    else if (wanted) {
      failed = wanted.failed
      mended = null
    }
    if (mends.tidy && reason === '') mended = null
    if (mends.tidy && mended === 'stop' && state.count > 0) mended = 'tool_calls'
    if (mended !== reason) {
      choice['finish_reason'] = mended
      isChanged = true
    }
  }
  return { isChanged, failed }
}

function tidy(
  message: Loose,
  holder: 'delta' | 'message',
  state: ChoiceState,
  facts: Facts,
): boolean {
  let isChanged = false
  if ('role' in message) {
    if (holder === 'delta' && (state.hasRole || !message['role'])) {
      delete message['role']
      isChanged = true
    } else state.hasRole = true
  }
  if ('function_call' in message && !message['function_call']) {
    delete message['function_call']
    isChanged = true
  }
  const calls = message['tool_calls']
  if (!('tool_calls' in message)) return isChanged
  if (!Array.isArray(calls) || calls.length === 0) {
    delete message['tool_calls']
    return true
  }
  return mendCalls(calls as unknown[], holder, state, facts) || isChanged
}

/** A list of parts as text, reasoning and what is left. */
function splitParts(message: Loose, parts: readonly unknown[], state: ChoiceState): void {
  let said = ''
  let thought = ''
  const details: ReasoningDetail[] = []
  const references: unknown[] = []
  for (const part of parts) {
    if (!isRecord(part)) continue
    if (part['type'] === 'thinking') {
      if (!state.isThinking) state.block++
      state.isThinking = true
      const piece = thinkingText(part['thinking'])
      if (piece === '') continue
      thought += piece
      const last = details.at(-1)
      if (last?.index === state.block)
        details[details.length - 1] = { ...last, text: last.text + piece }
      else details.push({ type: 'reasoning.text', index: state.block, text: piece })
    } else if (part['type'] === 'text') {
      state.isThinking = false
      said += text(part['text']) ?? ''
    } else references.push(part)
  }
  if (said === '' && (thought !== '' || references.length > 0)) delete message['content']
  else message['content'] = said
  if (thought !== '') {
    message['reasoning'] = thought
    message['reasoning_details'] = details
  }
  if (references.length > 0) message['references'] = references
}

function thinkingText(thinking: unknown): string {
  if (typeof thinking === 'string') return thinking
  if (!Array.isArray(thinking)) return ''
  return (thinking as unknown[])
    .map((part) => (isRecord(part) ? (text(part['text']) ?? '') : ''))
    .join('')
}

const encoder = new TextEncoder()

/** OpenAI's token objects out of parallel lists; undefined when there are none. */
function tokensOf(logprobs: Readonly<Record<string, unknown>>): unknown[] | undefined {
  const { tokens, token_logprobs: values, top_logprobs: tops } = logprobs
  if (!Array.isArray(tokens) || !Array.isArray(values)) return undefined
  return (tokens as unknown[]).map((token, at) => {
    const top = Array.isArray(tops) ? (tops as unknown[])[at] : undefined
    return {
      ...tokenOf(token, values[at]),
      top_logprobs: isRecord(top)
        ? Object.entries(top).map(([other, value]) => tokenOf(other, value))
        : [],
    }
  })
}

function tokenOf(
  token: unknown,
  value: unknown,
): { token: string; logprob: unknown; bytes: number[] } {
  const written = text(token) ?? ''
  return { token: written, logprob: value ?? null, bytes: [...encoder.encode(written)] }
}
