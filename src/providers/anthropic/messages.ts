import type {
  AssistantTurn,
  CacheControl,
  InstructionTurn,
  Part,
  PastCall,
  ToolTurn,
  UserTurn,
} from '#openai/conversation/conversation.ts'
import { invalid, unsupported } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { blockOf, type PartContext } from './blocks.ts'
import { foreignBlocks, pastThoughts } from './history.ts'
import { createCallIds, type ToolNames } from './names.ts'
import type { Block, Marked, Message, TextBlock, ToolResultBlock } from './wire.ts'

/** A cache marker that was set, with the place in the caller's request that asked for it. */
export interface Marker {
  readonly holder: { cache_control?: CacheControl }
  readonly param: string
}

/** A conversation as the vendor wants it told. */
export interface Told {
  readonly system: TextBlock[]
  readonly messages: Message[]
  /** In the order in which the vendor reads them. */
  readonly systemMarkers: Marker[]
  readonly messageMarkers: Marker[]
}

export interface TellOptions {
  readonly names: ToolNames
  readonly downloadsUrls: boolean
  /** Instructions after the first message may stay where they are. */
  readonly laterSystem: boolean
  /** The conversation may end with the beginning of the answer. */
  readonly prefill: boolean
}

/** A call of the assistant's latest turn that has no result yet. */
interface Open {
  readonly call: PastCall
  readonly id: string
  result: ToolResultBlock | undefined
}

/**
 * The turns as system blocks and alternating messages (docs pages "Working with messages" and "Handle tool calls", as
 * read in November 2026). Throws a 400 with the place of what the vendor has no way to take.
 */
export function tellTurns(exchange: Exchange, options: TellOptions): Told {
  const teller = createTeller(exchange, options)
  for (const turn of exchange.conversation.turns) {
    switch (turn.role) {
      case 'instruction':
        teller.instruct(turn)
        break
      case 'user':
        teller.user(turn)
        break
      case 'assistant':
        teller.assistant(turn)
        break
      case 'tool':
        teller.result(turn)
        break
      default:
        turn satisfies never
    }
  }
  return teller.finish()
}

