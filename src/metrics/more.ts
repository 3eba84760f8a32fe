import type { Jobs } from '#pipeline/jobs.ts'
import type { Refusals } from '#pipeline/refusals.ts'
import type { Services } from '#pipeline/services.ts'
import type { Webhooks } from '#pipeline/webhooks.ts'
import type { LogStore } from '#store/logs.ts'

import type { Reading } from './scrape.ts'

/** Parts of the process that are not always there. */
interface Parts {
  readonly services?: Pick<Services, 'hedges' | 'rescues'> | undefined
  readonly jobs?: Pick<Jobs, 'running' | 'waiting'> | undefined
  readonly webhooks?: Pick<Webhooks, 'waiting'> | undefined
  readonly tracing?: { readonly dropped: number } | undefined
  readonly refusals?: Pick<Refusals, 'omitted'> | undefined
  readonly logs?: Pick<LogStore, 'dropped' | 'failure'> | undefined
}

/** What can be told of those that are there. */
export function readingsOf({
  jobs,
  logs,
  refusals,
  services,
  tracing,
  webhooks,
}: Parts): Reading[] {
  const readings: Reading[] = []
  if (services) readings.push(...ofSecondChances(services))
  const gauge = (name: string, help: string, read: () => number): Reading => ({
    name,
    kind: 'gauge',
    help,
    read: () => [['', read()]],
  })
  if (jobs) {
    readings.push(
      gauge('asbru_jobs_running', 'Jobs that run now.', () => jobs.running),
      gauge('asbru_jobs_waiting', 'Jobs that wait to be run here.', () => jobs.waiting),
    )
  }
  if (webhooks) {
    const help = 'Deliveries of webhooks that are still to be made.'
    readings.push(gauge('asbru_webhook_deliveries_waiting', help, () => webhooks.waiting))
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
  if (refusals) {
    readings.push({
      name: 'asbru_log_refusals_omitted_total',
      kind: 'counter',
      help: 'Requests that became no calls and were too many to have a row in the log each.',
      read: () => [['', refusals.omitted]],
    })
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
