import type { Conversation, Tool, ToolChoice } from '#openai/conversation/conversation.ts'
import { invalid, unsupported } from '#openai/conversation/fields.ts'

/** Tools as a vendor is told of them that has functions only and cannot be told to call a certain one. */
export interface OfferedTools {
  /** Those that may be called: a named tool is forced by offering no other. */
  readonly tools: readonly Tool[]
  readonly mode: 'auto' | 'none' | 'required'
  /** Where the caller wrote its choice. */
  readonly param: 'tool_choice' | 'function_call'
}

/** Throws a 400 for custom tools, for a choice among no tools, and for the choice of a tool that is not there. */
export function offeredTools(conversation: Conversation, provider: string): OfferedTools {
  const { tools, toolChoice, request } = conversation
  const param = request['tool_choice'] === undefined ? 'function_call' : 'tool_choice'
  const custom = tools.find(({ kind }) => kind === 'custom')
  if (custom) {
    throw unsupported(
      custom.param,
      `Provider '${provider}' has no tools that take free text; declare a function instead.`,
    )
  }
  const mode = toolChoice?.mode ?? 'auto'
  if (mode === 'auto' || mode === 'none') return { tools, mode, param }
  if (tools.length === 0) throw invalid(param, 'There are no tools to choose from.')
  if (mode === 'required') return { tools, mode, param }
  const { names, isForced } = chosen(toolChoice)
  const missing = names.find((name) => !tools.some((tool) => tool.name === name))
  if (missing !== undefined || names.length === 0) {
    throw invalid(param, `The tool '${missing ?? ''}' is not among the tools.`)
  }
  return {
    tools: tools.filter(({ name }) => names.includes(name)),
    mode: isForced ? 'required' : 'auto',
    param,
  }
}

function chosen(choice: ToolChoice | undefined): { names: readonly string[]; isForced: boolean } {
  if (choice?.mode === 'named') return { names: [choice.name], isForced: true }
  if (choice?.mode === 'allowed') return { names: choice.names, isForced: choice.required }
  return { names: [], isForced: false }
}

/** JSON Schema of a tool's arguments; one without any takes an empty object. */
export function schemaOf({ schema }: Tool): Readonly<Record<string, unknown>> {
  return schema && Object.keys(schema).length > 0 ? schema : { type: 'object', properties: {} }
}
