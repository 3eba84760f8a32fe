import { GatewayError } from '#core/errors.ts'
import type { Conversation, Tool as GivenTool } from '#openai/conversation/conversation.ts'
import {
  integer,
  invalid,
  isRecord,
  record,
  text,
  unsupported,
} from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { Marker } from './messages.ts'
import { classOf } from './models.ts'
import { searchTool, type ToolNames } from './names.ts'
import { cleanSchema } from './schema.ts'
import type { Tool, ToolChoice } from './wire.ts'

// Tools and what is wanted of them (docs pages "Define tools" and "Web search tool", as read in November 2026).

const noArguments = { type: 'object', properties: {} }
const freeText = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'] }
/** Members of a tool that only this vendor knows. */
export const ownMembers = [
  'eager_input_streaming',
  'defer_loading',
  'input_examples',
  'allowed_callers',
]

/** The tools in the caller's order, which the vendor's cache and signatures depend on; then those of the gateway. */
export function toolsOf(exchange: Exchange, names: ToolNames, markers: Marker[]): Tool[] {
  const { conversation } = exchange
  const { toolChoice, format, request } = conversation
  const chosen =
    toolChoice?.mode === 'allowed'
      ? conversation.tools.filter(({ name }) => toolChoice.names.includes(name))
      : conversation.tools
  const tools = chosen.map((given) => {
    const tool = toolOf(given, exchange, names)
    if (given.cacheControl) {
      tool.cache_control = given.cacheControl
      markers.push({ holder: tool, param: `${given.param}.cache_control` })
    }
    return tool
  })
  if (names.answerTool !== undefined && format.kind === 'schema') {
    tools.push({
      name: names.answerTool,
      description: format.description ?? 'Gives the final answer.',
      input_schema: objectSchema(format.schema, 'response_format.json_schema.schema'),
    })
  }
  if (isRecord(request['web_search_options'])) {
    tools.push(webSearch(request['web_search_options']))
  }
  for (const server of serversOf(request)) {
    tools.push({ type: 'mcp_toolset', mcp_server_name: server } as unknown as Tool)
  }
  return tools
}

function toolOf(given: GivenTool, exchange: Exchange, names: ToolNames): Tool {
  const { description, kind, param, strict, written } = given
  const structured = classOf(exchange.model).structured
  if (kind === 'custom' && isRecord(record(written['custom'])['format'])) {
    if (record(record(written['custom'])['format'])['type'] === 'grammar') {
      throw unsupported(`${param}.format`, 'This provider does not hold tools to a grammar.')
    }
  }
  let schema: Readonly<Record<string, unknown>> =
    kind === 'custom' ? freeText : objectSchema(given.schema ?? noArguments, `${param}.parameters`)
  let isStrict = strict === true && structured
  if (strict === true && !structured) exchange.drop(`${param}.strict`)
  if (isStrict) {
    const cleaned = tryClean(schema, `${param}.parameters`)
    if (cleaned) schema = cleaned
    else {
      isStrict = false
      exchange.drop(`${param}.strict`)
    }
  }
  const tool: Record<string, unknown> = { name: names.out(given.name) }
  if (description !== undefined && description !== '') tool['description'] = description
  tool['input_schema'] = schema
  if (isStrict) tool['strict'] = true
  for (const member of ownMembers) {
    if (written[member] !== undefined) tool[member] = written[member]
  }
  return tool as unknown as Tool
}

/** The schema cleaned for strictness; undefined when that cannot be done. */
function tryClean(
  schema: Readonly<Record<string, unknown>>,
  param: string,
): Readonly<Record<string, unknown>> | undefined {
  try {
    return cleanSchema(schema, param)
  } catch (error) {
    if (error instanceof GatewayError) return undefined
    throw error
  }
}

function objectSchema(
  schema: Readonly<Record<string, unknown>>,
  param: string,
): Readonly<Record<string, unknown>> {
  const { type } = schema
  if (type === 'object') return schema
  if (type === undefined || type === null) return { ...schema, type: 'object' }
  throw unsupported(`${param}.type`, "This provider takes arguments of the type 'object' only.")
}

/** OpenAI limits how much is read, this vendor how often it searches. */
const usesBySize: ReadonlyMap<unknown, number> = new Map<unknown, number>([
  ['low', 1],
  ['medium', 5],
  ['high', 10],
])

