import { addDetail } from '#openai/answer/collector.ts'
import type { ReasoningDetail } from '#openai/answer/writer.ts'
import type {
  AssistantTurn,
  PastCall,
  ToolTurn,
  UserTurn,
} from '#openai/conversation/conversation.ts'
import { invalid, unsupported } from '#openai/conversation/fields.ts'

import { blockOf, cachePoint } from './blocks.ts'
import type { BlockContext } from './blocks.ts'
import { callId } from './names.ts'
import type { Names } from './names.ts'
import type { Block, Message, ReasoningBlock, SystemBlock, ToolResultBlock } from './wire.ts'
import { REDACTED_FORMAT, SIGNED_FORMAT } from './wire.ts'

/** What is said before and in a conversation. */
export interface Said {
  readonly system: SystemBlock[]
  readonly messages: Message[]
  /** Names of tools that the history calls, as the vendor knows them. */
  readonly called: ReadonlySet<string>
}

/** A message as it grows; in the user's, results of calls come before everything else. */
interface Draft {
  readonly role: 'user' | 'assistant'
  readonly results: Block[]
  readonly content: Block[]
  /** Ids of the calls made, or of those answered. */
  readonly calls: Map<string, string>
  readonly param: string
}

/**
 * The turns as messages of changing roles ("Message", API Reference, as read in November 2026). Throws a 400 for what
 * the vendor would refuse with less of an explanation: calls without results, results at the wrong place, nothing said.
 */
export function messagesOf(context: BlockContext, names: Names): Said {
  const system: SystemBlock[] = []
  const drafts: Draft[] = []
  const called = new Set<string>()
  const draftFor = (role: Draft['role'], param: string): Draft => {
    const last = drafts.at(-1)
    if (last?.role === role) return last
    const draft: Draft = { role, results: [], content: [], calls: new Map(), param }
    drafts.push(draft)
    return draft
  }
  for (const turn of context.exchange.conversation.turns) {
    switch (turn.role) {
      case 'instruction':
        for (const part of turn.parts) {
          if (part.text.trim() !== '') system.push({ text: part.text })
          const point = cachePoint(part, context)
          if (point && system.length > 0) system.push(point)
        }
        break
      case 'user':
        addUser(draftFor('user', turn.param), turn, context)
        break
      case 'assistant':
        for (const { name } of turn.calls) called.add(names.out(name))
        addAssistant(draftFor('assistant', turn.param), turn, context, names)
        break
      case 'tool':
        addResult(draftFor('user', turn.param), turn, context)
        break
      default:
        turn satisfies never
    }
  }
  const kept = merged(drafts)
  checkResults(kept)
  if (kept.length === 0) throw invalid('messages', 'This provider needs a message of the user.')
  if (kept[0]!.role !== 'user') {
    throw invalid(kept[0]!.param, 'With this provider a conversation begins with the user.')
  }
  return { system, messages: kept.map(messageOf), called }
}

/** Without the messages that say nothing, whose neighbours then speak as one. */
function merged(drafts: readonly Draft[]): Draft[] {
  const kept: Draft[] = []
  for (const draft of drafts) {
    if (draft.content.length === 0 && draft.results.length === 0) continue
    const last = kept.at(-1)
    if (last?.role !== draft.role) {
      kept.push(draft)
      continue
    }
    last.results.push(...draft.results)
    last.content.push(...draft.content)
    for (const [id, param] of draft.calls) last.calls.set(id, param)
  }
  const last = kept.at(-1)
  if (last?.role === 'assistant') trimEnd(last.content)
  return kept
}

/** The beginning of an answer must not end with white space. */
function trimEnd(content: Block[]): void {
  const last = content.at(-1)
  if (last && 'text' in last) last.text = last.text.trimEnd()
}

function messageOf({ role, results, content }: Draft): Message {
  const blocks = [...results, ...content]
  const hasDocument = content.some((block) => 'document' in block)
  if (role === 'user' && hasDocument && !content.some((block) => 'text' in block)) {
    // The vendor refuses a document that nothing is said about.
    blocks.push({ text: 'See the document.' })
  }
  return { role, content: blocks }
}

function checkResults(drafts: readonly Draft[]): void {
  drafts.forEach(({ role, calls, param }, at) => {
    if (role === 'user') {
      const asked = drafts[at - 1]?.calls
      for (const [id, place] of calls) {
        if (!asked?.has(id)) {
          throw invalid(
            `${place}.tool_call_id`,
            'This result does not follow the assistant message that made its call.',
          )
        }
      }
      return
    }
    const answered = drafts[at + 1]?.calls
    for (const [id, place] of calls) {
      if (!answered?.has(id)) {
        throw invalid(
          place,
          `An assistant message with tool calls must be followed by their results; this call of '${param}' has none.`,
        )
      }
    }
  })
}

