import { addDetail } from '#openai/answer/collector.ts'
import type { ReasoningDetail } from '#openai/answer/writer.ts'
import type { AssistantTurn, Turn } from '#openai/conversation/conversation.ts'
import { isRecord } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { classOf } from './models.ts'
import type { Block, ForeignBlock } from './wire.ts'
import { reasoningFormat } from './wire.ts'

// What an earlier answer held besides text and calls, sent back as the vendor signed it.

/** The thinking blocks of an earlier answer, in their order. What the vendor did not sign is left out and declared. */
export function pastThoughts(turn: AssistantTurn, exchange: Exchange): Block[] {
  const thinks = classOf(exchange.model).thinking !== 'none'
  const blocks: Block[] = []
  let lost = false
  for (const detail of joined(turn.details)) {
    const block = thinks ? thoughtOf(detail) : undefined
    if (block) blocks.push(block)
    else lost = true
  }
  if (lost) exchange.drop(`${turn.param}.reasoning_details`)
  if (turn.details.length === 0 && turn.reasoning !== undefined && turn.reasoning !== '') {
    // Text alone cannot be sent: a thinking block without its signature is refused.
    exchange.drop(`${turn.param}.reasoning`)
  }
  return blocks
}

/** Clients of streams keep the pieces as they came. */
function joined(details: readonly ReasoningDetail[]): readonly ReasoningDetail[] {
  if (details.length < 2) return details
  const whole: ReasoningDetail[] = []
  for (const piece of details) addDetail(whole, piece)
  return whole
}

function thoughtOf({ type, format, text, signature, data }: ReasoningDetail): Block | undefined {
  if (format !== reasoningFormat) return undefined
  if (type === 'reasoning.text' && signature !== undefined && signature !== '') {
    return { type: 'thinking', thinking: text ?? '', signature }
  }
  if (type === 'reasoning.encrypted' && data !== undefined && data !== '') {
    return { type: 'redacted_thinking', data }
  }
  return undefined
}

const sentBack = /^(?:server_tool_use|mcp_tool_use|\w+_tool_result|container_upload|compaction)$/

/** Blocks of server tools that an earlier answer carried as `provider_content`. */
export function foreignBlocks(turn: AssistantTurn, exchange: Exchange): Block[] {
  const { provider_content: given, ...others } = turn.extra
  for (const name of Object.keys(others)) {
    if (!ofAnswers.has(name)) exchange.drop(`${turn.param}.${name}`)
  }
  if (given === undefined) return []
  const list: unknown[] = Array.isArray(given) ? given : [given]
  const blocks = list.filter(
    (block): block is ForeignBlock =>
      isRecord(block) && typeof block['type'] === 'string' && sentBack.test(block['type']),
  )
  if (blocks.length < list.length) exchange.drop(`${turn.param}.provider_content`)
  return blocks
}

/** Members of this vendor's own answers that say nothing to a model. */
const ofAnswers: ReadonlySet<string> = new Set(['citations'])

/** True where the conversation stands inside a loop of tool calls that was begun without signed thoughts. */
export function loopLacksThoughts(turns: readonly Turn[]): boolean {
  let inLoop = false
  for (let at = turns.length - 1; at >= 0; at--) {
    const turn = turns[at]!
    if (turn.role === 'tool') inLoop = true
    else if (turn.role === 'assistant') {
      return inLoop && !joined(turn.details).some((detail) => thoughtOf(detail) !== undefined)
    } else if (turn.role === 'user') return false
  }
  return false
}
