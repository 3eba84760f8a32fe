import type { UpstreamFailure } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'
import { text } from '#openai/conversation/fields.ts'

import { readRefusal } from '../refusal.ts'

/**
 * Reads `{"error": "text"}`, or the object that the compatible surface sends ("Errors", as read in November 2026);
 * codes and parameters are known by the words only.
 */
export function parseError(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): UpstreamFailure {
  const failure = readRefusal(status, body, headers)
  return { ...failure, ...named(status, failure.message) }
}

type Named = Partial<Pick<UpstreamFailure, 'code' | 'param'>>

const params: ReadonlyMap<string, string> = new Map([
  ['tools', 'tools'],
  ['thinking', 'reasoning_effort'],
  ['vision', 'messages'],
  ['image', 'messages'],
  ['images', 'messages'],
  ['insert', 'suffix'],
  ['embeddings', 'model'],
])

function named(status: number, message: string): Named {
  if (status === 401) return { code: 'invalid_api_key' }
  if (status === 403) return { code: 'permission_denied' }
  if (status === 429) return { code: 'rate_limit_exceeded' }
  if (status === 503) return { code: 'overloaded' }
  if (status === 404 && /model|pull/i.test(message)) return { code: 'model_not_found' }
  if (status !== 400) return {}
  const lacking = /does not support (\w+)/i.exec(message)?.[1]?.toLowerCase()
  if (lacking !== undefined) {
    return { code: 'unsupported_parameter', param: params.get(lacking) ?? null }
  }
  return /context (?:length|window|size)/i.test(message) ? { code: 'context_length_exceeded' } : {}
}

/** The failure that an answer with status 200 reports; undefined when it reports none. */
export function reportedFailure(
  answer: Readonly<Record<string, unknown>>,
): GatewayError | undefined {
  const message = text(answer['error'])
  if (message === undefined) return undefined
  const said = Number(answer['status_code'] ?? answer['status'])
  const status = Number.isInteger(said) && said >= 400 && said <= 599 ? said : statusOf(message)
  const upstream = parseError(status, JSON.stringify({ error: message }), {})
  return new GatewayError('upstream_error', upstream.message, { upstream })
}

function statusOf(message: string): number {
  if (/not found|try pulling/i.test(message)) return 404
  return /does not support|context (?:length|window|size)/i.test(message) ? 400 : 500
}
