import { integer, invalid, isRecord, record } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { ownParam } from './extensions.ts'
import type { Effort, ModelFacts } from './models.ts'
import { BUDGETS, EFFORTS } from './models.ts'

/**
 * How long to think and whether to tell ("Thinking", as read in November 2026); undefined where the caller left it
 * open. A budget and a level are never sent together: the vendor refuses that.
 */
export function thinkingOf(
  exchange: Exchange,
  facts: ModelFacts,
): Readonly<Record<string, unknown>> | undefined {
  const { conversation } = exchange
  const { request, wantsReasoning } = conversation
  const asked = effortOf(exchange)
  const budget = budgetOf(request)
  const own = ownParam(request, 'thinking_config')
  if (own) {
    if (asked) exchange.drop(asked.param)
    if (budget) exchange.drop(budget.param)
    return ownConfig(own.value, own.param)
  }
  const { thinking } = facts
  if (thinking.kind === 'none') {
    if (asked && asked.effort !== 'none') exchange.drop(asked.param)
    if (budget) exchange.drop(budget.param)
    return undefined
  }
  const config: Record<string, unknown> = {}
  if (thinking.kind === 'level') {
    if (budget) exchange.drop(budget.param)
    if (asked) config['thinkingLevel'] = thinking.levels[asked.effort]
  } else if (budget) {
    config['thinkingBudget'] = clamp(budget.tokens, thinking.least, thinking.most)
  } else if (asked) {
    config['thinkingBudget'] = clamp(tokensFor(asked.effort), thinking.least, thinking.most)
  }
  if (wantsReasoning || budget) config['includeThoughts'] = true
  return Object.keys(config).length > 0 ? config : undefined
}

function effortOf({
  conversation,
}: Exchange): { readonly effort: Effort; readonly param: string } | undefined {
  const { effort, request } = conversation
  if (effort === undefined) return undefined
  const param =
    typeof request['reasoning_effort'] === 'string' ? 'reasoning_effort' : 'reasoning.effort'
  const known = EFFORTS.find((name) => name === effort)
  if (known) return { effort: known, param }
  throw invalid(param, `'${effort}' is not known; ${EFFORTS.join(', ')} are.`)
}

function budgetOf(
  request: Readonly<Record<string, unknown>>,
): { readonly tokens: number; readonly param: string } | undefined {
  const plain = integer(request['reasoning_max_tokens'])
  if (plain !== undefined) return { tokens: plain, param: 'reasoning_max_tokens' }
  const inner = integer(record(request['reasoning'])['max_tokens'])
  return inner === undefined ? undefined : { tokens: inner, param: 'reasoning.max_tokens' }
}

function tokensFor(effort: Effort): number {
  if (effort === 'none') return 0
  return effort === 'xhigh' || effort === 'max' ? Number.MAX_SAFE_INTEGER : BUDGETS[effort]
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}

const ownNames: readonly (readonly [snake: string, camel: string])[] = [
  ['include_thoughts', 'includeThoughts'],
  ['thinking_budget', 'thinkingBudget'],
  ['thinking_level', 'thinkingLevel'],
]

/** `thinking_config` in either spelling, as the vendor's own OpenAI-compatible surface takes it. */
function ownConfig(value: unknown, param: string): Record<string, unknown> {
  if (!isRecord(value)) throw invalid(param, 'Expected an object.')
  const unknown = Object.keys(value).find((name) => !ownNames.some((pair) => pair.includes(name)))
  if (unknown !== undefined) throw invalid(`${param}.${unknown}`, `'${unknown}' is not known.`)
  return Object.fromEntries(
    ownNames.flatMap(([snake, camel]) => {
      const given = value[camel] ?? value[snake]
      return given === undefined || given === null ? [] : [[camel, given]]
    }),
  )
}
