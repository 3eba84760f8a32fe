import { isRecord, unsupported } from '#openai/conversation/fields.ts'

// The part of JSON Schema that the vendor holds its answers to (docs page "Structured outputs", section "JSON Schema
// limitations", as read in November 2026). What it does not enforce is told to the model in the description.

type Schema = Readonly<Record<string, unknown>>

const kept: ReadonlySet<string> = new Set([
  'type',
  'title',
  'description',
  'default',
  'enum',
  'const',
  'required',
  '$ref',
])
const named: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions'])
const formats: ReadonlySet<unknown> = new Set([
  'date-time',
  'date',
  'time',
  'duration',
  'email',
  'hostname',
  'uri',
  'ipv4',
  'ipv6',
  'uuid',
])
/** Says nothing about what is valid. */
const silent: ReadonlySet<string> = new Set(['$schema', '$id', '$comment', 'examples'])
const maxDepth = 64

/**
 * The schema as the vendor takes it. Throws a 400 naming `param` for what cannot be said there at all: recursion,
 * references to other documents, more than 64 levels.
 */
export function cleanSchema(schema: Schema, param: string): Schema {
  refuseRecursion(schema, param)
  return clean(schema, param, 0) as Schema
}

function clean(value: unknown, param: string, depth: number): unknown {
  if (depth > maxDepth) throw unsupported(param, 'The schema is nested too deeply.')
  if (!isRecord(value)) return value
  const result: Record<string, unknown> = {}
  const told: string[] = []
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined || silent.has(key)) continue
    if (kept.has(key)) result[key] = member
    else if (named.has(key) && isRecord(member)) {
      result[key] = Object.fromEntries(
        Object.entries(member).map(([name, inner]) => [name, clean(inner, param, depth + 1)]),
      )
    } else if (key === 'items') result['items'] = clean(member, param, depth + 1)
    else if ((key === 'anyOf' || key === 'oneOf' || key === 'allOf') && Array.isArray(member)) {
      const target = key === 'allOf' ? 'allOf' : 'anyOf'
      result[target] = member.map((inner) => clean(inner, param, depth + 1))
    } else if (key === 'format' && formats.has(member)) result['format'] = member
    else if (key === 'minItems' && (member === 0 || member === 1)) result['minItems'] = member
    else if (key === 'additionalProperties') {
      if (isRecord(member)) told.push(`${key}: ${JSON.stringify(member)}`)
    } else told.push(`${key}: ${JSON.stringify(member)}`)
  }
  if (isObjectSchema(value)) result['additionalProperties'] = false
  if (told.length > 0) {
    const { description } = result
    const before = typeof description === 'string' && description !== '' ? `${description}\n\n` : ''
    result['description'] = `${before}Constraints: ${told.join('; ')}`
  }
  return result
}

function isObjectSchema({ type, properties }: Schema): boolean {
  return (
    type === 'object' || isRecord(properties) || (Array.isArray(type) && type.includes('object'))
  )
}

/** Follows every local reference from where it stands; one that leads back to itself has no end. */
function refuseRecursion(root: Schema, param: string): void {
  const safe = new Set<unknown>()
  const open = new Set<unknown>()
  function visit(value: unknown, depth: number): void {
    if (typeof value !== 'object' || value === null || safe.has(value)) return
    if (open.has(value)) throw unsupported(param, 'This provider does not take recursive schemas.')
    if (depth > maxDepth * 4) throw unsupported(param, 'The schema is nested too deeply.')
    open.add(value)
    for (const [key, inner] of Object.entries(value)) {
      if (key === '$ref' && typeof inner === 'string') visit(resolve(root, inner, param), depth + 1)
      else if (key !== 'default' && key !== 'const' && key !== 'enum') visit(inner, depth + 1)
    }
    open.delete(value)
    safe.add(value)
  }
  visit(root, 0)
}

function resolve(root: Schema, reference: string, param: string): unknown {
  if (!reference.startsWith('#')) {
    throw unsupported(param, `The schema refers to '${reference}', which is not part of it.`)
  }
  let found: unknown = root
  for (const step of reference.slice(1).split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
      throw unsupported(param, `The schema refers to '${reference}', which does not exist.`)
    }
    found = (found as Schema)[name]
  }
  return found
}
