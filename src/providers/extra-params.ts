import type { Call } from '#core/call.ts'

import { bodyOf } from './exchange.ts'

type Fields = Readonly<Record<string, unknown>>

/**
 * The body with the caller's `extra_params` merged in, when the header asks for it; what the adapter wrote stands.
 * Without the header they are not sent, and count as dropped.
 */
export function mergeExtra(body: Fields, call: Call, dropped: string[]): Fields {
  const extra = bodyOf(call)['extra_params']
  if (!isFields(extra) || Object.keys(extra).length === 0) return body
  if (call.headers['x-bf-passthrough-extra-params'] !== 'true') {
    dropped.push('extra_params')
    return body
  }
  return merged(body, extra)
}

function merged(own: Fields, more: Fields): Fields {
  const result: Record<string, unknown> = { ...own }
  for (const [name, value] of Object.entries(more)) {
    const known = result[name]
    if (known === undefined) result[name] = value
    else if (isFields(known) && isFields(value)) result[name] = merged(known, value)
  }
  return result
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
