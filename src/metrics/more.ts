import type { Jobs } from '#pipeline/jobs.ts'
import type { Services } from '#pipeline/services.ts'
import type { LogStore } from '#store/logs.ts'

import type { Reading } from './scrape.ts'

/** Parts of the process that are not always there. */
interface Parts {
  readonly services?: Pick<Services, 'hedges' | 'rescues'> | undefined
  readonly jobs?: Pick<Jobs, 'running'> | undefined
  readonly tracing?: { readonly dropped: number } | undefined
  readonly logs?: Pick<LogStore, 'dropped' | 'failure'> | undefined
}

/** What can be told of those that are there. */
export function readingsOf({ jobs, logs, services, tracing }: Parts): Reading[] {
  const readings: Reading[] = []
  if (services) readings.push(...ofSecondChances(services))
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

function ofSecondChances({ hedges, rescues }: Pick<Services, 'hedges' | 'rescues'>): Reading[] {
  const { totals } = hedges
  const counter = (name: string, help: string, read: () => number): Reading => ({
    name,
    kind: 'counter',
    help,
    read: () => [['', read()]],
  })
  const readings = [
    counter('asbru_hedgeable_calls_total', 'Calls that might be hedged.', () => totals.calls),
    counter(
      'asbru_hedges_total',
      'Calls that were given a second candidate.',
      () => totals.started,
    ),
    counter('asbru_hedges_won_total', 'Hedges that were answered by the second.', () => totals.won),
    counter('asbru_hedges_held_total', 'Slow calls beyond the share of hedges.', () => totals.held),
  ]
  if (!rescues) return readings
  return [
    ...readings,
    counter('asbru_rescues_total', 'Streams that broke and may be continued.', () => rescues.tried),
    counter('asbru_rescued_total', 'Streams that went on.', () => rescues.continued),
  ]
}
