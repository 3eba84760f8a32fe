import type { Conversation, Tool, ToolChoice } from '#openai/conversation/conversation.ts'
import { invalid, record, unsupported } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import type { ModelFacts } from './models.ts'
import { jsonSchema, openApiSchema } from './schema.ts'
import type { Surface } from './surface.ts'
import type { GenerateRequest } from './wire.ts'

// Functions and the choice among them ("Function calling" and "Grounding with Google Search", as read in November
// 2026).

/** Throws a 400 for tools that only other vendors have, and for a choice of one that is not there. */
export function toolsOf(
  exchange: Exchange,
  surface: Surface,
  facts: ModelFacts,
): Pick<GenerateRequest, 'tools' | 'toolConfig'> {
  const { conversation } = exchange
  const offered = declaredTools(conversation, facts)
  const tools: Record<string, unknown>[] = []
  if (offered.length > 0) {
    tools.push({ functionDeclarations: offered.map((tool) => declaration(tool, facts, exchange)) })
  }
  const search = searches(exchange, offered.length > 0, facts)
  if (search) tools.push({ googleSearch: {} })
  const calling = callingConfig(conversation, facts)
  const toolConfig = {
    ...(calling && { functionCallingConfig: calling }),
    // Without it AI Studio refuses its own tools beside functions; the cloud does not know it.
    ...(search &&
      offered.length > 0 &&
      !surface.cloudFiles && { includeServerSideToolInvocations: true }),
  }
  return {
    ...(tools.length > 0 && { tools }),
    ...(Object.keys(toolConfig).length > 0 && { toolConfig }),
  }
}

/** All of them, or only the allowed ones where the model cannot be told which. */
function declaredTools({ tools, toolChoice }: Conversation, facts: ModelFacts): readonly Tool[] {
  if (toolChoice?.mode !== 'allowed' || toolChoice.required || facts.validated) return tools
  return tools.filter(({ name }) => toolChoice.names.includes(name))
}

function declaration(tool: Tool, facts: ModelFacts, exchange: Exchange): Record<string, unknown> {
  const { kind, name, description, schema, param, cacheControl } = tool
  if (kind === 'custom') {
    throw unsupported(param, 'Custom tools are not supported by this provider; use a function.')
  }
  if (cacheControl) exchange.drop(`${param}.cache_control`)
  const declared = { name, ...(description !== undefined && { description }) }
  if (schema === undefined) return declared
  if (facts.jsonSchema) return { ...declared, parametersJsonSchema: jsonSchema(schema) }
  const parameters = openApiSchema(schema)
  return parameters === undefined ? declared : { ...declared, parameters }
}

function searches(exchange: Exchange, hasFunctions: boolean, facts: ModelFacts): boolean {
  const { conversation } = exchange
  const given = conversation.request['web_search_options']
  if (given === undefined || given === null) return false
  if (hasFunctions && !facts.combines) {
    exchange.drop('web_search_options')
    return false
  }
  for (const [name, value] of Object.entries(record(given))) {
    if (value !== null) exchange.drop(`web_search_options.${name}`)
  }
  return true
}

function callingConfig(
  { tools, toolChoice }: Conversation,
  facts: ModelFacts,
): Record<string, unknown> | undefined {
  const isStrict = facts.validated && tools.some(({ strict }) => strict === true)
  if (!toolChoice) return isStrict ? { mode: 'VALIDATED' } : undefined
  checkChoice(tools, toolChoice)
  if (tools.length === 0) return undefined
  switch (toolChoice.mode) {
    case 'auto':
      return { mode: isStrict ? 'VALIDATED' : 'AUTO' }
    case 'none':
      return { mode: 'NONE' }
    case 'required':
      return { mode: 'ANY' }
    case 'named':
      return { mode: 'ANY', allowedFunctionNames: [toolChoice.name] }
    case 'allowed': {
      const { names, required } = toolChoice
      if (names.length === 0) return { mode: 'NONE' }
      if (required) return { mode: 'ANY', allowedFunctionNames: names }
      return facts.validated ? { mode: 'VALIDATED', allowedFunctionNames: names } : { mode: 'AUTO' }
    }
  }
}

function checkChoice(tools: readonly Tool[], choice: ToolChoice): void {
  if (choice.mode === 'required' && tools.length === 0) {
    throw invalid('tool_choice', 'There are no tools to choose from.')
  }
  const names: readonly string[] =
    choice.mode === 'named' ? [choice.name] : choice.mode === 'allowed' ? choice.names : []
  const missing = names.find((name) => !tools.some((tool) => tool.name === name))
  if (missing !== undefined) {
    throw invalid('tool_choice', `There is no tool '${missing}' among the tools.`)
  }
}
