import { Type } from '@sinclair/typebox'

import { flag, idle, oneOf, open } from './fields.ts'

export const LogsStoreConfig = open(
  {
    enabled: Type.Optional(flag(true, 'Keep a log of calls at all.')),
    retention_days: Type.Optional(
      Type.Number({
        default: 365,
        minimum: 0,
        maximum: 36_500,
        description: 'After this long a row is gone; 0 = as `client.log_retention_days` says.',
      }),
    ),
    max_size_mb: Type.Optional(
      Type.Number({
        default: 1024,
        minimum: 1,
        maximum: 1_000_000,
        description: 'Of the whole log on disk; the oldest rows go first.',
      }),
    ),
    max_body_kb: Type.Optional(
      Type.Number({
        default: 256,
        minimum: 0,
        maximum: 16_384,
        description: 'Of a request and of an answer, what is kept; the rest is cut off.',
      }),
    ),
    type: idle(oneOf(['sqlite', 'postgres', 'clickhouse'])),
    config: idle(Type.Unknown()),
    writer: idle(Type.Unknown()),
    object_storage: idle(Type.Unknown()),
    object_storage_exclude_fields: idle(Type.Unknown()),
  },
  { description: 'The log of calls: `logs.db` in the app dir.' },
)
