import { type TProperties, type TSchema, Type } from '@sinclair/typebox'

// Builders of wire schemas. Every object stays open: fields that this gateway does not know yet must
// reach the provider. No schema descends into JSON that belongs to the caller (tool parameters, metadata).

/** Longest model name, in UTF-16 units. */
export const MAX_MODEL_LENGTH = 512

/** Matches text without the characters that could break a header, a URL or a log line. */
export const PRINTABLE = '^[^\\u0000-\\u001f\\u007f]*$'

/** An object whose unknown fields survive. */
export function open<P extends TProperties>(properties: P, description?: string) {
  return Type.Object(properties, { additionalProperties: true, ...describe(description) })
}

/** An optional field that may also be an explicit `null`, which OpenAI reads as "not given". */
export function maybe<T extends TSchema>(schema: T, description?: string) {
  return Type.Optional(Type.Union([schema, Type.Null()], describe(description)))
}

/** Either of several forms; `null` and absence are fine too. */
export function maybeOneOf<T extends TSchema[]>(schemas: [...T], description?: string) {
  return Type.Optional(Type.Union([...schemas, Type.Null()], describe(description)))
}

/** Optional text. */
export function text(description?: string) {
  return maybe(Type.String(), description)
}

/** Optional boolean. */
export function flag(description?: string) {
  return maybe(Type.Boolean(), description)
}

/** Optional whole number. */
export function integer(description?: string) {
  return maybe(Type.Integer(), description)
}

/** Optional number. */
export function decimal(description?: string) {
  return maybe(Type.Number(), description)
}

/** Optional list. */
export function list<T extends TSchema>(item: T, description?: string) {
  return maybe(Type.Array(item), description)
}

/** Optional object of whatever content. */
export function object(description?: string) {
  return maybe(open({}), description)
}

/** Optional text or list of texts. */
export function textOrList(description?: string) {
  return maybeOneOf([Type.String(), Type.Array(Type.String())], description)
}

/** An open object that says what it is in `type`. */
export function typed<P extends TProperties>(properties: P, description?: string) {
  return open({ type: Type.String(), ...properties }, description)
}

const modelDescription =
  'Which model answers: `provider/model`, or a bare model name for the default provider.'

/** A model name: not empty, bounded, nothing that could break a header or a log line. */
export const ModelName = Type.String({
  minLength: 1,
  maxLength: MAX_MODEL_LENGTH,
  pattern: PRINTABLE,
  description: modelDescription,
})

/** A model name where the request may leave it out. */
export const OptionalModelName = maybe(ModelName, modelDescription)

/** `fallbacks`: empty entries are skipped later, so they are no error here. */
export const Fallbacks = list(
  Type.Union([
    Type.String({ maxLength: MAX_MODEL_LENGTH, pattern: PRINTABLE }),
    open({
      provider: Type.Optional(Type.String({ maxLength: MAX_MODEL_LENGTH, pattern: PRINTABLE })),
      model: Type.Optional(Type.String({ maxLength: MAX_MODEL_LENGTH, pattern: PRINTABLE })),
    }),
  ]),
  'Models to try in this order when the first one fails, each as `provider/model` or as `{provider, model}`. Read by the gateway.',
)

export const User = text('An id of your end user, for abuse tracking by the provider.')
export const Stream = flag('Send the answer piece by piece as server-sent events.')
export const Metadata = object('Up to 16 pairs of text that are stored with the result.')
export const ExtraParams = object(
  'Provider-specific parameters, merged into the upstream request when `x-bf-passthrough-extra-params: true` is sent.',
)

function describe(description: string | undefined): { description?: string } {
  return description === undefined ? {} : { description }
}
