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

const checkers = new Map<TSchema, TypeCheck<TSchema>>()

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

/** Compiles the checkers of the busiest endpoints, which takes some milliseconds; for after listening. */
export function warmCheckers(): void {
  for (const endpoint of ['chat_completion', 'responses', 'embedding'] as const) {
    const schema = REQUEST_SCHEMAS[endpoint]
    if (schema) checkerOf(schema)
  }
}

function check(schema: TSchema, value: unknown): Problem | undefined {
  if (checkerOf(schema).Check(value)) return undefined
  return (
    explain(schema, value) ?? {
      // The two walks read the same schema, so this is out of reach unless the compiler changes its rules.
      param: undefined,
      message: 'The request body is not valid.',
      code: 'invalid_value',
    }
  )
}

function checkerOf(schema: TSchema): TypeCheck<TSchema> {
  let checker = checkers.get(schema)
  if (!checker) {
    checker = TypeCompiler.Compile(schema)
    checkers.set(schema, checker)
  }
  return checker
}
