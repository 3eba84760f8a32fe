import { integer, invalid, isRecord, record } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { loopLacksThoughts } from './history.ts'
import { classOf, type ModelClass } from './models.ts'
import type { Thinking } from './wire.ts'

/** What a request says about thinking, length and sampling. */
export interface Effort {
  /** As the caller wrote it when it is the vendor's own parameter. */
  readonly thinking: Thinking | Readonly<Record<string, unknown>> | undefined
  /** `output_config.effort`. */
  readonly effort: string | undefined
  readonly maxTokens: number
  /** The model thinks, or may: sampling and forced tools are then restricted. */
  readonly thinks: boolean
}

const efforts: readonly string[] = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']
/** Of the most a model can write, in percent. */
const shares: Readonly<Record<string, number>> = {
  minimal: 2,
  low: 10,
  medium: 30,
  high: 60,
  xhigh: 90,
  max: 90,
}
const leastBudget = 1024

/**
 * Maps effort and limits by the model's class (docs pages "Thinking", "Extended thinking" and "Effort", as read in
 * November 2026). `forced`: a tool will be demanded, which excludes thinking wherever thinking can be switched off.
 */
export function planEffort(exchange: Exchange, forced: boolean): Effort {
  const { conversation, model } = exchange
  const is = classOf(model)
  const { effort, request } = conversation
  if (effort !== undefined && !efforts.includes(effort)) {
    throw invalid(
      request['reasoning_effort'] === undefined ? 'reasoning.effort' : 'reasoning_effort',
      `'${effort}' is not one of ${efforts.join(', ')}.`,
    )
  }
  const written = request['thinking']
  if (isRecord(written)) return ownThinking(exchange, is, written)
  if (is.thinking === 'none') {
    if (effort !== undefined && effort !== 'none') exchange.drop(effortParam(request))
    return plainEffort(exchange, is)
  }
  return is.thinking === 'budget'
    ? budgetEffort(exchange, is, forced)
    : adaptiveEffort(exchange, is, forced)
}

/** Where the caller asked for effort. */
function effortParam(request: Readonly<Record<string, unknown>>): string {
  return request['reasoning_effort'] === undefined ? 'reasoning' : 'reasoning_effort'
}

function plainEffort(exchange: Exchange, is: ModelClass): Effort {
  const maxTokens = exchange.conversation.maxTokens ?? is.defaultTokens
  return { thinking: undefined, effort: undefined, maxTokens, thinks: false }
}

function ownThinking(
  exchange: Exchange,
  is: ModelClass,
  thinking: Readonly<Record<string, unknown>>,
): Effort {
  const { maxTokens, effort } = exchange.conversation
  const budget = integer(thinking['budget_tokens']) ?? 0
  return {
    thinking,
    effort: effortOf(is, effort),
    // The budget counts as part of the limit.
    maxTokens: maxTokens ?? Math.max(is.defaultTokens, Math.min(budget + 4096, is.ceilingTokens)),
    thinks: thinking['type'] !== 'disabled',
  }
}

function budgetEffort(exchange: Exchange, is: ModelClass, forced: boolean): Effort {
  const { conversation } = exchange
  const { request, effort, turns } = conversation
  const asked =
    integer(request['reasoning_max_tokens']) ?? integer(record(request['reasoning'])['max_tokens'])
  const share = effort === undefined ? undefined : shares[effort]
  if (effort === 'none' || (asked === undefined && share === undefined)) {
    return plainEffort(exchange, is)
  }
  // In a loop of calls the vendor wants to see the thoughts that led to the first of them.
  if (forced || loopLacksThoughts(turns)) {
    const byTokens = effort === undefined && request['reasoning_max_tokens'] !== undefined
    exchange.drop(byTokens ? 'reasoning_max_tokens' : effortParam(request))
    return plainEffort(exchange, is)
  }
  const wanted = Math.max(leastBudget, asked ?? Math.floor((is.ceilingTokens * (share ?? 0)) / 100))
  const answer = conversation.maxTokens ?? Math.min(is.defaultTokens, is.ceilingTokens >> 1)
  // A limit beyond the model's own is left for the vendor to refuse.
  const ceiling = Math.max(is.ceilingTokens, answer)
  const maxTokens = Math.max(Math.min(answer + wanted, ceiling), leastBudget + 1)
  const budget = Math.max(
    leastBudget,
    Math.min(wanted, maxTokens - Math.min(answer, maxTokens >> 1)),
  )
  return {
    thinking: { type: 'enabled', budget_tokens: budget },
    effort: undefined,
    maxTokens,
    thinks: true,
  }
}

function adaptiveEffort(exchange: Exchange, is: ModelClass, forced: boolean): Effort {
  const { conversation } = exchange
  const { request, effort, wantsReasoning } = conversation
  for (const [param, holder] of [
    ['reasoning_max_tokens', request['reasoning_max_tokens']],
    ['reasoning.max_tokens', record(request['reasoning'])['max_tokens']],
  ] as const) {
    if (holder !== undefined && holder !== null) exchange.drop(param)
  }
  const mapped = effortOf(is, effort)
  const maxTokens =
    conversation.maxTokens ??
    (mapped === 'max' || mapped === 'xhigh'
      ? Math.min(is.defaultTokens * 2, is.ceilingTokens)
      : is.defaultTokens)
  const thinking = { type: 'adaptive', ...(wantsReasoning && { display: 'summarized' }) } as const
  if (effort === 'none' && is.off) {
    return { thinking: { type: is.off }, effort: undefined, maxTokens, thinks: false }
  }
  if (is.thinking === 'always') {
    if (effort === 'none') exchange.drop(effortParam(request))
    return {
      thinking: wantsReasoning ? thinking : undefined,
      effort: mapped,
      maxTokens,
      thinks: true,
    }
  }
  if (!wantsReasoning && effort === undefined) {
    return { thinking: undefined, effort: undefined, maxTokens, thinks: false }
  }
  if (forced) {
    exchange.drop(effortParam(request))
    // Without thinking, effort goes no higher than this.
    const bounded = mapped === 'max' || mapped === 'xhigh' ? 'high' : mapped
    return { thinking: { type: 'disabled' }, effort: bounded, maxTokens, thinks: false }
  }
  return { thinking, effort: mapped, maxTokens, thinks: true }
}

/** The nearest effort that the model knows. */
function effortOf({ efforts: known }: ModelClass, effort: string | undefined): string | undefined {
  if (effort === undefined || known.length === 0) return undefined
  if (effort === 'none' || effort === 'minimal') return known[0]
  return known.includes(effort) ? effort : known.at(-1)
}
