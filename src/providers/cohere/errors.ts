import type { UpstreamFailure } from '#core/errors.ts'
import { GatewayError } from '#core/errors.ts'
import { text } from '#openai/conversation/fields.ts'

import { readRefusal } from '../refusal.ts'

const tooLong = /too many tokens|context (?:length|window)|maximum context|token limit|too long/i

/** Reads `{message, id}` ("Errors", as read in November 2026); the words that clients look for are put beside it. */
export function parseError(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): UpstreamFailure {
  const failure = readRefusal(status, body, headers)
  return { ...failure, ...named(status, failure.message) }
}

type Named = Partial<Pick<UpstreamFailure, 'status' | 'type' | 'code'>>

function named(status: number, message: string): Named {
  switch (status) {
    case 401:
      return { code: 'invalid_api_key' }
    case 402:
      // No SDK has a class for 402, and trying again does not help until somebody has paid.
      return { status: 429, type: 'insufficient_quota', code: 'insufficient_quota' }
    case 404:
      return /model/i.test(message) ? { code: 'model_not_found' } : {}
    case 429:
      // Trial keys have so many calls a month.
      return /month|billing|quota/i.test(message)
        ? { type: 'insufficient_quota', code: 'insufficient_quota' }
        : { code: 'rate_limit_exceeded' }
    case 498:
      return { status: 401, code: 'invalid_api_key' }
    default:
      return status === 400 && tooLong.test(message) ? { code: 'context_length_exceeded' } : {}
  }
}

/** The failure that an answer reports about itself after it had begun with status 200. */
export function failedAnswer(status: number, message: unknown): GatewayError {
  const said = text(message) ?? 'The provider reports that it could not finish this answer.'
  return new GatewayError('upstream_error', said, {
    upstream: {
      status,
      message: said,
      type: null,
      code: null,
      param: null,
      retryAfterMs: undefined,
      extra: {},
    },
  })
}
