import type { Format, Tool, ToolChoice } from './conversation.ts'
import { type Fields, invalid, isRecord, record, text } from './fields.ts'
import { cacheControlOf } from './parts.ts'

/** `tools`, or the deprecated `functions`. Throws for a type that is neither `function` nor `custom`. */
export function readTools(request: Fields): Tool[] {
  const tools = Array.isArray(request['tools']) ? (request['tools'] as unknown[]) : []
  const functions = Array.isArray(request['functions']) ? (request['functions'] as unknown[]) : []
  return [
    ...tools.map((tool, i) => readTool(record(tool), `tools[${i}]`)),
    ...functions.map((fn, i) => readFunction(record(fn), {}, `functions[${i}]`)),
  ]
}

function readTool(tool: Fields, param: string): Tool {
  switch (tool['type']) {
    case 'function':
      return readFunction(record(tool['function']), tool, `${param}.function`)
    case 'custom': {
      const custom = record(tool['custom'])
      const base = readFunction(custom, tool, `${param}.custom`)
      return { ...base, kind: 'custom', schema: undefined }
    }
    default:
      throw invalid(
        `${param}.type`,
        `Tools of type '${String(tool['type'])}' are not known; 'function' and 'custom' are.`,
      )
  }
}

function readFunction(fn: Fields, tool: Fields, param: string): Tool {
  const name = text(fn['name'])
  if (name === undefined || name === '') throw invalid(`${param}.name`, 'A tool needs a name.')
  const { parameters } = fn
  if (parameters !== undefined && parameters !== null && !isRecord(parameters)) {
    throw invalid(`${param}.parameters`, 'The parameters of a function are a JSON Schema object.')
  }
  return {
    kind: 'function',
    name,
    description: text(fn['description']),
    schema: parameters ?? undefined,
    strict: typeof fn['strict'] === 'boolean' ? fn['strict'] : undefined,
    cacheControl: cacheControlOf(tool) ?? cacheControlOf(fn),
    param,
    written: tool,
  }
}

/** `tool_choice`, or the deprecated `function_call`. */
export function readToolChoice(request: Fields): ToolChoice | undefined {
  const choice = request['tool_choice'] ?? request['function_call']
  const param = request['tool_choice'] === undefined ? 'function_call' : 'tool_choice'
  if (choice === undefined || choice === null) return undefined
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { mode: choice }
  if (choice === 'any') return { mode: 'required' }
  if (isRecord(choice)) {
    if (choice['type'] === 'allowed_tools') {
      const allowed = isRecord(choice['allowed_tools']) ? choice['allowed_tools'] : choice
      const tools = Array.isArray(allowed['tools']) ? (allowed['tools'] as unknown[]) : []
      const names = tools.flatMap((tool) => nameIn(record(tool)) ?? [])
      return { mode: 'allowed', names, required: allowed['mode'] === 'required' }
    }
    const name = nameIn(choice)
    if (name !== undefined) return { mode: 'named', name }
  }
  throw invalid(param, "Expected 'none', 'auto', 'required' or an object that names a tool.")
}

function nameIn(holder: Fields): string | undefined {
  return (
    text(record(holder['function'])['name']) ??
    text(record(holder['custom'])['name']) ??
    text(holder['name'])
  )
}

/** `response_format` of a chat request. */
export function readFormat(value: unknown): Format {
  const format = record(value)
  switch (format['type']) {
    case undefined:
    case 'text':
      return { kind: 'text' }
    case 'json_object':
      return { kind: 'json' }
    case 'json_schema': {
      const holder = record(format['json_schema'])
      const { schema } = holder
      if (!isRecord(schema)) {
        throw invalid('response_format.json_schema.schema', 'A schema object is needed here.')
      }
      return {
        kind: 'schema',
        name: text(holder['name']) ?? 'response',
        description: text(holder['description']),
        schema,
        strict: typeof holder['strict'] === 'boolean' ? holder['strict'] : undefined,
      }
    }
    default:
      throw invalid(
        'response_format.type',
        `'${String(format['type'])}' is not known; 'text', 'json_object' and 'json_schema' are.`,
      )
  }
}
