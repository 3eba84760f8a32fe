import { MockFailure } from './answer.ts'
import { isRecord, record } from './wire.ts'

// prettier-ignore
const keywords = new Set([
  'type', 'title', 'description', 'default', 'enum', 'const', 'required', '$ref', 'properties', '$defs', 'definitions',
  'items', 'anyOf', 'allOf', 'format', 'minItems', 'additionalProperties',
])

/** Throws for a schema that the vendor's structured outputs do not take. */
export function checkSchema(schema: unknown, place: string): void {
  if (!isRecord(schema) || Array.isArray(schema)) return
  for (const [name, value] of Object.entries(schema)) {
    const bad = !keywords.has(name) || (name === 'minItems' && Number(value) > 1)
    if (bad)
      throw refuse(place, `For '${String(schema.type)}' type, property '${name}' is not supported`)
  }
  if (schema.type === 'object' && schema.additionalProperties !== false) {
    throw refuse(place, "For 'object' type, 'additionalProperties' must be explicitly set to false")
  }
  for (const holder of ['properties', '$defs', 'definitions'] as const) {
    for (const inner of Object.values(record(schema[holder]))) checkSchema(inner, place)
  }
  checkSchema(schema.items, place)
  for (const list of [schema.anyOf, schema.allOf]) {
    if (Array.isArray(list)) for (const inner of list) checkSchema(inner, place)
  }
}

function refuse(place: string, message: string): MockFailure {
  return new MockFailure({
    status: 400,
    type: 'invalid_request_error',
    message: `${place}: ${message}`,
  })
}
