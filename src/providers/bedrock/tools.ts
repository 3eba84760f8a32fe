import { GatewayError } from '#core/errors.ts'
import type { Conversation, Tool, ToolChoice as Wanted } from '#openai/conversation/conversation.ts'
import { invalid, record, unsupported } from '#openai/conversation/fields.ts'

import { cleanSchema } from '../anthropic/schema.ts'
import type { Exchange } from '../exchange.ts'
import { cachePoint } from './blocks.ts'
import type { Family } from './families.ts'
import type { Names } from './names.ts'
import type { CachePoint, ToolChoice, ToolConfig, ToolSpec } from './wire.ts'

/** Tools, what is wanted of them, and what the model has to be told because there is no other way. */
export interface ToolPlan {
  readonly config: ToolConfig | undefined
  /** Goes to the end of the system text. */
  readonly instruction: string | undefined
  /** For `additionalModelRequestFields`: one call at a time. */
  readonly additional: Readonly<Record<string, unknown>> | undefined
}

const noArguments = { type: 'object', properties: {} }
const freeText = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'] }
const noCalls = 'Do not call any tool. Answer with text.'
const noPlan: ToolPlan = { config: undefined, instruction: undefined, additional: undefined }

/**
 * The tools of a request ("ToolConfiguration" and "ToolChoice", API Reference, as read in November 2026). `called` are
 * those of the history: with calls in its messages the vendor wants tools whether or not any may be used. `thinks`
 * excludes that a call is demanded.
 */
export function planTools(
  exchange: Exchange,
  family: Family,
  names: Names,
  called: ReadonlySet<string>,
  thinks: boolean,
): ToolPlan {
  const { conversation } = exchange
  const { toolChoice, format } = conversation
  checkChoice(conversation)
  if (names.answerTool !== undefined && format.kind === 'schema') {
    const tools = [answerTool(names.answerTool, format), ...stubs(called, exchange)]
    // A model that thinks cannot be made to call: it is asked to.
    if (thinks || toolChoice?.mode === 'none') {
      const instruction = `Give the answer by calling the tool '${names.answerTool}'.`
      return { ...noPlan, config: { tools }, instruction }
    }
    return { ...noPlan, config: { tools, toolChoice: { tool: { name: names.answerTool } } } }
  }
  if (conversation.tools.length === 0 || toolChoice?.mode === 'none') {
    if (called.size === 0) return noPlan
    const tools = conversation.tools.length > 0 ? offered(exchange, family, names) : []
    const known = new Set(conversation.tools.map(({ name }) => names.out(name)))
    const gone = new Set([...called].filter((name) => !known.has(name)))
    return {
      ...noPlan,
      config: { tools: [...tools, ...stubs(gone, exchange)] },
      instruction: noCalls,
    }
  }
  const choice = choiceOf(exchange, family, names, thinks)
  const tools = offered(exchange, family, names)
  return {
    config: { tools, ...(choice && { toolChoice: choice }) },
    instruction: undefined,
    additional: oneAtATime(exchange, family, choice),
  }
}

function offered(exchange: Exchange, family: Family, names: Names): (ToolSpec | CachePoint)[] {
  const { tools, toolChoice } = exchange.conversation
  const chosen =
    toolChoice?.mode === 'allowed'
      ? tools.filter(({ name }) => toolChoice.names.includes(name))
      : tools
  return chosen.flatMap((tool) => {
    const point = cachePoint(tool, { exchange, family }, family.cachesTools)
    const spec = specOf(tool, exchange, family, names)
    return point ? [spec, point] : [spec]
  })
}

function specOf(tool: Tool, exchange: Exchange, family: Family, names: Names): ToolSpec {
  const { name, description, kind, param, strict, written } = tool
  if (kind === 'custom' && record(record(written['custom'])['format'])['type'] === 'grammar') {
    throw unsupported(`${param}.format`, 'This provider does not hold tools to a grammar.')
  }
  const schema = kind === 'custom' ? freeText : objectSchema(tool)
  const cleaned =
    strict === true && family.name === 'claude' && family.schema
      ? tryClean(schema, `${param}.parameters`)
      : undefined
  if (strict === true && !cleaned) exchange.drop(`${param}.strict`)
  return {
    toolSpec: {
      name: names.out(name),
      description: description === undefined || description.trim() === '' ? name : description,
      inputSchema: { json: cleaned ?? schema },
      ...(cleaned && { strict: true as const }),
    },
  }
}

