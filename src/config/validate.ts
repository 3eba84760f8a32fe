import type { TSchema } from '@sinclair/typebox'
import { Value, ValueErrorType } from '@sinclair/typebox/value'
import type { ValueError } from '@sinclair/typebox/value'

import { lastName } from './problem.ts'
import type { Report } from './problem.ts'
import { ConfigFile } from './schema/file.ts'
import { didYouMean } from './suggest.ts'

/**
 * Reports everything in `value` that the schema refuses. Returns a test for a pointer: true when nothing at
 * or under it has a wrong type, so that it may be read as its schema says (unknown keys do no harm there).
 */
export function validate(value: unknown, report: Report): (pointer: string) => boolean {
  const wrong: string[] = []
  const visit = (errors: Iterable<ValueError>) => {
    // A missing value is also of the wrong type; the first error for a place is the one that helps.
    const seen = new Set<string>()
    for (const error of errors) {
      if (seen.has(error.path)) continue
      seen.add(error.path)
      const branch = objectBranch(error)
      if (branch) {
        visit(branch)
        continue
      }
      const unknown = error.type === ValueErrorType.ObjectAdditionalProperties
      if (!unknown) wrong.push(error.path)
      report.problem(error.path, explain(error), unknown ? 'name' : 'value')
    }
  }
  visit(Value.Errors(ConfigFile, value))
  return (pointer) =>
    !wrong.some(
      (path) =>
        path === pointer || path.startsWith(`${pointer}/`) || pointer.startsWith(`${path}/`),
    )
}

/** An object where a string or an object may stand was meant to be the object: its errors say more. */
function objectBranch(error: ValueError): Iterable<ValueError> | undefined {
  if (error.type !== ValueErrorType.Union || kindOf(error.value) !== 'object') return undefined
  const index = variants(error.schema).findIndex(({ type }) => type === 'object')
  return error.errors[index]
}

function explain({ type, path, schema, value }: ValueError): string {
  const limits = schema as Partial<Record<string, unknown>>
  switch (type) {
    case ValueErrorType.ObjectAdditionalProperties: {
      const name = lastName(path)
      const known = Object.keys(schema['properties'] as object)
      return `unknown key ${JSON.stringify(name)}.${didYouMean(name, known)}`
    }
    case ValueErrorType.ObjectRequiredProperty:
      return 'is required'
    case ValueErrorType.IntegerMinimum:
    case ValueErrorType.NumberMinimum:
      return `must be at least ${limits['minimum']}`
    case ValueErrorType.IntegerMaximum:
    case ValueErrorType.NumberMaximum:
      return `must be at most ${limits['maximum']}`
    case ValueErrorType.NumberExclusiveMinimum:
      return `must be more than ${limits['exclusiveMinimum']}`
    case ValueErrorType.StringMinLength:
      return 'must not be empty'
    case ValueErrorType.StringMaxLength:
      return `must have at most ${limits['maxLength']} characters`
    default: {
      const choices = variants(schema).map((variant) => variant['const'] as unknown)
      const hint =
        typeof value === 'string'
          ? didYouMean(
              value,
              choices.filter((choice) => typeof choice === 'string'),
            )
          : ''
      return `expected ${expected(schema)}, got ${kindOf(value)}.${hint}`
    }
  }
}

function variants(schema: TSchema): readonly TSchema[] {
  return (schema['anyOf'] as readonly TSchema[] | undefined) ?? []
}

/** What a schema wants, in words. */
function expected(schema: TSchema): string {
  if ('const' in schema) return JSON.stringify(schema['const'])
  const options = variants(schema)
  if (options.length > 0) return [...new Set(options.map(expected))].join(' or ')
  if (schema['examples']) return `a string such as ${(schema['examples'] as string[]).join(', ')}`
  const type = String(schema['type'])
  return type === 'integer' ? 'a whole number' : /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
