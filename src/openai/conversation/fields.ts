import { GatewayError } from '#core/errors.ts'

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>

export function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object, or an empty one for anything else. */
export function record(value: unknown): Fields {
  return isRecord(value) ? value : empty
}

const empty: Fields = Object.freeze({})

/** The string, or undefined for anything else. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The whole number, or undefined for anything else. */
export function integer(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) ? value : undefined
}

/** A 400 that names the parameter. */
export function invalid(param: string, message: string): GatewayError {
  return new GatewayError('invalid_request', message, { param })
}

/** A 400 for something that is right in itself and that this provider has no way to say. */
export function unsupported(param: string, message: string): GatewayError {
  return new GatewayError('invalid_request', message, { param, code: 'unsupported_value' })
}
