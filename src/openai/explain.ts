import {
  KindGuard,
  type TArray,
  type TObject,
  type TSchema,
  type TString,
  type TUnion,
} from '@sinclair/typebox'

// Says in OpenAI's words what is wrong with a value that a compiled checker refused. It stops at the first
// fault, so its work is at most one walk over the body for each form a field may have, however hostile the
// body. It never quotes the caller's values: messages end up in logs.

export interface Problem {
  /** Where it is, as in `messages[0].role`; undefined when it is the body itself. */
  readonly param: string | undefined
  readonly message: string
  readonly code: 'missing_required_parameter' | 'invalid_type' | 'invalid_value'
}

type Path = readonly (string | number)[]

interface Fault {
  readonly path: Path
  readonly code: Problem['code']
  /** The forms that would have been right, for `invalid_type`. */
  readonly expected: readonly string[]
  /** What came instead, or what is wrong with the value. */
  readonly found: string
}

/** The most helpful problem of a value, or undefined when the schema accepts it. */
export function explain(schema: TSchema, value: unknown): Problem | undefined {
  const fault = find(schema, value, [])
  return fault && { param: paramOf(fault.path), message: messageOf(fault), code: fault.code }
}

function find(schema: TSchema, value: unknown, path: (string | number)[]): Fault | undefined {
  if (KindGuard.IsUnknown(schema)) return undefined
  if (KindGuard.IsUnion(schema)) return findInUnion(schema, value, path)
  if (KindGuard.IsObject(schema)) {
    return isObject(value) ? findInObject(schema, value, path) : mismatch()
  }
  if (KindGuard.IsArray(schema)) {
    return Array.isArray(value) ? findInList(schema, value, path) : mismatch()
  }
  if (KindGuard.IsString(schema)) {
    return typeof value === 'string' ? faultOfText(schema, value, path) : mismatch()
  }
  return isScalar(schema, value) ? undefined : mismatch()

  function mismatch(): Fault {
    return {
      path: [...path],
      code: 'invalid_type',
      expected: [singular(schema)],
      found: kindOf(value),
    }
  }
}

function isScalar(schema: TSchema, value: unknown): boolean {
  if (KindGuard.IsNumber(schema)) return Number.isFinite(value)
  if (KindGuard.IsInteger(schema)) return Number.isInteger(value)
  if (KindGuard.IsBoolean(schema)) return typeof value === 'boolean'
  if (KindGuard.IsNull(schema)) return value === null
  throw new TypeError('a schema of this kind cannot be explained')
}

function findInList({ items }: TArray, values: unknown[], path: (string | number)[]) {
  for (const [index, value] of values.entries()) {
    path.push(index)
    const fault = find(items, value, path)
    path.pop()
    if (fault) return fault
  }
  return undefined
}

function findInObject(
  { properties, required }: TObject,
  value: Readonly<Record<string, unknown>>,
  path: (string | number)[],
): Fault | undefined {
  for (const name in properties) {
    const property = properties[name]
    const field = value[name]
    if (property === undefined) continue
    if (field === undefined) {
      if (!required?.includes(name)) continue
      return {
        path: [...path, name],
        code: 'missing_required_parameter',
        expected: [],
        found: 'nothing',
      }
    }
    path.push(name)
    const fault = find(property, field, path)
    path.pop()
    if (fault) return fault
  }
  return undefined
}

/** Reports the form the caller most likely meant: the one that fitted furthest. */
function findInUnion(schema: TUnion, value: unknown, path: (string | number)[]) {
  let best: Fault | undefined
  for (const form of schema.anyOf) {
    const fault = find(form, value, path)
    if (!fault) return undefined
    best = best ? further(best, fault, path.length) : fault
  }
  return best
}

function further(a: Fault, b: Fault, from: number): Fault {
  const ahead = compare(a.path, b.path, from)
  if (ahead !== 0) return ahead > 0 ? a : b
  if (a.code === 'invalid_type' && b.code === 'invalid_type') {
    return { ...a, expected: [...new Set([...a.expected, ...b.expected])] }
  }
  return a.code === 'invalid_type' ? b : a
}

/** Above zero when `a` is further into the value than `b`: at a later element, or deeper. */
function compare(a: Path, b: Path, from: number): number {
  const shared = Math.min(a.length, b.length)
  for (let i = from; i < shared; i++) {
    const left = a[i]
    const right = b[i]
    if (left === right) continue
    return typeof left === 'number' && typeof right === 'number'
      ? left - right
      : a.length - b.length
  }
  return a.length - b.length
}

const patterns = new Map<string, RegExp>()

function faultOfText(
  { minLength, maxLength, pattern }: TString,
  value: string,
  path: Path,
): Fault | undefined {
  if (minLength !== undefined && value.length < minLength) return invalid('it must not be empty')
  if (maxLength !== undefined && value.length > maxLength) {
    return invalid(`it must not be longer than ${maxLength} characters, but has ${value.length}`)
  }
  if (pattern === undefined) return undefined
  let expression = patterns.get(pattern)
  if (!expression) {
    expression = new RegExp(pattern)
    patterns.set(pattern, expression)
  }
  return expression.test(value) ? undefined : invalid('control characters are not allowed')

  function invalid(found: string): Fault {
    return { path: [...path], code: 'invalid_value', expected: [], found }
  }
}

function messageOf({ path, code, expected, found }: Fault): string {
  const name = paramOf(path)
  if (code === 'missing_required_parameter') return `Missing required parameter: '${name}'.`
  if (code === 'invalid_value') return `Invalid value for '${name}': ${found}.`
  const wanted = anyOf(expected.length > 1 ? expected.filter((form) => form !== 'null') : expected)
  return name === undefined
    ? `Invalid type for the request body: expected ${wanted}, but got ${found} instead.`
    : `Invalid type for '${name}': expected ${wanted}, but got ${found} instead.`
}

function anyOf(forms: readonly string[]): string {
  if (forms.length < 2) return forms.join('')
  return `one of ${forms.slice(0, -1).join(', ')} or ${forms.at(-1)}`
}

function paramOf(path: Path): string | undefined {
  if (path.length === 0) return undefined
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '')
}

function singular(schema: TSchema): string {
  if (KindGuard.IsInteger(schema)) return 'an integer'
  if (KindGuard.IsObject(schema)) return 'an object'
  if (KindGuard.IsNull(schema)) return 'null'
  if (KindGuard.IsArray(schema)) return `an array of ${plural(schema.items)}`
  return `a ${String(schema.type)}`
}

function plural(schema: TSchema): string {
  if (KindGuard.IsArray(schema)) return `arrays of ${plural(schema.items)}`
  if (KindGuard.IsUnion(schema)) return schema.anyOf.map(plural).join(' or ')
  return `${String(schema.type)}s`
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (typeof value !== 'number') return `a ${typeof value}`
  if (!Number.isFinite(value)) return 'a number out of range'
  return Number.isInteger(value) ? 'an integer' : 'a decimal number'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
