import { isRecord, record } from '#openai/conversation/fields.ts'

// JSON Schema as older models take it: a part of OpenAPI's ("Schema", as read in November 2026).

type Schema = Readonly<Record<string, unknown>>

const kept = [
  'title',
  'description',
  'nullable',
  'default',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'pattern',
  'propertyOrdering',
]
const formats = new Set(['date-time', 'enum', 'int32', 'int64', 'float', 'double'])
/** A schema that doubles at every level must not grow without end. */
const maxNodes = 5000
const maxDepth = 64

interface Walk {
  readonly root: Schema
  /** References that are being resolved: one inside itself is cut. */
  readonly open: readonly string[]
  readonly depth: number
  readonly budget: { nodes: number }
}

/** The schema with its references resolved and its keywords translated; undefined for an object without properties. */
export function openApiSchema(schema: Schema): Schema | undefined {
  const budget = { nodes: maxNodes }
  const converted = convert(schema, { root: schema, open: [], depth: 0, budget })
  const isEmpty =
    converted['type'] === 'object' && Object.keys(record(converted['properties'])).length === 0
  return isEmpty ? undefined : converted
}

/** JSON Schema as newer models take it: they know `enum` and no `const`. */
export function jsonSchema(schema: Schema): Schema {
  const { $schema: _, ...rest } = schema
  return JSON.stringify(rest).includes('"const":') ? record(enumerated(rest, 0)) : rest
}

/** Keywords whose value is a schema, a list of them, or an object of them by name. */
const nested = [
  ...['items', 'additionalProperties', 'not', 'contains', 'if', 'then', 'else'],
  ...['anyOf', 'oneOf', 'allOf', 'prefixItems'],
]
const byName = ['properties', '$defs', 'definitions', 'patternProperties']

function enumerated(given: unknown, depth: number): unknown {
  if (Array.isArray(given)) return given.map((each) => enumerated(each, depth + 1))
  if (!isRecord(given) || depth > maxDepth) return given
  const result: Record<string, unknown> = { ...given }
  if (Object.hasOwn(given, 'const')) {
    delete result['const']
    result['enum'] = [given['const']]
  }
  for (const name of nested) {
    if (result[name] !== undefined) result[name] = enumerated(result[name], depth + 1)
  }
  for (const name of byName) {
    if (!isRecord(result[name])) continue
    result[name] = Object.fromEntries(
      Object.entries(result[name]).map(([key, child]) => [key, enumerated(child, depth + 1)]),
    )
  }
  return result
}

function convert(given: unknown, above: Walk): Schema {
  if (!isRecord(given) || --above.budget.nodes < 0 || above.depth > maxDepth) return {}
  const walk = { ...above, depth: above.depth + 1 }
  if (typeof given['$ref'] === 'string') return resolved(given, given['$ref'], walk)
  if (Array.isArray(given['allOf'])) return convert(mergedAll(given, walk), walk)
  const result: Record<string, unknown> = {}
  for (const name of kept) if (given[name] !== undefined) result[name] = given[name]
  const { format } = given
  if (typeof format === 'string' && formats.has(format)) result['format'] = format
  addType(given, result, walk)
  addEnum(given, result)
  addChildren(given, result, walk)
  return result
}

function resolved(given: Schema, reference: string, walk: Walk): Schema {
  const { $ref: _, ...beside } = given
  // What holds itself is cut where it begins again: the vendor has no references.
  if (walk.open.includes(reference)) return { type: 'object' }
  const target = pointed(reference, walk.root)
  return convert({ ...target, ...beside }, { ...walk, open: [...walk.open, reference] })
}

function pointed(reference: string, root: Schema): Schema {
  let found: unknown = root
  for (const raw of reference.replace(/^#\/?/, '').split('/')) {
    if (raw === '') continue
    const name = raw.replaceAll('~1', '/').replaceAll('~0', '~')
    found = isRecord(found) && Object.hasOwn(found, name) ? found[name] : undefined
  }
  return record(found)
}

function mergedAll(given: Schema, walk: Walk): Schema {
  const { allOf, ...base } = given
  let merged: Schema = base
  for (const each of allOf as unknown[]) {
    const reference = record(each)['$ref']
    const part = typeof reference === 'string' ? pointed(reference, walk.root) : record(each)
    merged = {
      ...merged,
      ...part,
      ...(merged['properties'] !== undefined || part['properties'] !== undefined
        ? { properties: { ...record(merged['properties']), ...record(part['properties']) } }
        : {}),
      ...(merged['required'] !== undefined || part['required'] !== undefined
        ? { required: [...list(merged['required']), ...list(part['required'])] }
        : {}),
    }
    if (--walk.budget.nodes < 0) break
  }
  return merged
}

function addType(given: Schema, result: Record<string, unknown>, walk: Walk): void {
  const { type } = given
  if (!Array.isArray(type)) {
    if (typeof type === 'string') result['type'] = type
    else if (isRecord(given['properties'])) result['type'] = 'object'
    return
  }
  const real = type.filter((name) => name !== 'null')
  if (real.length < type.length) result['nullable'] = true
  if (real.length === 1) result['type'] = real[0]
  else if (real.length > 1) {
    result['anyOf'] = real.map((name) => convert({ ...given, type: name }, walk))
  }
}

function addEnum(given: Schema, result: Record<string, unknown>): void {
  const values = 'const' in given ? [given['const']] : given['enum']
  if (!Array.isArray(values)) return
  const real = values.filter((value) => value !== null)
  if (real.length < values.length) result['nullable'] = true
  // Only strings are enumerated.
  result['type'] = 'string'
  result['enum'] = real.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
}

function addChildren(given: Schema, result: Record<string, unknown>, walk: Walk): void {
  const { properties, items, required } = given
  if (isRecord(properties)) {
    result['properties'] = Object.fromEntries(
      Object.entries(properties).map(([name, child]) => [name, convert(child, walk)]),
    )
  }
  if (isRecord(items)) result['items'] = convert(items, walk)
  else if (result['type'] === 'array') {
    const [first] = list(given['prefixItems'])
    result['items'] = first === undefined ? { type: 'string' } : convert(first, walk)
  }
  if (Array.isArray(required) && isRecord(properties)) {
    const known = required.filter(
      (name) => typeof name === 'string' && Object.hasOwn(properties, name),
    )
    if (known.length > 0) result['required'] = [...new Set(known)]
  }
  const choices = given['anyOf'] ?? given['oneOf']
  if (!Array.isArray(choices)) return
  const real = choices.filter((choice) => record(choice)['type'] !== 'null')
  if (real.length < choices.length) result['nullable'] = true
  const [only] = real
  if (real.length === 1) Object.assign(result, convert(only, walk))
  else if (real.length > 1) result['anyOf'] = real.map((choice) => convert(choice, walk))
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
