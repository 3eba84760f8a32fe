import type { Static, TSchema } from '@sinclair/typebox'
import { Value, ValueErrorType } from '@sinclair/typebox/value'
import type { ValueError } from '@sinclair/typebox/value'

import { above, lastName, stepsOf } from './problem.ts'
import type { Report } from './problem.ts'
import { isRecord } from './record.ts'
import { ConfigFile } from './schema/file.ts'
import { didYouMean } from './suggest.ts'

/**
 * Reports everything in `value` that the schema refuses, and returns what is left of it when the refused
 * parts are taken away: that has the shape of the schema, so the rest can be looked into for further
 * problems. Unknown keys do no harm and stay. Changes `value` itself.
 */
export function validate(value: unknown, report: Report): ConfigFile {
  let wrong = errorsIn(value)
  for (const error of wrong) {
    report.problem(error.path, explain(error), isUnknownKey(error) ? 'name' : 'value')
  }
  // What is taken away may have been required where it stood; then the next round takes that away too. Each
  // round climbs at least one level, and nothing in the schema is this deep.
  for (let round = 0; round < 32 && isRecord(value); round++) {
    wrong = wrong.filter((error) => !isUnknownKey(error))
    if (wrong.length === 0) return value
    for (const { type, path } of wrong) {
      remove(value, type === ValueErrorType.ObjectRequiredProperty ? above(path) : path)
    }
    wrong = errorsIn(value)
  }
  return {}
}

function isUnknownKey({ type }: ValueError): boolean {
  return type === ValueErrorType.ObjectAdditionalProperties
}

/** Whether a value, which stands at `pointer`, has a shape; what is wrong with it is reported. */
export function complies<T extends TSchema>(
  schema: T,
  value: unknown,
  pointer: string,
  report: Report,
): value is Static<T> {
  const wrong = errorsIn(value, schema)
  for (const error of wrong) {
    report.problem(pointer + error.path, explain(error), isUnknownKey(error) ? 'name' : 'value')
  }
  return wrong.length === 0
}

function errorsIn(value: unknown, schema: TSchema = ConfigFile): ValueError[] {
  const found: ValueError[] = []
  const collect = (errors: Iterable<ValueError>) => {
    // A missing value is also of the wrong type; the first error for a place is the one that helps.
    const seen = new Set<string>()
    for (const error of errors) {
      if (seen.has(error.path)) continue
      seen.add(error.path)
      const branch = objectBranch(error) ?? limitBranch(error)
      if (branch) collect(branch)
      else found.push(error)
    }
  }
  collect(Value.Errors(schema, value))
  return found
}

/** Takes away what `pointer` names; with an item its whole list goes, so that no other item moves. */
function remove(root: Record<string, unknown>, pointer: string): void {
  let owner = root
  let name: string | undefined
  let part: unknown = root
  for (const step of stepsOf(pointer)) {
    if (isRecord(part)) {
      owner = part
      name = step
      part = part[step]
    } else if (Array.isArray(part)) {
      part = part[Number(step)]
    }
  }
  if (name !== undefined) Reflect.deleteProperty(owner, name)
}

/** An object where a string or an object may stand was meant to be the object: its errors say more. */
function objectBranch(error: ValueError): Iterable<ValueError> | undefined {
  if (error.type !== ValueErrorType.Union || kindOf(error.value) !== 'object') return undefined
  const index = variants(error.schema).findIndex(({ type }) => type === 'object')
  return error.errors[index]
}

/** What is of a right type and only too small or too long for it is told so, and not that its type is wrong. */
function limitBranch(error: ValueError): readonly ValueError[] | undefined {
  if (error.type !== ValueErrorType.Union) return undefined
  for (const errors of error.errors) {
    const [first] = errors
    if (first && first.path === error.path && limits.has(first.type)) return [first]
  }
  return undefined
}

function explain({ type, path, schema, value }: ValueError): string {
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    const name = lastName(path)
    const properties: object = schema['properties']
    return `unknown key ${JSON.stringify(name)}.${didYouMean(name, Object.keys(properties))}`
  }
  const limit = limits.get(type)
  if (limit) return limit(schema)
  const choices = variants(schema).flatMap((variant) => {
    const choice: unknown = variant['const']
    return typeof choice === 'string' ? [choice] : []
  })
  const hint = typeof value === 'string' ? didYouMean(value, choices) : ''
  return `expected ${expected(schema)}, got ${kindOf(value)}.${hint}`
}

const atLeast = ({ minimum }: TSchema) => `must be at least ${String(minimum)}`
const atMost = ({ maximum }: TSchema) => `must be at most ${String(maximum)}`

const limits: ReadonlyMap<ValueErrorType, (schema: TSchema) => string> = new Map([
  [ValueErrorType.ObjectRequiredProperty, () => 'is required'],
  [ValueErrorType.IntegerMinimum, atLeast],
  [ValueErrorType.NumberMinimum, atLeast],
  [ValueErrorType.IntegerMaximum, atMost],
  [ValueErrorType.NumberMaximum, atMost],
  [
    ValueErrorType.NumberExclusiveMinimum,
    ({ exclusiveMinimum }) => `must be more than ${String(exclusiveMinimum)}`,
  ],
  [ValueErrorType.StringMinLength, () => 'must not be empty'],
  [
    ValueErrorType.StringMaxLength,
    ({ maxLength }) => `must have at most ${String(maxLength)} characters`,
  ],
])

function variants(schema: TSchema): readonly TSchema[] {
  const options: readonly TSchema[] | undefined = schema['anyOf']
  return options ?? []
}

/** What a schema wants, in words. */
function expected(schema: TSchema): string {
  if ('const' in schema) return JSON.stringify(schema['const'])
  const options = variants(schema)
  if (options.length > 0) return [...new Set(options.map(expected))].join(' or ')
  const examples: readonly string[] | undefined = schema['examples']
  if (examples) return `a string such as ${examples.join(', ')}`
  const type = String(schema['type'])
  return type === 'integer' ? 'a whole number' : /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'number' && !Number.isInteger(value)) {
    return Number.isFinite(value) ? 'a fraction' : 'one that is too large'
  }
  return Array.isArray(value) ? 'array' : typeof value
}
