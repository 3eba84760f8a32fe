import { GatewayError } from '#core/errors.ts'

import type { KnownTool } from '../answer/responses-object.ts'
import type { Fields } from '../conversation/fields.ts'
import { invalid, isRecord, record, text } from '../conversation/fields.ts'
import type { Places } from './places.ts'

/** Tools as a chat request has them. */
export interface BridgedTools {
  readonly tools: readonly Fields[]
  readonly choice: unknown
  /** The search options that a web search tool became, with its place. */
  readonly search:
    { readonly options: Fields; readonly param: string; readonly type: string } | undefined
  /** Tools that the model knows by another name or form. */
  readonly known: ReadonlyMap<string, KnownTool>
}

export interface ToolContext {
  readonly provider: string
  readonly places: Places
  readonly drop: (place: string) => void
}

const ownOfFunction = new Set([
  'type',
  'name',
  'description',
  'parameters',
  'strict',
  'defer_loading',
  'output_schema',
])

/** The tools of a Responses request. Throws a 400 for those that a chat model cannot be given. */
export function bridgeTools(body: Fields, context: ToolContext): BridgedTools {
  const { places, provider } = context
  const tools: Fields[] = []
  const known = new Map<string, KnownTool>()
  let search: BridgedTools['search']

  function add(tool: Fields, place: string, namespace: string | undefined): void {
    const name = text(tool['name'])
    if (name === undefined || name === '') throw invalid(`${place}.name`, 'A tool needs a name.')
    const isCustom = tool['type'] === 'custom'
    const full = namespace === undefined ? name : `${namespace}__${name}`
    if (isCustom || namespace !== undefined) known.set(full, { name, namespace, isCustom })
    places.note(`tools[${tools.length}]`, place)
    tools.push(isCustom ? emulated(tool, full, place, context) : asFunction(tool, full))
  }

  const given = Array.isArray(body['tools']) ? (body['tools'] as unknown[]) : []
  given.forEach((each, i) => {
    const tool = record(each)
    const place = `tools[${i}]`
    const type = text(tool['type']) ?? ''
    if (type === 'function' || type === 'custom') add(tool, place, undefined)
    else if (type === 'namespace') {
      const inner = Array.isArray(tool['tools']) ? (tool['tools'] as unknown[]) : []
      inner.forEach((one, j) => {
        const within = record(one)
        const at = `${place}.tools[${j}]`
        if (within['type'] !== 'function' && within['type'] !== 'custom') {
          throw unsupportedTool(`${at}.type`, text(within['type']) ?? '', provider)
        }
        add(within, at, text(tool['name']) ?? '')
      })
    } else if (/^web_search(?:_preview)?(?:_\d|$)/.test(type)) {
      search = { options: searchOptions(tool), param: `${place}.type`, type }
    } else throw unsupportedTool(`${place}.type`, type, provider)
  })
  return {
    ...chosen(body, tools, known, search !== undefined, context),
    search,
    known,
  }
}

/** The 400 for a built-in tool that a provider has no equivalent of. */
export function unsupportedTool(param: string, type: string, provider: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `Provider '${provider}' has no equivalent of the tool '${type}'.`,
    { param, code: 'unsupported_tool' },
  )
}

/** Responses tries to be strict where nothing is said, chat does not: only what was asked for is passed on. */
function asFunction(tool: Fields, name: string): Fields {
  const { description, parameters, strict } = tool
  const more = Object.entries(tool).filter(
    ([key, value]) => !ownOfFunction.has(key) && value !== null,
  )
  return {
    ...Object.fromEntries(more),
    type: 'function',
    function: {
      name,
      ...(typeof description === 'string' && { description }),
      ...(parameters !== undefined && parameters !== null && { parameters }),
      ...(strict === true && { strict }),
    },
  }
}

/** A tool that takes free text, as a function with one string. */
function emulated(tool: Fields, name: string, place: string, { drop }: ToolContext): Fields {
  const format = record(tool['format'])
  const hasGrammar = format['type'] === 'grammar'
  // Nothing holds the model to the grammar; it is told about it.
  if (hasGrammar) drop(`${place}.format`)
  const grammar = hasGrammar
    ? `The input must follow this ${text(format['syntax']) ?? ''} grammar:\n${text(format['definition']) ?? ''}`
    : undefined
  const description = [text(tool['description']), grammar].filter(Boolean).join('\n\n')
  return {
    type: 'function',
    function: {
      name,
      ...(description !== '' && { description }),
      parameters: {
        type: 'object',
        properties: { input: { type: 'string' } },
        required: ['input'],
        additionalProperties: false,
      },
    },
  }
}

function searchOptions(tool: Fields): Fields {
  const { user_location: where, search_context_size: size } = tool
  const { type: _, ...approximate } = record(where)
  return {
    ...(typeof size === 'string' && { search_context_size: size }),
    ...(isRecord(where) && { user_location: { type: 'approximate', approximate } }),
  }
}

function chosen(
  body: Fields,
  tools: readonly Fields[],
  known: ReadonlyMap<string, KnownTool>,
  hasSearch: boolean,
  { provider, drop }: ToolContext,
): { tools: readonly Fields[]; choice: unknown } {
  const choice = body['tool_choice']
  if (choice === undefined || choice === null || typeof choice === 'string') {
    return { tools, choice }
  }
  const fields = record(choice)
  const isSearch = ({ type }: Fields): boolean =>
    hasSearch && typeof type === 'string' && type.startsWith('web_search')
  /** Both the model's names and the caller's → the model's. */
  const names = new Map<string, string>()
  for (const tool of tools) {
    const name = nameOf(tool)
    names.set(known.get(name)?.name ?? name, name)
  }
  for (const tool of tools) names.set(nameOf(tool), nameOf(tool))
  if (fields['type'] === 'allowed_tools') {
    const listed = Array.isArray(fields['tools']) ? (fields['tools'] as unknown[]) : []
    const allowed = new Set<string>()
    listed.map(record).forEach((tool, i) => {
      if (!isSearch(tool)) allowed.add(nameIn(tool, names, `tool_choice.tools[${i}]`, provider))
    })
    const mode = fields['mode'] === 'required' ? 'required' : 'auto'
    return { tools: tools.filter((tool) => allowed.has(nameOf(tool))), choice: mode }
  }
  if (isSearch(fields)) {
    // Nobody can be made to search, only be let.
    drop('tool_choice')
    return { tools, choice: 'auto' }
  }
  const name = nameIn(fields, names, 'tool_choice', provider)
  return { tools, choice: { type: 'function', function: { name } } }
}

function nameOf(tool: Fields): string {
  return text(record(tool['function'])['name']) ?? ''
}

/** The model's name of a tool that the caller names. */
function nameIn(
  fields: Fields,
  names: ReadonlyMap<string, string>,
  place: string,
  provider: string,
): string {
  const { type } = fields
  if (type !== 'function' && type !== 'custom') {
    throw unsupportedTool(`${place}.type`, text(type) ?? '', provider)
  }
  const written = text(fields['name']) ?? text(record(fields[type])['name']) ?? ''
  const name = names.get(written)
  if (name === undefined) {
    throw invalid(`${place}.name`, `The tool '${written}' is not among the tools.`)
  }
  return name
}