function webSearch(options: Readonly<Record<string, unknown>>): Tool {
  const { search_context_size: size, user_location: location, max_uses: maxUses } = options
  const uses = integer(maxUses) ?? usesBySize.get(size)
  const near = record(record(location)['approximate'] ?? location)
  const places = ['city', 'region', 'country', 'timezone'].flatMap((name) => {
    const place = text(near[name])
    return place === undefined ? [] : [[name, place] as const]
  })
  return {
    type: 'web_search_20250305',
    name: searchTool,
    ...(uses !== undefined && { max_uses: uses }),
    ...(places.length > 0 && {
      user_location: { type: 'approximate', ...Object.fromEntries(places) },
    }),
  }
}

/** Names of the MCP servers that the vendor shall connect to; each needs a toolset among the tools. */
function serversOf(request: Readonly<Record<string, unknown>>): string[] {
  const servers: unknown[] = Array.isArray(request['mcp_servers']) ? request['mcp_servers'] : []
  return servers.flatMap((server) => text(record(server)['name']) ?? [])
}

/** True when a call will be demanded of a model that lets itself be told. */
export function forcesTool({ conversation, model }: Exchange, names: ToolNames): boolean {
  if (!classOf(model).forcedTools) return false
  if (names.answerTool !== undefined) return true
  const choice = conversation.toolChoice
  return (
    choice?.mode === 'required' ||
    choice?.mode === 'named' ||
    (choice?.mode === 'allowed' && choice.required)
  )
}

/** `tool_choice`; undefined where the vendor's default is meant. `thinks` excludes a demand. */
export function toolChoiceOf(
  exchange: Exchange,
  names: ToolNames,
  tools: readonly Tool[],
  thinks: boolean,
): ToolChoice | undefined {
  const { conversation, model } = exchange
  const wanted = wantedChoice(conversation, names, tools)
  if (!wanted) return undefined
  const demands = wanted.type === 'any' || wanted.type === 'tool'
  if (!demands) return wanted
  if (classOf(model).forcedTools && !thinks) return wanted
  exchange.drop('tool_choice')
  return conversation.parallelCalls === false
    ? { type: 'auto', disable_parallel_tool_use: true }
    : { type: 'auto' }
}

function wantedChoice(
  conversation: Conversation,
  names: ToolNames,
  tools: readonly Tool[],
): ToolChoice | undefined {
  const { toolChoice: choice, parallelCalls } = conversation
  const alone = parallelCalls === false ? ({ disable_parallel_tool_use: true } as const) : undefined
  checkChoice(conversation, tools)
  if (tools.length === 0) return undefined
  if (names.answerTool !== undefined) {
    const mayCall = conversation.tools.length > 0 && choice?.mode !== 'none'
    // Either the answer or calls that lead to it, never both at once.
    return mayCall
      ? { type: 'any', disable_parallel_tool_use: true }
      : { type: 'tool', name: names.answerTool }
  }
  if (!choice) return alone ? { type: 'auto', ...alone } : undefined
  switch (choice.mode) {
    case 'none':
      return { type: 'none' }
    case 'auto':
      return { type: 'auto', ...alone }
    case 'required':
      return { type: 'any', ...alone }
    case 'named':
      return { type: 'tool', name: names.out(choice.name), ...alone }
    case 'allowed':
      return { type: choice.required ? 'any' : 'auto', ...alone }
    default:
      return choice satisfies never
  }
}

function checkChoice({ toolChoice, tools }: Conversation, sent: readonly Tool[]): void {
  if (toolChoice?.mode === 'named' && !tools.some(({ name }) => name === toolChoice.name)) {
    throw invalid('tool_choice', `There is no tool '${toolChoice.name}' in 'tools'.`)
  }
  if (toolChoice?.mode === 'required' && sent.length === 0) {
    throw invalid('tool_choice', "'required' needs at least one tool in 'tools'.")
  }
  if (toolChoice?.mode === 'allowed') {
    const missing = toolChoice.names.find((wanted) => !tools.some(({ name }) => name === wanted))
    if (missing !== undefined) {
      throw invalid('tool_choice', `There is no tool '${missing}' in 'tools'.`)
    }
  }
}