/** The schema in the part of JSON Schema that can be enforced; undefined when it cannot be said there. */
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

function objectSchema({ schema, param }: Tool): Readonly<Record<string, unknown>> {
  if (!schema) return noArguments
  const { type } = schema
  if (type === 'object') return schema
  if (type === undefined || type === null) return { ...schema, type: 'object' }
  throw unsupported(
    `${param}.parameters.type`,
    "This provider takes arguments of the type 'object' only.",
  )
}

/** Tools that the history calls and the request does not have any more. */
function stubs(names: ReadonlySet<string>, { conversation }: Exchange): ToolSpec[] {
  return [...names].map((name) => ({
    toolSpec: {
      name,
      description: `${name} (${conversation.tools.length > 0 ? 'not available now' : 'not available any more'})`,
      inputSchema: { json: noArguments },
    },
  }))
}

function answerTool(
  name: string,
  format: {
    readonly description: string | undefined
    readonly schema: Readonly<Record<string, unknown>>
  },
): ToolSpec {
  const { type } = format.schema
  if (type !== undefined && type !== 'object') {
    throw unsupported(
      'response_format.json_schema.schema.type',
      "This provider takes schemas of the type 'object' only.",
    )
  }
  return {
    toolSpec: {
      name,
      description: format.description || 'Gives the final answer.',
      inputSchema: { json: { ...format.schema, type: 'object' } },
    },
  }
}

/** Says that a call was wanted and could not be demanded. */
function choiceOf(
  exchange: Exchange,
  family: Family,
  names: Names,
  thinks: boolean,
): ToolChoice | undefined {
  const choice = exchange.conversation.toolChoice
  const wanted = demandOf(choice, names)
  if (wanted === undefined) return choice === undefined ? undefined : { auto: {} }
  const canDemand = 'tool' in wanted ? family.namedTool : family.anyTool
  if (canDemand && !thinks) return wanted
  exchange.drop('tool_choice')
  return { auto: {} }
}

function demandOf(choice: Wanted | undefined, names: Names): ToolChoice | undefined {
  if (choice?.mode === 'named') return { tool: { name: names.out(choice.name) } }
  const isDemand = choice?.mode === 'required' || (choice?.mode === 'allowed' && choice.required)
  return isDemand ? { any: {} } : undefined
}

function oneAtATime(
  exchange: Exchange,
  family: Family,
  choice: ToolChoice | undefined,
): Readonly<Record<string, unknown>> | undefined {
  if (exchange.conversation.parallelCalls !== false) return undefined
  if (family.name !== 'claude') {
    exchange.drop('parallel_tool_calls')
    return undefined
  }
  // The model's own form of the choice, which has to agree with the one beside it.
  const own =
    choice && 'tool' in choice
      ? { type: 'tool', name: choice.tool.name }
      : { type: choice && 'any' in choice ? 'any' : 'auto' }
  return { tool_choice: { ...own, disable_parallel_tool_use: true } }
}

function checkChoice({ toolChoice, tools }: Conversation): void {
  const has = (wanted: string): boolean => tools.some(({ name }) => name === wanted)
  const missing = (name: string): Error =>
    invalid('tool_choice', `There is no tool '${name}' in 'tools'.`)
  if (toolChoice?.mode === 'required' && tools.length === 0) {
    throw invalid('tool_choice', "'required' needs at least one tool in 'tools'.")
  }
  if (toolChoice?.mode === 'named' && !has(toolChoice.name)) throw missing(toolChoice.name)
  if (toolChoice?.mode === 'allowed') {
    const absent = toolChoice.names.find((name) => !has(name))
    if (absent !== undefined || toolChoice.names.length === 0) throw missing(absent ?? '')
  }
}

/** True when a call will be demanded, as far as the model lets itself be told. */
export function demandsCall({ conversation }: Exchange, family: Family, names: Names): boolean {
  const wanted = demandOf(conversation.toolChoice, names)
  if (names.answerTool !== undefined) return true
  return wanted !== undefined && ('tool' in wanted ? family.namedTool : family.anyTool)
}
