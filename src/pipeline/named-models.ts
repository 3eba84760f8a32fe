import type { Call, FormPart } from '#core/call.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts } from '#core/endpoint.ts'
import { findDuplicateKey } from '#lib/json.ts'
import { isForm, partText, readForm } from '#openai/multipart.ts'

// Which models a call is about whose model is not where models usually are: what is passed through, and batches.

/** The models, in no order; or that it may be about any, because nobody here can read it. */
export type NamedModels = readonly string[] | 'any'

const nothing: NamedModels = []
const maxNodes = 100_000

/** For calls without a `model` of their own. */
export function namedModels(call: Call): NamedModels {
  const { endpoint } = call
  if (endpoint in ENDPOINTS) {
    // A batch is a file of requests, each with a model of its own.
    if (endpoint === 'batch_create') return inBatch(call)
    const facts: EndpointFacts = ENDPOINTS[endpoint as keyof typeof ENDPOINTS]
    // The provider would take the one it likes best, or one that was stored with it.
    return facts.model === 'optional' ? 'any' : nothing
  }
  // What is said on a socket is looked at as it comes; see `relayDoor`. One that joins a call takes its model over.
  if (endpoint === 'realtime') return call.query.includes('call_id=') ? nothing : 'any'
  if (endpoint !== 'passthrough') return nothing
  const elsewhere = inAddress(call)
  const said = inBody(call)
  return said === 'any' ? 'any' : [...elsewhere, ...said]
}

function inBatch({ body }: Call): NamedModels {
  if (body.kind !== 'json') return 'any'
  const { requests } = body.value
  if (!Array.isArray(requests) || requests.length === 0) return 'any'
  const each = requests.map((request: unknown) => modelsIn(request))
  return each.some((found) => found === 'any' || found.length === 0) ? 'any' : each.flat()
}

function inAddress({ path, query }: Call): string[] {
  const found: string[] = []
  const segment = /\/(?:models|deployments|engines)\/([^/:]+)/.exec(path)?.[1]
  if (segment !== undefined) found.push(decodeURIComponent(segment))
  if (query.includes('model') || query.includes('deployment')) {
    const params = new URLSearchParams(query)
    found.push(...params.getAll('model'), ...params.getAll('deployment'))
  }
  return found
}

function inBody({ body }: Call): NamedModels {
  if (body.kind === 'none') return nothing
  if (body.kind === 'json') return modelsIn(body.value)
  if (body.kind === 'stream') return 'any'
  const { bytes, contentType } = body
  if (isForm(contentType)) return inForm(bytes, contentType)
  return modelsInText(Buffer.from(bytes).toString('utf8'))
}

/** What a JSON text names; of a name that stands twice, nobody can tell which one counts. */
export function modelsInText(text: string): NamedModels {
  try {
    const value: unknown = JSON.parse(text)
    return findDuplicateKey(text) === undefined ? modelsIn(value) : 'any'
  } catch {
    // Whatever it is, it is nothing that could be looked into.
    return 'any'
  }
}

/** The `model` of a form, and those of a `session` in it, which is JSON. */
function inForm(bytes: Uint8Array, contentType: string): NamedModels {
  let parts: readonly FormPart[]
  try {
    parts = readForm(bytes, contentType)
  } catch {
    // Others may see more in it.
    return 'any'
  }
  const found: string[] = []
  for (const part of parts) {
    const text = partText(bytes, part)
    if (isModelKey(part.name)) found.push(text)
    else if (text.trimStart().startsWith('{')) {
      const said = modelsInText(text)
      if (said === 'any') return 'any'
      found.push(...said)
    }
  }
  return found
}

/** Whether this is `model`, or what some JSON readers take for it. */
export function isModelKey(name: string): boolean {
  return name.length === 5 && name.toLowerCase() === 'model'
}

/** What stands under `model`, at any depth of a JSON value. */
export function modelsIn(value: unknown): NamedModels {
  const found: string[] = []
  const left: unknown[] = [value]
  for (let node = 0; left.length > 0; node++) {
    if (node >= maxNodes) return 'any'
    const part = left.pop()
    if (typeof part !== 'object' || part === null) continue
    for (const [name, member] of Object.entries(part)) {
      if (isModelKey(name) && typeof member === 'string') found.push(member)
      else if (typeof member === 'object') left.push(member)
    }
  }
  return found
}
