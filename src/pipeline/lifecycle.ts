import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { replay } from '#openai/replay.ts'
import { providerFor } from '#providers/registry.ts'
import type { Page, StoredResponse } from '#store/responses.ts'

import { wantsExtraFields, withExtraFields } from './extra.ts'
import { ownerOf } from './keep.ts'
import type { Outcome, Served, Sink } from './outcome.ts'
import type { Services } from './services.ts'

// What can be done with a response by its id, for those that the gateway keeps.

const operations: ReadonlySet<string> = new Set([
  'responses_retrieve',
  'responses_delete',
  'responses_cancel',
  'responses_input_items',
])

/** Whether the call is about a response that the store may have. */
export function isAboutResponse({ endpoint }: Call): boolean {
  return operations.has(endpoint)
}

/**
 * The answer to an operation on a response that the store has; undefined when the response is the provider's. Throws a 404 when nobody can know it, and `store_unavailable` when only the store could.
 */
export async function answerStored(
  call: Call,
  snapshot: Snapshot,
  services: Services,
): Promise<Outcome | undefined> {
  const { responses } = services
  const [, , segment = ''] = call.path.split('/')
  const id = decodeURIComponent(segment)
  let found: StoredResponse | undefined
  try {
    if (snapshot.responseStore.enabled) {
      found = await responses.get(id, ownerOf(call), snapshot.responseStore)
    }
  } catch (thrown) {
    if (isOffered(call, snapshot)) return undefined
    throw thrown
  }
  if (!found) {
    if (isOffered(call, snapshot)) return undefined
    throw notFound(id)
  }
  call.trace.add('route', `response of the gateway's own store, made by ${found.provider}`)
  const served: Served = { settings: { name: found.provider }, model: found.model }
  if (call.endpoint === 'responses_delete') {
    await responses.delete(id, ownerOf(call))
    return json(call, snapshot, served, JSON.stringify({ id, object: 'response', deleted: true }))
  }
  if (call.endpoint === 'responses_cancel') {
    throw new GatewayError(
      'invalid_request',
      'Only responses that were created with background=true can be cancelled, and this one was not.',
      { param: 'response_id' },
    )
  }
  if (call.endpoint === 'responses_input_items') {
    return json(call, snapshot, served, await inputItems(id, call, snapshot, services))
  }
  const after = startingAfter(call)
  return call.stream
    ? stream(call, served, replay(JSON.parse(found.text) as Record<string, unknown>, after))
    : json(call, snapshot, served, found.text)
}

/** Whether the provider of the call can be asked. */
function isOffered(call: Call, snapshot: Snapshot): boolean {
  const settings = snapshot.providers.get(call.provider)
  const provider = settings && providerFor(settings)
  return (
    (call.endpoint in ENDPOINTS && provider?.offers.has(call.endpoint as KnownEndpoint)) ?? false
  )
}

function notFound(id: string): GatewayError {
  const shown = id.slice(0, 200)
  return new GatewayError('response_not_found', `Response with id '${shown}' not found.`)
}

async function inputItems(
  id: string,
  call: Call,
  snapshot: Snapshot,
  { responses }: Services,
): Promise<string> {
  const query = new URLSearchParams(call.query)
  const order = query.get('order') ?? 'desc'
  if (order !== 'asc' && order !== 'desc') throw wrong('order', "'order' must be 'asc' or 'desc'.")
  const limit = Number(query.get('limit') ?? 20)
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) {
    throw wrong('limit', "'limit' must be a whole number from 1 to 100.")
  }
  const after = query.get('after') ?? undefined
  const page = { after, limit, order } as const
  const found = await responses.inputItems(id, ownerOf(call), page, snapshot.responseStore)
  if (found === 'bad_cursor') {
    throw wrong(
      'after',
      `There is no input item '${(after ?? '').slice(0, 200)}' in this response.`,
    )
  }
  if (!found) throw notFound(id)
  return listOf(found)
}

function listOf({ items, hasMore }: Page): string {
  const edge = (id: string | undefined): string => JSON.stringify(id ?? null)
  const data = items.map(({ text }) => text).join(',')
  return `{"object":"list","data":[${data}],"first_id":${edge(items[0]?.id)},"last_id":${edge(items.at(-1)?.id)},"has_more":${hasMore}}`
}

function startingAfter(call: Call): number | undefined {
  const given = new URLSearchParams(call.query).get('starting_after')
  if (given === null) return undefined
  if (!call.stream) throw wrong('starting_after', "'starting_after' is only for 'stream=true'.")
  if (!/^\d{1,9}$/.test(given)) throw wrong('starting_after', 'A sequence number is expected.')
  return Number(given)
}

function wrong(param: string, message: string): GatewayError {
  return new GatewayError('invalid_request', message, { param })
}

function json(call: Call, snapshot: Snapshot, served: Served, text: string): Outcome {
  const base = { target: served, status: 200, headers: {}, kind: 'json' } as const
  if (!wantsExtraFields(call, snapshot)) return { ...base, text }
  const extra = JSON.stringify({
    request_type: call.endpoint,
    provider: served.settings.name,
    latency: 0,
    chunk_index: 0,
  })
  return { ...base, text: withExtraFields(text, text.length - 1, true, extra) }
}

function stream(call: Call, served: Served, events: Iterable<string>): Outcome {
  return {
    target: served,
    status: 200,
    headers: {},
    kind: 'stream',
    contentType: 'text/event-stream; charset=utf-8',
    contentLength: undefined,
    async pump(sink: Sink) {
      for (const event of events) {
        if (call.signal.aborted) return
        const written = sink.write(event)
        if (written instanceof Promise) await written
      }
      await sink.flush()
    },
  }
}
