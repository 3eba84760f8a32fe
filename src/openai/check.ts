import type { TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'

import type { KnownEndpoint } from '#core/endpoint.ts'

import { explain, type Problem } from './explain.ts'
import { ModelName, open } from './open.ts'
import { OPTIONAL_BODIES, REQUEST_SCHEMAS } from './schemas.ts'

// Types and structure only. Ranges, roles, part types and empty lists differ between providers, so the
// provider judges them.

export type { Problem } from './explain.ts'

const Named = open({ model: ModelName })

/** What can be checked without walking through the schema. Compiling takes some milliseconds for each. */
const compiled = new Map<TSchema, TypeCheck<TSchema>>()
const waiting = new Set<TSchema>()
/** Long enough that whoever starts a gateway to ask it something has had the answer. */
const afterMs = 250
/** Between two compilations, for calls. */
const pauseMs = 20

/**
 * What is wrong with a parsed JSON body, or undefined when nothing is. An endpoint without a JSON schema
 * accepts everything; an endpoint with an optional body accepts `undefined`.
 */
export function checkRequest(endpoint: KnownEndpoint, value: unknown): Problem | undefined {
  const schema = REQUEST_SCHEMAS[endpoint]
  if (schema === undefined) return undefined
  if (value === undefined && OPTIONAL_BODIES.has(endpoint)) return undefined
  return check(schema, value)
}

/** What is wrong with a model name that came by form or path, or undefined when nothing is. */
export function checkModel(model: unknown): Problem | undefined {
  return check(Named, { model })
}

/** Compiles what checks an endpoint's bodies, now, so that no later check of it has to walk through its schema. */
export function compileChecker(endpoint: KnownEndpoint): void {
  const schema = REQUEST_SCHEMAS[endpoint]
  if (schema) compile(schema)
}

/** Has the checkers of the busiest endpoints compiled in a moment, before anybody asks for them. */
export function warmCheckers(): void {
  for (const endpoint of ['chat_completion', 'responses', 'embedding'] as const) {
    const schema = REQUEST_SCHEMAS[endpoint]
    if (schema) compileLater(schema)
  }
}

function check(schema: TSchema, value: unknown): Problem | undefined {
  const checker = compiled.get(schema)
  if (!checker) {
    compileLater(schema)
    return explain(schema, value)
  }
  if (checker.Check(value)) return undefined
  return (
    explain(schema, value) ?? {
      // The two walks read the same schema, so this is out of reach unless the compiler changes its rules.
      param: undefined,
      message: 'The request body is not valid.',
      code: 'invalid_value',
    }
  )
}

function compileLater(schema: TSchema): void {
  if (waiting.size === 0) setTimeout(compileNext, afterMs).unref()
  waiting.add(schema)
}

function compileNext(): void {
  const [next] = waiting
  if (next === undefined) return
  compile(next)
  waiting.delete(next)
  if (waiting.size > 0) setTimeout(compileNext, pauseMs).unref()
}

function compile(schema: TSchema): void {
  if (!compiled.has(schema)) compiled.set(schema, TypeCompiler.Compile(schema))
}
