// The smallest JSON that a JSON schema accepts, for tool arguments and structured answers. It knows the
// keywords that OpenAI's structured outputs know; a schema it cannot satisfy gives its best attempt.

type Schema = Readonly<Record<string, unknown>>

const maxDepth = 32
const maxNodes = 10_000

/** What one sample shares: a schema that doubles at every level must not grow without end. */
interface Budget {
  readonly root: unknown
  nodesLeft: number
}

/** A value for `schema`; deterministic. Recursive schemas stop at a depth of 32 or after 10,000 values. */
export function sample(schema: unknown): unknown {
  return build(schema, { root: schema, nodesLeft: maxNodes }, 0)
}

function build(schema: unknown, budget: Budget, depth: number): unknown {
  if (!isObject(schema)) return {}
  if (depth > maxDepth || --budget.nodesLeft < 0) return null
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0]
  if (typeof schema.$ref === 'string')
    return build(resolve(schema.$ref, budget.root), budget, depth + 1)
  const choices = schema.anyOf ?? schema.oneOf
  if (Array.isArray(choices) && choices.length > 0) {
    // The last alternative of a recursive union is usually where it ends.
    const choice =
      depth > maxDepth / 2 ? (choices.find(isNullSchema) ?? choices.at(-1)) : choices[0]
    return build(
      { ...schema, anyOf: undefined, oneOf: undefined, ...asObject(choice) },
      budget,
      depth + 1,
    )
  }
  if (Array.isArray(schema.allOf)) {
    return build(
      mergeAll({ ...schema, allOf: undefined }, schema.allOf, budget.root),
      budget,
      depth + 1,
    )
  }
  switch (typeOf(schema)) {
    case 'string':
      return text(schema)
    case 'integer':
    case 'number':
      return number(schema)
    case 'boolean':
      return true
    case 'null':
      return null
    case 'array':
      return array(schema, budget, depth)
    default:
      return object(schema, budget, depth)
  }
}

function object(schema: Schema, budget: Budget, depth: number): Record<string, unknown> {
  const properties = asObject(schema.properties)
  const required = Array.isArray(schema.required) ? schema.required : []
  const value: Record<string, unknown> = {}
  for (const name of required) {
    if (typeof name === 'string') value[name] = build(properties[name] ?? {}, budget, depth + 1)
  }
  return value
}

function array(schema: Schema, budget: Budget, depth: number): unknown[] {
  const length = Math.min(count(schema.minItems) ?? 0, 1000)
  return Array.from({ length }, () => build(schema.items ?? {}, budget, depth + 1))
}

function number(schema: Schema): number {
  const whole = typeOf(schema) === 'integer'
  const step =
    typeof schema.multipleOf === 'number' && schema.multipleOf > 0
      ? schema.multipleOf
      : whole
        ? 1
        : 0.5
  const above = bound(schema.exclusiveMinimum)
  const low = above !== undefined ? above + step : bound(schema.minimum)
  const below = bound(schema.exclusiveMaximum)
  const high = below !== undefined ? below - step : bound(schema.maximum)
  if (low !== undefined && low > 0) return Math.ceil(low / step) * step
  if (high !== undefined && high < 0) return Math.floor(high / step) * step
  return 0
}

const formats: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  duration: 'P1D',
  email: 'mock@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
}

function text(schema: Schema): string {
  const format = typeof schema.format === 'string' ? formats[schema.format] : undefined
  if (format !== undefined) return format
  const least = Math.min(count(schema.minLength) ?? 0, 100_000)
  const most = count(schema.maxLength)
  return 'mock'.padEnd(least, '.').slice(0, most ?? undefined)
}

function typeOf(schema: Schema): unknown {
  return Array.isArray(schema.type) ? schema.type[0] : schema.type
}

function resolve(ref: string, root: unknown): unknown {
  let found: unknown = root
  for (const raw of ref.replace(/^#\/?/, '').split('/')) {
    if (raw === '') continue
    const name = raw.replaceAll('~1', '/').replaceAll('~0', '~')
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined
  }
  return found
}

function mergeAll(base: Schema, parts: readonly unknown[], root: unknown): Schema {
  let merged = base
  for (const part of parts) {
    const next = asObject(
      isObject(part) && typeof part.$ref === 'string' ? resolve(part.$ref, root) : part,
    )
    merged = {
      ...merged,
      ...next,
      properties: { ...asObject(merged.properties), ...asObject(next.properties) },
      required: [...listOf(merged.required), ...listOf(next.required)],
    }
  }
  return merged
}

function isNullSchema(schema: unknown): boolean {
  return isObject(schema) && schema.type === 'null'
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asObject(value: unknown): Schema {
  return isObject(value) ? value : {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function bound(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? Math.floor(value) : undefined
}