function createTeller(exchange: Exchange, { names, downloadsUrls, ...options }: TellOptions) {
  const context: PartContext = {
    resources: exchange.resources,
    downloadsUrls,
    drop: (place) => exchange.drop(place),
  }
  const told: Told = { system: [], messages: [], systemMarkers: [], messageMarkers: [] }
  const { messages } = told
  const uniqueId = createCallIds()
  let open = new Map<string, Open>()
  /** What is said between calls and the last of their results; it follows the results. */
  let waiting: Message[] = []
  /** Instructions given after the first message, until it is clear where they may stand. */
  let held: { readonly block: TextBlock; readonly param: string }[] = []
  let last: AssistantTurn | undefined

  function mark<T extends Marked>(block: T, marker: CacheControl | undefined, param: string): T {
    if (marker) {
      block.cache_control = marker
      told.messageMarkers.push({ holder: block, param: `${param}.cache_control` })
    }
    return block
  }

  /** A part that says nothing is left out, and its marker has nothing to stand on. */
  function unmarked({ cacheControl, param }: Part): void {
    if (cacheControl) exchange.drop(`${param}.cache_control`)
  }

  function add(role: Message['role'], content: Block[]): void {
    if (content.length === 0) return
    if (open.size > 0) {
      waiting.push({ role, content })
      return
    }
    const before = messages.at(-1)
    if (before?.role === role) before.content.push(...content)
    else messages.push({ role, content })
  }

  /** All results of one turn go into one message, in the order of the calls, and what else was said after them. */
  function settle(): void {
    if (open.size === 0) return
    const results: Block[] = []
    for (const { call, result } of open.values()) {
      if (!result) {
        throw invalid(
          `${call.param}.id`,
          `The call '${call.id}' has no result: each of an assistant message's tool_calls must be answered by a 'tool' message before the conversation goes on.`,
        )
      }
      results.push(result)
    }
    open = new Map()
    const rest = waiting
    waiting = []
    add('user', results)
    for (const { role, content } of rest) add(role, content)
  }

  function instructFirst(block: TextBlock, param: string): void {
    told.system.push(block)
    if (block.cache_control) {
      told.systemMarkers.push({ holder: block, param: `${param}.cache_control` })
    }
  }

  /**
   * The vendor wants a later instruction between what the user says and the answer to it; where nobody said anything
   * it is said by the user (docs page "Mid-conversation system messages", as read in November 2026).
   */
  function placeHeld(): void {
    const instructions = held
    held = []
    if (instructions.length === 0) return
    const followsUser = messages.at(-1)?.role === 'user'
    if (followsUser && !options.laterSystem) {
      for (const { block, param } of instructions) instructFirst(block, param)
      return
    }
    for (const { block, param } of instructions) mark(block, block.cache_control, param)
    add(
      followsUser ? 'system' : 'user',
      instructions.map(({ block }) => block),
    )
  }

  return {
    instruct(turn: InstructionTurn): void {
      const isLater = messages.length > 0 || open.size > 0
      for (const part of turn.parts) {
        if (part.text.trim() === '') {
          unmarked(part)
          continue
        }
        const block: TextBlock = { type: 'text', text: part.text }
        if (part.cacheControl) block.cache_control = part.cacheControl
        if (isLater) held.push({ block, param: part.param })
        else instructFirst(block, part.param)
      }
    },

    user(turn: UserTurn): void {
      if (turn.name !== undefined) exchange.drop(`${turn.param}.name`)
      const blocks: Block[] = []
      for (const part of turn.parts) {
        const block = blockOf(part, context)
        if (block) blocks.push(mark(block, part.cacheControl, part.param))
        else unmarked(part)
      }
      add('user', blocks)
    },

    assistant(turn: AssistantTurn): void {
      settle()
      placeHeld()
      last = turn
      if (turn.name !== undefined) exchange.drop(`${turn.param}.name`)
      const content: Block[] = [...pastThoughts(turn, exchange), ...foreignBlocks(turn, exchange)]
      for (const part of turn.parts) {
        if (part.type !== 'text') {
          throw unsupported(part.param, `An assistant message holds text only, no ${part.type}.`)
        }
        const block = blockOf(part, context)
        if (block) content.push(mark(block as TextBlock, part.cacheControl, part.param))
        else unmarked(part)
      }
      const calls = new Map<string, Open>()
      for (const call of turn.calls) {
        if (calls.has(call.id)) {
          throw invalid(`${call.param}.id`, `Two calls of this message have the id '${call.id}'.`)
        }
        for (const name of Object.keys(call.extra)) exchange.drop(`${call.param}.${name}`)
        const id = uniqueId(call.id)
        calls.set(call.id, { call, id, result: undefined })
        const block = {
          type: 'tool_use' as const,
          id,
          name: names.out(call.name),
          input: inputOf(call),
        }
        content.push(mark(block, call.cacheControl, call.param))
      }
      add('assistant', content)
      open = calls
    },

    result(turn: ToolTurn): void {
      const asked = open.get(turn.callId)
      if (!asked) {
        throw invalid(
          `${turn.param}.tool_call_id`,
          `The result of call '${turn.callId}' does not follow the assistant message that made this call.`,
        )
      }
      if (asked.result) {
        throw invalid(
          `${turn.param}.tool_call_id`,
          `The call '${turn.callId}' has been answered already.`,
        )
      }
      asked.result = resultOf(turn, asked.id)
    },

    finish(): Told {
      settle()
      placeHeld()
      const final = messages.at(-1)
      if (!final) {
        throw invalid('messages', 'This provider needs at least one message that is not empty.')
      }
      if (final.role === 'assistant' && last) endWithAssistant(final, last)
      return told
    },
  }

  function resultOf(turn: ToolTurn, id: string): ToolResultBlock {
    const block: ToolResultBlock = { type: 'tool_result', tool_use_id: id }
    const content: Extract<ToolResultBlock['content'], readonly unknown[]> = []
    for (const part of turn.parts) {
      const inner = blockOf(part, context)
      // The marker of the last part is the result's own; inside, there may be others.
      if (inner) {
        content.push(
          part === turn.parts.at(-1) ? inner : mark(inner, part.cacheControl, part.param),
        )
      }
    }
    const [first] = content
    if (content.length === 1 && first?.type === 'text' && !first.cache_control) {
      block.content = first.text
    } else if (first) block.content = content
    if (turn.isError) block.is_error = true
    return mark(block, turn.parts.at(-1)?.cacheControl, turn.parts.at(-1)?.param ?? turn.param)
  }

  function endWithAssistant(final: Message, turn: AssistantTurn): void {
    if (!options.prefill) {
      throw unsupported(
        turn.param,
        'This model does not continue an answer that was begun for it: the last message must not be an assistant message.',
      )
    }
    const block = final.content.at(-1)
    // The vendor refuses white space at the end of a prefilled answer.
    if (block?.type === 'text') (block as TextBlock).text = (block as TextBlock).text.trimEnd()
  }
}

/** The vendor takes objects only; what the model wrote instead of one is kept under a name of its own. */
function inputOf(call: PastCall): Readonly<Record<string, unknown>> {
  if (call.kind === 'custom') return { input: call.text }
  return call.input ?? { _raw: call.text }
}
