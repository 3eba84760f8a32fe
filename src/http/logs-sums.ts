import type { Elysia } from 'elysia'

import type { About } from '#store/logs-sums.ts'

import type { Gateway } from './gateway.ts'
import { BUCKET, described, FILTERS, parameter, whole } from './logs-document.ts'
import { decoded, logRoutes } from './logs-routes.ts'

// Sums over many calls: histograms, rankings, sessions, and what can be filtered by.

const dimension = parameter('dimension', 'What is told apart, such as `model` or `selected_key`.')
const limit = { ...parameter('limit', 'How many are shown.'), schema: whole(0, 1000, 50) }
const sortBy = parameter('sort_by', 'What the largest has most of.', [
  'requests',
  'tokens',
  'cost',
  'latency',
])

const measures = {
  tokens: 'Tokens over time',
  cost: 'Cost over time, and of each model',
  models: 'Calls of each model over time',
  latency: 'Latency over time: average, p90, p95 and p99 of calls that succeeded',
  throughput: 'Tokens and requests per second over time',
} as const

const inSession = /\/api\/logs\/sessions\/([^/?]+)/

export function addSums(app: Elysia, gateway: Gateway): void {
  const { asked } = logRoutes(gateway)
  const add = (
    path: string,
    about: About | ((request: Request) => About),
    detail: ReturnType<typeof described>,
  ): void => {
    const answer = asked((filters, request) => {
      return { kind: 'sums', about: typeof about === 'function' ? about(request) : about, filters }
    })
    app.get(`/api/logs${path}`, answer, detail)
  }
  add(
    '/filterdata',
    { of: 'facets' },
    described('The values that occur, for filters; at most half a minute old', [
      parameter('dimensions', 'Which of them, with commas: `models`, `selected_keys`, …'),
    ]),
  )
  for (const [measure, summary] of Object.entries(measures)) {
    const of = { of: 'series', measure: measure as keyof typeof measures } as const
    add(`/histogram/${measure}`, of, described(summary, [...FILTERS, BUCKET]))
    if (measure === 'models') continue
    add(
      `/histogram/${measure}/by-provider`,
      { ...of, by: 'provider' },
      described(`${summary}; each provider apart`, [...FILTERS, BUCKET]),
    )
    add(
      `/histogram/${measure}/by-dimension`,
      { ...of, by: 'dimension' },
      described(`${summary}; each value of a dimension apart`, [dimension, ...FILTERS, BUCKET]),
    )
  }
  add(
    '/rankings',
    { of: 'ranking', byDimension: false },
    described('The models that are used most, each with its trend', [sortBy, limit, ...FILTERS]),
  )
  add(
    '/rankings/by-dimension',
    { of: 'ranking', byDimension: true },
    described('The values of a dimension that are used most, each with its trend', [
      dimension,
      sortBy,
      limit,
      ...FILTERS,
    ]),
  )
  add(
    '/dashboard',
    { of: 'dashboard' },
    described(
      'Totals, histograms and rankings of a time in one answer, each as its own route has them; totals and rankings with their trends',
      [sortBy, limit, ...FILTERS, BUCKET],
    ),
  )
  const session = (request: Request): string =>
    decoded(inSession.exec(request.url)?.[1] ?? '') ?? ''
  add(
    '/sessions/:id',
    (request) => ({ of: 'session', id: session(request) }),
    described('The calls of one session, oldest first', [
      { ...limit, schema: whole(0, 500, 50) },
      { ...parameter('offset', 'Calls before the page.'), schema: whole(0, 100_000, 0) },
      parameter('order', 'Oldest first, or last.', ['asc', 'desc']),
    ]),
  )
  add(
    '/sessions/:id/summary',
    (request) => ({ of: 'session-summary', id: session(request) }),
    described('Sums over one session'),
  )
}
