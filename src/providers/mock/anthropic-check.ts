import { MockFailure } from './answer.ts'
import { checkSchema } from './anthropic-schema.ts'
import { isRecord, record, stringOf, wholeNumber } from './wire.ts'

// What Anthropic's Messages API refuses, with its words where clients look at them, so that a wrong translation does
// not go unnoticed.

type Fields = Readonly<Record<string, unknown>>

/** A refusal; the dialect gives it the vendor's form. */
export function refuse(message: string, status = 400): MockFailure {
  return new MockFailure({ status, message, type: 'invalid_request_error' })
}

/** What some models do not take. */
export interface Rules {
  readonly sampling: boolean
  readonly budget: boolean
  readonly adaptive: boolean
  readonly off: boolean
  readonly betweenTools: boolean
  readonly forcedTools: boolean
  readonly prefill: boolean
  readonly structured: boolean
  readonly laterSystem: boolean
}

/** By the model's name; what is no Claude takes everything. */
export function rulesOf(model: string): Rules {
  const is = (pattern: RegExp): boolean => pattern.test(model)
  const always = is(/(?:opus|sonnet)-5-5|fable|mythos/)
  const five = is(/claude-(?:opus|sonnet|haiku)-5|fable|mythos/)
  const late = five || is(/4-[678]/)
  const early = is(/claude-3-5|claude-3-(?:haiku|opus)/)
  const old = early || is(/claude-3-7|claude-(?:opus|sonnet)-4-(?:\d{8}|1)/)
  return {
    sampling: !five && !is(/4-[78]/),
    budget: !always && !early,
    adaptive: !old && !is(/claude-\w+-4-5/),
    off: !always,
    betweenTools: is(/sonnet-5-5/),
    forcedTools: !always,
    prefill: !late,
    structured: !old,
    laterSystem: !is(/claude-/) || five || is(/4-8/),
  }
}

// prettier-ignore
const fields = new Set([
  'model', 'max_tokens', 'messages', 'system', 'stream', 'tools', 'tool_choice', 'thinking', 'output_config',
  'temperature', 'top_p', 'top_k', 'stop_sequences', 'service_tier', 'metadata', 'cache_control', 'container',
  'context_management', 'inference_geo', 'mcp_servers', 'speed', 'diagnostics', 'anthropic_version', 'anthropic_beta',
])

/** Throws for a request that the vendor would not take, its messages aside. */
export function checkRequest(body: Fields, rules: Rules, isCount: boolean): void {
  for (const name of Object.keys(body)) {
    if (!fields.has(name)) throw refuse(`${name}: Extra inputs are not permitted`)
  }
  if (!isCount && !wholeNumber(body.max_tokens)) throw refuse('max_tokens: Field required')
  checkThinking(body, rules)
  checkSampling(body, rules)
  checkTools(body, rules)
  checkOutput(record(body.output_config), rules)
  const stops: unknown = body.stop_sequences ?? []
  if (!Array.isArray(stops) || stops.some((stop) => String(stop).trim() === '')) {
    throw refuse('stop_sequences: each stop sequence must contain non-whitespace')
  }
  const tier = body.service_tier
  if (tier !== undefined && tier !== 'auto' && tier !== 'standard_only') {
    throw refuse("service_tier: Input should be 'auto' or 'standard_only'")
  }
  const { user_id: user, ...others } = record(body.metadata)
  if (Object.keys(others).length > 0) throw refuse('metadata: Extra inputs are not permitted')
  if (user !== undefined && typeof user !== 'string') throw refuse('metadata.user_id: not a string')
}

function checkThinking(body: Fields, rules: Rules): void {
  const { type, budget_tokens: budget } = record(body.thinking)
  if (type === undefined) return
  if (type === 'enabled') {
    if (!rules.budget) throw refuse('thinking.type: enabled is not supported by this model')
    if (typeof budget !== 'number' || budget < 1024) {
      throw refuse('thinking.enabled.budget_tokens: Input should be greater than or equal to 1024')
    }
    if (budget >= Number(body.max_tokens)) {
      throw refuse('`max_tokens` must be greater than `thinking.budget_tokens`')
    }
  } else if (type === 'adaptive') {
    if (!rules.adaptive) throw refuse('adaptive thinking is not supported on this model')
  } else if (type === 'disabled') {
    if (!rules.off) throw refuse('thinking.type: disabled is not supported by this model')
  } else if (type !== 'between_tools' || !rules.betweenTools) {
    throw refuse('thinking.type: not supported by this model')
  }
}

