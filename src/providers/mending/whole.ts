import type { Endpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { applyEdits, parseExact, scanJson } from '#lib/json.ts'
import { isRecord } from '#openai/conversation/fields.ts'

import type { Mends } from '../quirks.ts'
import { readEmbeddedError } from '../refusal.ts'
import { Draft } from '../rewrite/draft.ts'
import { mendChoice, newChoice } from './choice.ts'
import type { Facts, Loose } from './choice.ts'

/**
 * Mends the text of a whole answer: members that need nothing keep their bytes. What is no JSON object passes, for the
 * pipeline to judge. Throws `upstream_error` when the finish reason says that the answer failed.
 */
export function wholeMender(
  mends: Mends,
  facts: Facts,
  endpoint: Endpoint,
): (answer: string) => string {
  if (endpoint === 'list_models') return listed
  return (answer) => {
    const value = parsed(answer)
    if (!isRecord(value) || value['error'] || value['object'] === 'error') return answer
    return mended(answer, value, mends, facts)
  }
}

/** A bare array of models as a list. */
function listed(answer: string): string {
  return Array.isArray(parsed(answer)) ? `{"object":"list","data":${answer.trim()}}` : answer
}

function parsed(answer: string): unknown {
  try {
    return parseExact(answer)
  } catch {
    // The pipeline says what is wrong with it.
    return undefined
  }
}

function mended(answer: string, value: Loose, mends: Mends, facts: Facts): string {
  const { open, members } = scanJson(answer)
  const draft = new Draft({ text: answer, open, members })
  const choices = Array.isArray(value['choices']) ? (value['choices'] as unknown[]) : []
  let isChanged = false
  for (const choice of choices) {
    if (!isRecord(choice)) continue
    const outcome = mendChoice(choice, 'message', newChoice(), mends, facts)
    if (outcome.failed !== undefined) throw failure(outcome.failed)
    if (outcome.isChanged) isChanged = true
    const message = choice['message']
    // An answer of nothing but thoughts has a content all the same.
    if (mends.contentParts && isRecord(message) && !('content' in message)) {
      ;(message as Loose)['content'] = null
      isChanged = true
    }
  }
  if (isChanged) draft.set('choices', JSON.stringify(choices))
  if (isRecord(value['usage'])) {
    const counted = mends.usage?.(value['usage'])
    if (counted) draft.set('usage', JSON.stringify(counted))
  }
  if (mends.tidy) {
    const wanted = { id: facts.id, object: facts.kind, created: facts.created, model: facts.model }
    for (const [name, own] of Object.entries(wanted)) {
      const given = value[name]
      if (typeof given !== typeof own || given === '') draft.set(name, JSON.stringify(own))
    }
  }
  const edits = draft.edits()
  return edits.length === 0 ? answer : applyEdits(answer, edits)
}

function failure(message: string): GatewayError {
  const upstream = readEmbeddedError({
    error: { message, type: 'server_error', code: 'overloaded' },
  })!
  return new GatewayError('upstream_error', message, { upstream })
}
