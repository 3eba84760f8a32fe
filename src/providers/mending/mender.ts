import type { Call } from '#core/call.ts'
import { parseExact } from '#lib/json.ts'
import { isRecord } from '#openai/conversation/fields.ts'

import type { Mender, Mending, Target } from '../provider.ts'
import type { Mends } from '../quirks.ts'
import { mendChoice, newChoice } from './choice.ts'
import type { ChoiceState, Facts, Loose } from './choice.ts'
import { wholeMender } from './whole.ts'

/** How the answers of this call are mended; undefined where nothing has to be. */
export function mendingOf(
  mends: Mends | undefined,
  call: Call,
  target: Target,
): Mending | undefined {
  if (!mends) return undefined
  const isChat = call.endpoint === 'chat_completion' || call.endpoint === 'text_completion'
  if (!isChat && !(mends.bareList && call.endpoint === 'list_models')) return undefined
  const facts: Facts = {
    id: `chatcmpl-${call.id}`,
    created: Math.floor((performance.timeOrigin + call.startedAt) / 1000),
    model: target.model ?? '',
    kind: call.endpoint === 'text_completion' ? 'text_completion' : 'chat.completion',
  }
  return {
    pattern: patternOf(mends),
    open: () => streamMender(mends, facts),
    whole: wholeMender(mends, facts, call.endpoint),
  }
}

const patterns = new WeakMap<Mends, RegExp>()

/** Finds every event that one of the mends may concern. */
function patternOf(mends: Mends): RegExp {
  let pattern = patterns.get(mends)
  if (!pattern) {
    const found: string[] = []
    if (mends.finish) {
      found.push(`"finish_reason"\\s*:\\s*"(?:${Object.keys(mends.finish).join('|')})"`)
    }
    if (mends.usage || mends.usageApart) found.push('"usage"\\s*:\\s*\\{')
    if (mends.aside !== undefined) found.push(`"${mends.aside}"`, '\\[DONE\\]')
    if (mends.contentParts) found.push('"content"\\s*:\\s*\\[')
    if (mends.tokenLists) found.push('"token_logprobs"')
    if (mends.flatErrors) found.push('"object"\\s*:\\s*"error"')
    if (mends.tidy) {
      found.push('"role"', '"tool_calls"', '"function_call"', '"finish_reason"\\s*:\\s*"(?:stop)?"')
    }
    pattern = new RegExp(found.join('|') || '(?!)')
    patterns.set(mends, pattern)
  }
  return pattern
}

function streamMender(mends: Mends, facts: Facts): Mender {
  const choices = new Map<number, ChoiceState>()
  /** The first event shows whether the server names itself in its events. */
  let isWaiting = mends.tidy === true
  let isFirst = true
  const chunkObject = facts.kind === 'chat.completion' ? 'chat.completion.chunk' : facts.kind
  let sawUsage = false
  let asideUsage: Loose | undefined
  let head: Loose = {}

  function stateOf(index: number): ChoiceState {
    let state = choices.get(index)
    // No answer has thousands of choices; what lies beyond is not followed.
    if (!state) {
      state = newChoice()
      if (choices.size < 1000) choices.set(index, state)
    }
    return state
  }

  /** A chunk that holds nothing but usage. */
  function usageChunk(usage: unknown): string {
    return JSON.stringify({ ...head, choices: [], usage })
  }

  function done(): string | readonly string[] {
    if (!asideUsage || sawUsage) return '[DONE]'
    return [usageChunk(asideUsage), '[DONE]']
  }

  function mend(data: string): string | readonly string[] | undefined {
    if (data.trim() === '[DONE]') return done()
    const value = objectIn(data)
    if (!value) return data
    if (mends.flatErrors && value['object'] === 'error' && !value['error']) {
      return JSON.stringify({ error: value })
    }
    if (value['error']) return data
    let isChanged = false
    if (mends.aside !== undefined && isRecord(value[mends.aside])) {
      const aside = value[mends.aside] as Loose
      if (aside['error']) return JSON.stringify({ error: aside['error'] })
      if (isRecord(aside['usage'])) asideUsage = aside['usage']
    }
    if (mends.tidy && named(value, facts, chunkObject)) {
      isChanged = true
      isWaiting = true
    } else if (isFirst) isWaiting = false
    isFirst = false
    if (head['id'] === undefined) head = headOf(value)

    const list = Array.isArray(value['choices']) ? (value['choices'] as unknown[]) : []
    let failed: string | undefined
    let finishes = false
    list.forEach((choice, at) => {
      if (!isRecord(choice)) return
      const index = typeof choice['index'] === 'number' ? choice['index'] : at
      const outcome = mendChoice(choice, 'delta', stateOf(index), mends, facts)
      if (outcome.isChanged) isChanged = true
      failed ??= outcome.failed
      if (choice['finish_reason']) finishes = true
    })

    const events: string[] = []
    let usage: unknown
    if (isRecord(value['usage'])) {
      sawUsage = true
      const counted = mends.usage?.(value['usage'])
      if (counted) {
        value['usage'] = counted
        isChanged = true
      }
      if (mends.usageApart && finishes) {
        usage = value['usage']
        delete value['usage']
        isChanged = true
      }
    }
    if (!isChanged && failed === undefined) return data
    if (!saysNothing(value, list)) events.push(JSON.stringify(value))
    if (failed !== undefined) {
      events.push(
        JSON.stringify({ error: { message: failed, type: 'server_error', code: 'overloaded' } }),
      )
    } else if (usage !== undefined) events.push(usageChunk(usage))
    return events.length === 1 ? events[0] : events
  }

  return {
    mend,
    get isWaiting() {
      return isWaiting
    },
  }
}

/** The object in an event's data; undefined for anything else, which the relay judges. */
function objectIn(data: string): Loose | undefined {
  let value: unknown
  try {
    value = parseExact(data)
  } catch {
    return undefined
  }
  return isRecord(value) ? value : undefined
}

/** Fills in what every chunk has to say of itself; true when something was missing. */
function named(value: Loose, facts: Facts, object: string): boolean {
  let isMissing = false
  const wanted = { id: facts.id, object, created: facts.created, model: facts.model }
  for (const [name, own] of Object.entries(wanted)) {
    const given = value[name]
    if (typeof given === typeof own && given !== '') continue
    value[name] = own
    isMissing = true
  }
  return isMissing
}

function headOf({ id, object, created, model }: Loose): Loose {
  return { id, object, created, model }
}

/** Only empty deltas are left: some clients count chunks. */
function saysNothing(value: Loose, choices: readonly unknown[]): boolean {
  if (choices.length === 0 || isRecord(value['usage'])) return false
  return choices.every((choice) => {
    if (!isRecord(choice)) return false
    const { delta, finish_reason: reason, logprobs } = choice
    return !reason && !logprobs && isRecord(delta) && Object.keys(delta).length === 0
  })
}
