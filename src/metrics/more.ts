import type { Jobs } from '#pipeline/jobs.ts'
import type { LogStore } from '#store/logs.ts'

import type { Reading } from './scrape.ts'

/** Parts of the process that are not always there. */
interface Parts {
  readonly jobs?: Pick<Jobs, 'running'> | undefined
  readonly tracing?: { readonly dropped: number } | undefined
  readonly logs?: Pick<LogStore, 'dropped' | 'failure'> | undefined
}

/** What can be told of those that are there. */
export function readingsOf({ jobs, logs, tracing }: Parts): Reading[] {
  const readings: Reading[] = []
  if (jobs) {
    const help = 'Jobs that run now.'
    const read = () => [['', jobs.running]] as const
    readings.push({ name: 'asbru_jobs_running', kind: 'gauge', help, read })
  }
  if (logs) {
    readings.push(
      {
        name: 'asbru_log_rows_dropped_total',
        kind: 'counter',
        help: 'Rows of the log that were lost.',
        read: () => [['', logs.dropped]],
      },
      {
        name: 'asbru_log_failing',
        kind: 'gauge',
        help: '1 while the log cannot be written.',
        read: () => [['', Number(logs.failure !== undefined)]],
      },
    )
  }
  if (tracing) {
    readings.push({
      name: 'asbru_trace_spans_dropped_total',
      kind: 'counter',
      help: 'Spans that no collector took.',
      read: () => [['', tracing.dropped]],
    })
  }
  return readings
}
