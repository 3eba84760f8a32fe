// What a multipart body may carry. Parts are text on the wire: a type other than `file` says how the
// text is meant. Lists arrive as repeated parts, with or without `[]` behind the name.

export type FormFieldType =
  'string' | 'integer' | 'number' | 'boolean' | 'file' | 'string[]' | 'file[]' | 'object'

export interface FormField {
  readonly name: string
  readonly type: FormFieldType
  readonly required: boolean
  readonly description: string
}

/** A field that must be there. */
export function needs(name: string, type: FormFieldType, description: string): FormField {
  return { name, type, required: true, description }
}

/** A field that may be there. */
export function takes(name: string, type: FormFieldType, description: string): FormField {
  return { name, type, required: false, description }
}

const modelDescription = 'Which model answers: `provider/model`, or a bare model name.'

export const NEEDS_MODEL = needs('model', 'string', modelDescription)
export const TAKES_MODEL = takes('model', 'string', modelDescription)
export const TAKES_FALLBACKS = takes(
  'fallbacks',
  'string[]',
  'Models to try in this order when the first one fails. Read by the gateway.',
)
export const TAKES_PROVIDER = takes(
  'provider',
  'string',
  'The provider that keeps it. Read by the gateway.',
)
export const TAKES_USER = takes('user', 'string', 'An id of your end user.')
