import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import { closed, count, flag, map, oneOf, seconds, secret, text, url } from './fields.ts'

/** The `async` section: jobs that are submitted now and fetched later. */
export const AsyncConfig = closed(
  {
    enabled: Type.Optional(flag(true, 'Take jobs at all.')),
    concurrency: Type.Optional(
      count({ default: 32, minimum: 1, maximum: 10_000, description: 'Jobs that run at once.' }),
    ),
    max_queued: Type.Optional(
      count({ default: 10_000, description: 'Jobs that wait; more are refused with 503.' }),
    ),
    max_size_mb: Type.Optional(
      Type.Number({
        default: 1024,
        exclusiveMinimum: 0,
        maximum: 1_000_000,
        description: 'Requests and results of all jobs together; beyond it new ones are refused.',
      }),
    ),
    on_restart: Type.Optional(
      oneOf(['retry', 'fail'], {
        default: 'retry',
        description:
          'What becomes of a job that was running when the gateway ended, and that a provider may have charged for.',
      }),
    ),
    max_starts: Type.Optional(
      count({
        default: 5,
        minimum: 1,
        description: 'A job that was interrupted this many times fails.',
      }),
    ),
    allow_stream: Type.Optional(
      flag(
        false,
        'Take requests for streams; a poll then streams the answer, also while it comes.',
      ),
    ),
    lease_in_seconds: Type.Optional(
      seconds({
        default: 15,
        description: 'How long the jobs of a process that died wait before they are taken over.',
      }),
    ),
  },
  { description: 'Jobs (`x-bf-async`, `/v1/async`); in `asbru.db` in the app dir.' },
)

/** One entry of `webhooks`. */
export const WebhookConfig = closed({
  id: Type.Optional(Type.String()),
  name: Type.String({ minLength: 1, maxLength: 200 }),
  url: url({ description: '`https`, unless private networks are allowed.' }),
  secret: secret({ description: '`whsec_` and the key in base64.' }),
  events: Type.Optional(
    Type.Array(oneOf(['async_job.completed', 'async_job.failed']), {
      description: 'All when absent or empty.',
    }),
  ),
  headers: Type.Optional(map(text())),
  include_response: Type.Optional(flag(false, 'Send the answer along.')),
  every_job: Type.Optional(
    flag(false, 'Tell of every job, and not only of those that name this webhook.'),
  ),
  allow_private_network: Type.Optional(flag(false)),
  disabled: Type.Optional(flag(false)),
  max_retries: Type.Optional(count({ default: 4, maximum: 100 })),
  retry_backoff_initial_seconds: Type.Optional(seconds({ default: 30 })),
  retry_backoff_max_seconds: Type.Optional(seconds({ default: 1800 })),
  attempt_timeout_seconds: Type.Optional(seconds({ default: 10 })),
  max_response_payload_kbs: Type.Optional(count({ default: 256, maximum: 16_384 })),
  max_concurrent_deliveries: Type.Optional(count({ default: 10, minimum: 1, maximum: 1000 })),
})

export type AsyncConfig = Static<typeof AsyncConfig>
export type WebhookConfig = Static<typeof WebhookConfig>