function checkSampling(body: Fields, rules: Rules): void {
  const thinks =
    record(body.thinking).type === 'enabled' || record(body.thinking).type === 'adaptive'
  const { temperature, top_p, top_k } = body
  if (typeof temperature === 'number') {
    if (temperature < 0 || temperature > 1) throw refuse('temperature: range: 0..1')
    if (!rules.sampling && temperature !== 1)
      throw refuse('temperature: not supported by this model')
    if (thinks && temperature !== 1) {
      throw refuse('`temperature` may only be set to 1 when thinking is enabled')
    }
    if (top_p !== undefined) throw refuse('`temperature` and `top_p` cannot both be specified')
  }
  if (top_p !== undefined && (!rules.sampling || thinks)) throw refuse('top_p: not supported here')
  if (top_k !== undefined && (!rules.sampling || thinks)) throw refuse('top_k: not supported here')
}

function checkTools(body: Fields, rules: Rules): void {
  const tools: readonly unknown[] = Array.isArray(body.tools) ? body.tools : []
  const names = new Set<unknown>()
  tools.map(record).forEach((tool, at) => {
    if (tool.type === 'mcp_toolset') return
    const { name, input_schema: schema } = tool
    if (!/^[a-zA-Z0-9_-]{1,128}$/.test(String(name))) {
      throw refuse(`tools.${at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`)
    }
    if (names.has(name)) throw refuse('tools: Tool names must be unique.')
    names.add(name)
    if (tool.type !== undefined && tool.type !== 'custom') return
    if (record(schema).type !== 'object') {
      throw refuse(`tools.${at}.custom.input_schema.type: Input should be 'object'`)
    }
    if (tool.strict === true) {
      if (!rules.structured) throw refuse(`tools.${at}.custom.strict: not supported by this model`)
      checkSchema(schema, `tools.${at}.custom.input_schema`)
    }
  })
  const choice = record(body.tool_choice)
  if (choice.type === undefined) return
  if (tools.length === 0) throw refuse('tool_choice may only be specified while providing tools')
  if (choice.type === 'tool' && !names.has(choice.name)) {
    throw refuse(`tool_choice: Tool '${String(choice.name)}' not found in provided tools`)
  }
  if (choice.type !== 'tool' && choice.type !== 'any') return
  const { type } = record(body.thinking)
  if (!rules.forcedTools) throw refuse('tool_choice: this model does not take forced tool use')
  if (type === 'enabled' || type === 'adaptive') {
    throw refuse('Thinking may not be enabled when tool_choice forces tool use.')
  }
}

const efforts: ReadonlySet<unknown> = new Set(['low', 'medium', 'high', 'xhigh', 'max'])

function checkOutput({ format, effort }: Fields, rules: Rules): void {
  if (effort !== undefined && !efforts.has(effort)) {
    throw refuse('output_config.effort: unknown')
  }
  if (format === undefined) return
  if (!rules.structured) throw refuse('output_config.format: not supported by this model')
  const { type, schema, ...others } = record(format)
  if (type !== 'json_schema' || !isRecord(schema) || Object.keys(others).length > 0) {
    throw refuse('output_config.format: expected {type, schema}')
  }
  checkSchema(schema, 'output_config.format.schema')
}

/** Throws unless the request has one credential and a version. */
export function checkHeaders(headers: Headers): void {
  const key = stringOf(headers.get('x-api-key'))
  const bearer = headers.get('authorization')
  if ((key === undefined) === (bearer === null)) {
    throw new MockFailure({
      status: 401,
      type: 'authentication_error',
      message: key === undefined ? 'x-api-key header is required' : 'invalid x-api-key',
    })
  }
  if (bearer !== null && !(headers.get('anthropic-beta') ?? '').includes('oauth-2025-04-20')) {
    throw new MockFailure({
      status: 401,
      type: 'authentication_error',
      message: 'OAuth authentication is currently not supported.',
    })
  }
  if (headers.get('anthropic-version') !== '2023-06-01') {
    throw refuse('anthropic-version: header is required')
  }
}
