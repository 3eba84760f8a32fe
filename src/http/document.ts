import type { EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'
import type { FormField } from '#openai/form.ts'
import { FORM_FIELDS, REQUEST_SCHEMAS } from '#openai/schemas.ts'

// What the OpenAPI document says of an operation. The schemas are the ones that validate.

/** Elysia's `detail` for one operation; `hidden` ones are aliases of a documented path. */
export function describeOperation(
  endpoint: KnownEndpoint,
  facts: EndpointFacts,
  hidden: boolean,
): Record<string, unknown> {
  if (hidden) return { hide: true }
  const content: Record<string, unknown> = {}
  if (facts.body === 'json' || facts.body === 'json-or-multipart') {
    const schema = REQUEST_SCHEMAS[endpoint]
    if (schema) content['application/json'] = { schema }
  }
  const fields = FORM_FIELDS[endpoint]
  if (fields) content['multipart/form-data'] = { schema: formSchema(fields) }
  return {
    operationId: endpoint,
    summary: facts.summary,
    tags: [facts.path.split('/')[1]],
    ...(Object.keys(content).length > 0 && { requestBody: { required: true, content } }),
    responses: {
      200: { description: 'As the OpenAI API answers, with `extra_fields` added.' },
      '4XX': { description: 'The error envelope.' },
      '5XX': { description: 'The error envelope.' },
    },
  }
}

function formSchema(fields: readonly FormField[]): Record<string, unknown> {
  return {
    type: 'object',
    required: fields.filter(({ required }) => required).map(({ name }) => name),
    properties: Object.fromEntries(
      fields.map(({ name, type, description }) => [name, { ...fieldType(type), description }]),
    ),
  }
}

function fieldType(type: FormField['type']): Record<string, unknown> {
  if (type.endsWith('[]')) {
    return { type: 'array', items: fieldType(type.slice(0, -2) as FormField['type']) }
  }
  return type === 'file' ? { type: 'string', format: 'binary' } : { type }
}
