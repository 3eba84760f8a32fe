import type { Snapshot } from '#config/snapshot.ts'
import type { Body, Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import {
  appendMember,
  applyEdits,
  elementsAt,
  parseShort,
  removeMembers,
  replaceValue,
  scanJson,
} from '#lib/json.ts'
import type { Target } from '#providers/provider.ts'
import type { ResponseStore } from '#store/responses.ts'

import { keeper, ownerOf, ownItems } from './keep.ts'
import type { Services } from './services.ts'

// What a Responses call says about responses before it: `previous_response_id`, and items named by their ids. What the
// gateway's own store knows is put in place of the name; what it does not know is the provider's to find.

type JsonBody = Body & { readonly kind: 'json' }

const maxReferences = 1000

/**
 * The call with the conversation it continues in its `input`, if the store has it; otherwise the call itself. Throws a
 * 400 for a conversation that has become too long or lost its beginning.
 */
export async function withStored(
  call: Call,
  snapshot: Snapshot,
  { responses }: Services,
): Promise<Call> {
  const { body } = call
  if (body.kind !== 'json' || !snapshot.responseStore.enabled) return call
  const previousId = previousOf(body)
  const references = referencesIn(body)
  if (previousId === undefined && references.length === 0) return call
  const owner = ownerOf(call)
  const limits = snapshot.responseStore
  let chain
  let named
  try {
    chain = previousId === undefined ? undefined : await responses.chain(previousId, owner, limits)
    named = await responses.items(references, owner, limits)
  } catch (thrown) {
    // Providers that keep responses themselves may still know it; the others are refused with the reason.
    if (thrown instanceof GatewayError && thrown.kind === 'store_unavailable') return call
    throw thrown
  }
  if (chain?.kind === 'too_long') throw tooLong()
  // Its beginning was deleted or has become too old: no provider ever knew this one.
  if (chain?.kind === 'missing' && chain.id !== previousId) throw previousNotFound(chain.id)
  const before = chain?.kind === 'found' ? chain.items : undefined
  if (!before && named.size === 0) return call
  const own = ownItems(body).map((item) => {
    const id = item.value['type'] === 'item_reference' ? item.value['id'] : undefined
    return (typeof id === 'string' ? named.get(id) : undefined) ?? item.text
  })
  call.trace.add('parse', `put ${(before?.length ?? 0) + named.size} stored items in their place`)
  return {
    ...call,
    body: withInput(body, [...(before ?? []), ...own], before !== undefined),
    ...(before && { continues: previousId, itemsBefore: before.length }),
  }
}

/**
 * The call as this provider gets it. For one that keeps no responses, with `onResponse` where the answer is to be kept;
 * throws a 400 when it names a response that nobody knows. For the others, stored items become such as they take.
 */
export function asSeenBy(
  call: Call,
  target: Target,
  snapshot: Snapshot,
  { responses }: Services,
): Call {
  const { body } = call
  const { provider, settings } = target
  if (body.kind !== 'json' || !mayContinue(call)) return call
  const composes = provider.composesResponses
  const isComposed = typeof composes === 'function' ? composes(call, target) : composes
  if (!isComposed) return call.continues === undefined ? call : foreign(call, body)
  const previousId = previousOf(body)
  if (previousId !== undefined)
    throw unknownPrevious(previousId, settings.name, snapshot, responses)
  const isKept =
    call.endpoint === 'responses' &&
    body.value['store'] !== false &&
    snapshot.responseStore.enabled &&
    responses.isUsable()
  return isKept ? { ...call, onResponse: keeper(call, settings.name, snapshot, responses) } : call
}

/** Whether it is an operation whose body may name what was before. */
export function mayContinue({ endpoint }: Call): boolean {
  return endpoint === 'responses' || endpoint === 'count_tokens'
}

function previousNotFound(id: string): GatewayError {
  const shown = id.slice(0, 200)
  return new GatewayError('invalid_request', `Previous response with id '${shown}' not found.`, {
    param: 'previous_response_id',
    code: 'previous_response_not_found',
  })
}

function unknownPrevious(
  id: string,
  provider: string,
  snapshot: Snapshot,
  responses: ResponseStore,
): GatewayError {
  const isOn = snapshot.responseStore.enabled
  if (isOn && responses.isUsable()) return previousNotFound(id)
  const why = isOn ? 'cannot be used at the moment' : 'is switched off (response_store.enabled)'
  return new GatewayError(
    'invalid_request',
    `Provider '${provider}' keeps no responses, and the gateway's own store ${why}: send the whole conversation in 'input'.`,
    { param: 'previous_response_id', code: 'previous_response_not_found' },
  )
}

function tooLong(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'The conversation before this response has become too long to be continued by its id.',
    { param: 'previous_response_id', code: 'context_length_exceeded' },
  )
}

function previousOf({ value }: JsonBody): string | undefined {
  const id = value['previous_response_id']
  return typeof id === 'string' && id !== '' ? id : undefined
}

function referencesIn({ value }: JsonBody): string[] {
  const { input } = value
  if (!Array.isArray(input)) return []
  const ids: string[] = []
  for (const item of input as unknown[]) {
    const { type, id } = (item ?? {}) as { type?: unknown; id?: unknown }
    if (type === 'item_reference' && typeof id === 'string') ids.push(id)
  }
  if (ids.length > maxReferences) {
    throw new GatewayError(
      'invalid_request',
      `At most ${maxReferences} items can be named by their ids.`,
      { param: 'input' },
    )
  }
  return ids
}

/** The body with these items as its input; everything else keeps its bytes. */
function withInput(body: JsonBody, items: readonly string[], isContinued: boolean): JsonBody {
  const { scan, text } = body
  const input = scan.members.find(({ key }) => key === 'input')
  const written = `[${items.join(',')}]`
  const edits = [input ? replaceValue(input, written) : appendMember(scan, 'input', written)]
  let next = applyEdits(text, edits)
  if (isContinued) {
    next = applyEdits(next, removeMembers(scanJson(next), ['previous_response_id']))
  }
  return {
    kind: 'json',
    text: next,
    value: parseShort(next) as Record<string, unknown>,
    scan: scanJson(next),
  }
}

/** Members that every provider of the Responses API takes back; the rest of an item is of whoever made it. */
const plainMembers: Readonly<Record<string, readonly string[]>> = {
  message: ['type', 'role', 'content', 'phase'],
  function_call: ['type', 'call_id', 'name', 'namespace', 'arguments'],
  custom_tool_call: ['type', 'call_id', 'name', 'namespace', 'input'],
}

/** Ids and reasoning of the stored items mean nothing to a provider that did not make them. */
function foreign(call: Call, body: JsonBody): Call {
  const { itemsBefore = 0 } = call
  const input = body.scan.members.find(({ key }) => key === 'input')
  if (!input) return call
  let left = 0
  const items = elementsAt(body.text, input.start).flatMap(({ start, end }, i) => {
    const text = body.text.slice(start, end)
    if (i >= itemsBefore) return [text]
    const item = JSON.parse(text) as Record<string, unknown>
    const type = typeof item['type'] === 'string' ? item['type'] : 'message'
    if (type === 'reasoning') {
      left++
      return []
    }
    const { id: _, ...rest } = item
    const names = plainMembers[type]
    const kept = names
      ? Object.fromEntries(names.flatMap((name) => (name in item ? [[name, item[name]]] : [])))
      : rest
    return [JSON.stringify(kept)]
  })
  return {
    ...call,
    body: withInput(body, items, false),
    itemsBefore: itemsBefore - left,
    ...(left > 0 && { leftOut: ['previous_response_id.reasoning'] }),
  }
}
