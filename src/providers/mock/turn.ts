// What the mock's models say: one decision for chat completions and responses alike.

import { MockFailure } from './answer.ts'
import { sample } from './schema.ts'
import { firstWords } from './text.ts'
import { record } from './wire.ts'

/** A tool as both dialects describe it. */
export interface Tool {
  readonly name: string
  readonly kind: 'function' | 'custom'
  readonly schema: unknown
}

/** The parts of a conversation that decide the answer. */
export interface Prompt {
  readonly behaviour: string
  /** The last thing the user said. */
  readonly text: string
  /** What the last message is, when it is the result of a tool call. */
  readonly toolResult: string | undefined
  readonly tools: readonly Tool[]
  readonly toolChoice: unknown
  readonly parallel: boolean
  /** JSON schema the answer must follow; `true` when any object will do. */
  readonly schema: unknown
  readonly maxTokens: number | undefined
}

/** A call of a tool, arguments as the text that goes over the wire. */
export interface ToolCall {
  readonly name: string
  readonly kind: 'function' | 'custom'
  readonly input: string
}

/** One answer of a model. */
export interface Turn {
  readonly reasoning: string | undefined
  readonly text: string
  readonly refusal: boolean
  readonly calls: readonly ToolCall[]
  readonly finish: 'stop' | 'length' | 'tool_calls'
}

const refusalText = 'I cannot help with that.'

/** What the model answers. */
export function takeTurn(prompt: Prompt): Turn {
  const plain = { reasoning: undefined, refusal: false, calls: [], finish: 'stop' } as const
  switch (prompt.behaviour) {
    case 'tools': {
      const calls = chooseCalls(prompt)
      if (calls.length > 0) return { ...plain, text: '', calls, finish: 'tool_calls' }
      return {
        ...plain,
        text: prompt.toolResult === undefined ? prompt.text : `The tool says: ${prompt.toolResult}`,
      }
    }
    case 'reason':
      return { ...plain, reasoning: `The user said: ${prompt.text}`, text: prompt.text }
    case 'json':
      return {
        ...plain,
        text: JSON.stringify(sample(prompt.schema === true ? {} : prompt.schema) ?? {}),
      }
    case 'refuse':
      return { ...plain, text: refusalText, refusal: true }
    case 'length':
      return { ...plain, text: firstWords(prompt.text, prompt.maxTokens ?? 3), finish: 'length' }
    case 'reverse':
      return { ...plain, text: Array.from(prompt.text).toReversed().join('') }
    default:
      return { ...plain, text: prompt.text }
  }
}

function chooseCalls(prompt: Prompt): ToolCall[] {
  const { tools, toolChoice } = prompt
  if (tools.length === 0 || toolChoice === 'none' || prompt.toolResult !== undefined) return []
  const named = nameOf(toolChoice)
  if (named !== undefined) {
    const tool = tools.find(({ name }) => name === named)
    if (!tool) {
      throw new MockFailure({
        status: 400,
        message: `Tool choice '${named}' is not among the tools.`,
        param: 'tool_choice',
        code: 'invalid_value',
      })
    }
    return [callOf(tool)]
  }
  return tools.slice(0, prompt.parallel ? tools.length : 1).map(callOf)
}

function nameOf(choice: unknown): string | undefined {
  const { name, function: chat, custom } = record(choice)
  for (const holder of [{ name }, chat, custom]) {
    const found = record(holder).name
    if (typeof found === 'string') return found
  }
  return undefined
}

function callOf(tool: Tool): ToolCall {
  const input = tool.kind === 'custom' ? 'mock input' : JSON.stringify(sample(tool.schema) ?? {})
  return { name: tool.name, kind: tool.kind, input }
}
