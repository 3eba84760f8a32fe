import { Type } from '@sinclair/typebox'
import type { ObjectOptions, SchemaOptions, TProperties, TSchema } from '@sinclair/typebox'

// The building blocks of the schema of `config.json`. Three keywords of our own tell the loader what a
// field is; a JSON Schema reader ignores them:
//   x-kind    `secret` | `text` | `url`: may be written as a reference (`env.NAME`) and how it is resolved
//   x-effect  `none`: accepted so that a Bifrost file loads unchanged, named in one warning

/** An object whose unknown keys are errors. */
export function closed<T extends TProperties>(properties: T, options: ObjectOptions = {}) {
  return Type.Object(properties, { additionalProperties: false, ...options })
}

/** An object that keeps whatever else stands in it; for sections that nothing reads yet. */
export function open<T extends TProperties>(properties: T, options: ObjectOptions = {}) {
  return Type.Object(properties, { additionalProperties: true, ...options })
}

/** An optional field that is checked for its shape and then ignored, with a warning. */
export function idle<T extends TSchema>(schema: T) {
  return Type.Optional({ ...schema, 'x-effect': 'none' } as T)
}

/** Fields, separated by spaces, that are accepted with any value; named so that editors complete them. */
export function named(names: string): TProperties {
  return Object.fromEntries(names.split(' ').map((name) => [name, Type.Optional(Type.Unknown())]))
}

/**
 * Any name → a value of one shape. The pattern matches line breaks too; TypeBox's own does not and would
 * leave such an entry unchecked.
 */
export function map<T extends TSchema>(schema: T, options: ObjectOptions = {}) {
  return Type.Record(Type.String({ pattern: '^[\\s\\S]*$' }), schema, options)
}

export function oneOf<const T extends readonly string[]>(names: T, options: SchemaOptions = {}) {
  return Type.Union(
    names.map((name) => Type.Literal<T[number]>(name)),
    options,
  )
}

function reference(kind: 'secret' | 'text' | 'url', options: SchemaOptions) {
  return Type.Union(
    [
      Type.String(),
      closed({
        value: Type.Optional(Type.String()),
        ref: Type.Optional(Type.String()),
        type: Type.Optional(oneOf(['plain_text', 'env', 'vault'])),
        env_var: Type.Optional(Type.String()),
        from_env: Type.Optional(Type.Boolean()),
      }),
    ],
    { ...options, 'x-kind': kind },
  )
}

/** `env.NAME`, a literal, or the object form; never shown. */
export function secret(options: SchemaOptions = {}) {
  return reference('secret', options)
}

/** Like `secret`, for values that may be shown. */
export function text(options: SchemaOptions = {}) {
  return reference('text', options)
}

/** Like `text`, for addresses that calls are sent to. */
export function url(options: SchemaOptions = {}) {
  return reference('url', options)
}

export function count(options: {
  default: number
  minimum?: number
  maximum?: number
  description?: string
}) {
  return Type.Integer({ minimum: 0, maximum: 1_000_000_000, ...options })
}

export function seconds(options: { default?: number; description?: string }) {
  return Type.Number({ minimum: 0, maximum: 604_800, ...options })
}

/** Milliseconds as an integer, or a string with a unit. */
export function duration(options: SchemaOptions = {}) {
  return Type.Union(
    [
      Type.Integer({ minimum: 0 }),
      Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?(ms|s|m|h)$', examples: ['500ms', '2s', '1m'] }),
    ],
    options,
  )
}

export function flag(standard: boolean, description?: string) {
  return Type.Boolean({ default: standard, ...(description !== undefined && { description }) })
}

export function words(description?: string) {
  return Type.Array(Type.String(), description === undefined ? {} : { description })
}
