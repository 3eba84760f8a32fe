// What the OpenAPI document says of the routes of the log.

interface Parameter {
  readonly name: string
  readonly in: 'query'
  readonly description: string
  readonly schema: object
}

/** A query parameter; `values` are all that it may be. */
export function parameter(
  name: string,
  description: string,
  values?: readonly string[],
): Parameter {
  const schema = values ? { type: 'string', enum: values } : { type: 'string' }
  return { name, in: 'query', description, schema }
}

const lists = {
  providers: 'Providers that were asked last',
  models: 'Models as callers wrote them, or without the provider before them',
  aliases: 'Models as providers were asked for them',
  status:
    '`success`, `error`, or `processing` for calls under way: alone, all of these; with others, on the first page and newest first, before it and beyond its limit',
  objects: 'Operations, such as `chat_completion` or `chat_completion_stream`',
  selected_key_ids: 'Ids of provider keys',
  virtual_key_ids: 'Ids of virtual keys',
  team_ids: 'Ids of teams',
  customer_ids: 'Ids of customers',
  user_ids: 'Ids of users',
  routing_rule_ids: 'Ids of routing rules',
  routing_engine_used: 'What had a say in where calls went, such as `routing-rule`',
  cache_hit_types: 'Kinds of cache hits',
  stop_reasons: 'Why answers ended',
  user_agents: 'User agents of callers',
  apps: 'Programs that callers are, as their user agents say',
  session_id: 'Sessions, as in `x-bf-session-id`; also `parent_request_id`',
  request_id: 'Ids of calls',
}
const bounds = {
  min_latency: 'Milliseconds',
  max_latency: 'Milliseconds',
  min_tokens: 'Tokens in all',
  max_tokens: 'Tokens in all',
  min_cost: 'US dollars',
  max_cost: 'US dollars',
}

/** Which calls are meant. */
export const FILTERS: readonly Parameter[] = [
  parameter('period', 'The last so many minutes, hours or days: `15m`, `24h`, `7d`.'),
  parameter('start_time', 'The earliest arrival, as in RFC 3339.'),
  parameter('end_time', 'The latest arrival, as in RFC 3339.'),
  ...Object.entries(lists).map(([name, what]) => parameter(name, `${what}; several with commas.`)),
  ...Object.entries(bounds).map(([name, what]) => ({
    ...parameter(name, `${what}.`),
    schema: { type: 'number' },
  })),
  parameter('content_search', 'Words that all have to occur in what was said.'),
  parameter('missing_cost_only', 'Only calls whose cost is not known.', ['true', 'false']),
  parameter('roots_only', 'Only calls of no session.', ['true', 'false']),
]

/** Which of them are shown. */
export const PAGING: readonly Parameter[] = [
  { ...parameter('limit', 'Calls on a page.'), schema: whole(0, 1000, 50) },
  { ...parameter('offset', 'Calls before the page.'), schema: whole(0, 100_000, 0) },
  parameter('cursor', 'Where the page before ended: its `next_cursor`.'),
  parameter('sort_by', 'What they are sorted by.', ['timestamp', 'latency', 'tokens', 'cost']),
  parameter('order', 'Newest or largest first, or last.', ['desc', 'asc']),
]

export const BUCKET: Parameter = {
  ...parameter('bucket_size_seconds', 'Width of a bucket; what suits the time unless given.'),
  schema: whole(1, 31_536_000, undefined),
}

export function whole(minimum: number, maximum: number, standard: number | undefined): object {
  return { type: 'integer', minimum, maximum, ...(standard !== undefined && { default: standard }) }
}

/** Elysia's `detail` of a route; `body` are the members of a JSON body. */
export function described(
  summary: string,
  parameters: readonly object[] = [],
  body?: Readonly<Record<string, object>>,
): { readonly detail: object } {
  const schema = body && { type: 'object', required: [Object.keys(body)[0]], properties: body }
  return {
    detail: {
      summary,
      tags: ['logs'],
      ...(parameters.length > 0 && { parameters }),
      ...(schema && { requestBody: { content: { 'application/json': { schema } } } }),
      responses: {
        200: { description: 'JSON.' },
        '4XX': { description: 'The error envelope, `param` naming what is wrong.' },
      },
    },
  }
}
