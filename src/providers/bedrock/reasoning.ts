import { integer, invalid, record } from '#openai/conversation/fields.ts'

import { planEffort } from '../anthropic/thinking.ts'
import type { Exchange } from '../exchange.ts'
import type { Family } from './families.ts'

/** What a request says about thinking, and what follows from it. */
export interface Reasoning {
  /** For `additionalModelRequestFields`. */
  readonly additional: Readonly<Record<string, unknown>>
  readonly maxTokens: number | undefined
  /** The model thinks, so that no call can be demanded of it. */
  readonly thinks: boolean
  /** Temperature and the like may be sent. */
  readonly samples: boolean
}

const efforts: readonly string[] = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']
const threeEfforts: Readonly<Record<string, string>> = {
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
}

/**
 * Maps effort as the model's family has it ("Extended thinking" and the parameters of each family, Amazon Bedrock User
 * Guide; "Extended thinking", Amazon Nova 2 User Guide, as read in November 2026). `forced`: a call will be demanded.
 */
export function planReasoning(exchange: Exchange, family: Family, forced: boolean): Reasoning {
  const { effort, maxTokens, request } = exchange.conversation
  if (effort !== undefined && !efforts.includes(effort)) {
    throw invalid(effortParam(exchange), `'${effort}' is not one of ${efforts.join(', ')}.`)
  }
  if (family.name === 'claude') return ofClaude(exchange, forced)
  if (integer(request['reasoning_max_tokens'])) exchange.drop('reasoning_max_tokens')
  if (integer(record(request['reasoning'])['max_tokens'])) exchange.drop('reasoning.max_tokens')
  const none = { additional: {}, maxTokens, thinks: false, samples: true }
  if (effort === undefined) return none
  const level = threeEfforts[effort]
  if (family.name === 'nova2') return ofNova(exchange, level)
  if (family.name === 'gpt-oss' && level !== undefined) {
    return { ...none, additional: { reasoning_effort: level } }
  }
  // To think not at all is what a model does that cannot think.
  if (level !== undefined || family.name === 'gpt-oss') exchange.drop(effortParam(exchange))
  return none
}

function effortParam({ conversation }: Exchange): string {
  return conversation.request['reasoning_effort'] === undefined
    ? 'reasoning.effort'
    : 'reasoning_effort'
}

function ofClaude(exchange: Exchange, forced: boolean): Reasoning {
  const { thinking, effort, maxTokens, thinks } = planEffort(exchange, forced)
  return {
    additional: {
      ...(thinking && { thinking }),
      ...(effort !== undefined && { output_config: { effort } }),
    },
    maxTokens,
    thinks,
    samples: !thinks,
  }
}

function ofNova(exchange: Exchange, level: string | undefined): Reasoning {
  const { maxTokens } = exchange.conversation
  if (level === undefined) {
    const additional = { reasoningConfig: { type: 'disabled' } }
    return { additional, maxTokens, thinks: false, samples: true }
  }
  const additional = { reasoningConfig: { type: 'enabled', maxReasoningEffort: level } }
  // At its highest effort the model sets limits of its own and takes none.
  const isHigh = level === 'high'
  if (isHigh && maxTokens !== undefined) {
    const { request } = exchange.conversation
    exchange.drop(
      request['max_completion_tokens'] === undefined ? 'max_tokens' : 'max_completion_tokens',
    )
  }
  return { additional, maxTokens: isHigh ? undefined : maxTokens, thinks: false, samples: !isHigh }
}