function addUser({ content }: Draft, turn: UserTurn, context: BlockContext): void {
  if (turn.name !== undefined) context.exchange.drop(`${turn.param}.name`)
  for (const part of turn.parts) {
    const block = blockOf(part, context)
    if (block) content.push(block)
    const point = cachePoint(part, context)
    if (point && content.length > 0) content.push(point)
  }
}

/** Members of an answer that say nothing to a model. */
const ofAnswers: ReadonlySet<string> = new Set(['audio', 'citations'])

function addAssistant(
  { content, calls }: Draft,
  turn: AssistantTurn,
  context: BlockContext,
  names: Names,
): void {
  const { exchange, family } = context
  if (turn.name !== undefined) exchange.drop(`${turn.param}.name`)
  for (const member of Object.keys(turn.extra)) {
    if (!ofAnswers.has(member)) exchange.drop(`${turn.param}.${member}`)
  }
  content.push(...pastThoughts(turn, context))
  for (const part of turn.parts) {
    if (part.type === 'audio') throw unsupported(part.param, 'The model has said text only.')
    const block = blockOf(part, context)
    if (block) content.push(block)
    const point = cachePoint(part, context)
    if (point && content.length > 0) content.push(point)
  }
  for (const call of turn.calls) {
    const toolUseId = callId(call.id, family)
    if (calls.has(toolUseId)) throw invalid(`${call.param}.id`, 'Two calls have the same id.')
    calls.set(toolUseId, call.param)
    for (const member of Object.keys(call.extra)) exchange.drop(`${call.param}.${member}`)
    content.push({ toolUse: { toolUseId, name: names.out(call.name), input: inputOf(call) } })
    if (call.kind === 'function' && !call.input) {
      // What the model wrote was no JSON object: it is said again as a member of one.
      exchange.drop(`${call.param}.function.arguments`)
    }
    const point = cachePoint(call, context)
    if (point) content.push(point)
  }
}

function inputOf({ kind, input, text }: PastCall): Readonly<Record<string, unknown>> {
  if (kind === 'custom') return { input: text }
  return input ?? { _raw: text }
}

/** What an earlier answer thought, first in its message. What these models have not signed is left out and declared. */
function pastThoughts(turn: AssistantTurn, { exchange, family }: BlockContext): ReasoningBlock[] {
  const blocks: ReasoningBlock[] = []
  let lost = false
  for (const detail of joined(turn.details)) {
    const block = family.name === 'claude' ? thoughtOf(detail) : undefined
    if (block) blocks.push(block)
    else lost = true
  }
  if (lost) exchange.drop(`${turn.param}.reasoning_details`)
  if (turn.details.length === 0 && turn.reasoning !== undefined && turn.reasoning !== '') {
    exchange.drop(`${turn.param}.reasoning`)
  }
  return blocks
}

/** Clients of streams keep the pieces as they came. */
function joined(details: readonly ReasoningDetail[]): readonly ReasoningDetail[] {
  const whole: ReasoningDetail[] = []
  for (const piece of details) addDetail(whole, piece)
  return whole
}

function thoughtOf(detail: ReasoningDetail): ReasoningBlock | undefined {
  const { type, format, text, signature, data } = detail
  if (type === 'reasoning.text' && format === SIGNED_FORMAT && signature) {
    return { reasoningContent: { reasoningText: { text: text ?? '', signature } } }
  }
  if (type === 'reasoning.encrypted' && format === REDACTED_FORMAT && data) {
    return { reasoningContent: { redactedContent: data } }
  }
  return undefined
}

type ResultContent = ToolResultBlock['toolResult']['content'][number]

function addResult({ results, calls }: Draft, turn: ToolTurn, context: BlockContext): void {
  const { exchange, family } = context
  const toolUseId = callId(turn.callId, family)
  if (calls.has(toolUseId)) {
    throw invalid(`${turn.param}.tool_call_id`, 'This call has been answered already.')
  }
  calls.set(toolUseId, turn.param)
  const content: ResultContent[] = []
  for (const part of turn.parts) {
    const block = blockOf(part, context)
    if (block && 'audio' in block) throw unsupported(part.param, 'A result cannot be audio.')
    if (block) content.push(block)
  }
  if (content.length === 0) content.push({ text: '(empty)' })
  const isError = turn.isError && family.resultStatus
  if (turn.isError && !isError) exchange.drop(`${turn.param}.is_error`)
  results.push({ toolResult: { toolUseId, content, ...(isError && { status: 'error' }) } })
  const marked = turn.parts.findLast(({ cacheControl }) => cacheControl)
  const point = marked && cachePoint(marked, context)
  if (point) results.push(point)
}
