import type { Snapshot } from '#config/snapshot.ts'
import type { GovernanceSettings, VirtualKey } from '#config/virtual-key.ts'
import { virtualKeyFor, whyRefused } from '#config/virtual-key.ts'
import type { Caller, Owner } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { Secret } from '#lib/secret.ts'

type Headers = Readonly<Record<string, string>>

const nobody: Caller = { directKey: undefined, azureEndpoint: undefined }

/** Most virtual keys look like this; none is ever sent to a provider. */
const virtualKeyPrefix = 'sk-bf-'

/** What is known of a request besides its headers. */
export interface Introduction {
  /** The query's `api-version`. */
  readonly apiVersion?: string | undefined
  /** Whose request it is, where that was found out before: then what the headers say of it does not count. */
  readonly virtualKeyId?: string | undefined
  /** It was let in before, when it had all its headers; it may come without some of them now. */
  readonly wasAdmitted?: boolean | undefined
}

/**
 * Who calls. Without `allow_direct_keys` whatever key an SDK sends is ignored, so that `dummy-key` works, unless it is a
 * virtual key. Throws 400 when a header that the configuration requires is missing, 401 for a virtual key that is not
 * there, or that is missing where one is required, and 403 for one that is not valid any more.
 */
export function readCaller(
  headers: Headers,
  { client, governance }: Pick<Snapshot, 'client' | 'governance'>,
  { apiVersion, virtualKeyId, wasAdmitted = false }: Introduction = {},
): Caller {
  for (const name of client.requiredHeaders) {
    if (!wasAdmitted && headers[name.toLowerCase()] === undefined) {
      throw new GatewayError('header_required', `Header '${name}' is required.`)
    }
  }
  const key = governance && admitted(headers, governance, virtualKeyId)
  if (!client.allowDirectKeys) return key ? { ...nobody, ...ownedBy(key) } : nobody
  const direct = directKey(headers, governance)
  return {
    directKey: direct === undefined ? undefined : new Secret(direct),
    azureEndpoint: headers['x-bf-azure-endpoint'],
    azureApiVersion: apiVersion,
    ...(key && ownedBy(key)),
  }
}

/** Whose virtual key a request carries, also one that is not valid any more; for what is written down of refusals. */
export function ownerOfRefused(
  headers: Headers,
  { governance }: Pick<Snapshot, 'governance'>,
): Owner | undefined {
  if (!governance) return undefined
  const named = plain(headers['x-bf-vk'])
  const values =
    named === undefined ? carriers.map((carrier) => valueIn(headers, carrier)) : [named]
  for (const value of values) {
    const key = value === undefined ? undefined : virtualKeyFor(value, governance)
    if (key) return key.owner
  }
  return undefined
}

function ownedBy({
  owner,
  value,
  keepsContent,
}: VirtualKey): Pick<Caller, 'owner' | 'virtualKey' | 'keepsContent'> {
  return { owner, virtualKey: value, keepsContent }
}

/** The virtual key of a request that may use it now. */
function admitted(
  headers: Headers,
  governance: GovernanceSettings,
  id: string | undefined,
): VirtualKey | undefined {
  const key = id === undefined ? presented(headers, governance) : governance.byId.get(id)
  if (!key) {
    if (id !== undefined) throw unknown()
    if (!governance.isRequired) return undefined
    throw new GatewayError(
      'virtual_key_required',
      'A virtual key is required: send it in the header x-bf-vk, or as the API key.',
    )
  }
  const why = whyRefused(key, Date.now())
  if (why === undefined) return key
  const is = why === 'expired' ? 'has expired' : 'is inactive'
  throw new GatewayError(
    'virtual_key_blocked',
    `The virtual key '${key.owner.virtualKeyName}' ${is}.`,
  )
}

/**
 * The virtual key that a request carries: any value of `x-bf-vk`, or else what stands where SDKs put their key, if it
 * looks like a virtual key or is one. Throws 401 for one that is not there, also where none is required.
 */
function presented(headers: Headers, governance: GovernanceSettings): VirtualKey | undefined {
  const named = plain(headers['x-bf-vk'])
  if (named !== undefined) {
    const key = virtualKeyFor(named, governance)
    if (!key) throw unknown()
    return key
  }
  for (const carrier of carriers) {
    const value = valueIn(headers, carrier)
    if (value === undefined) continue
    const key = virtualKeyFor(value, governance)
    if (key) return key
    if (looksVirtual(value)) throw unknown()
  }
  return undefined
}

function unknown(): GatewayError {
  return new GatewayError('virtual_key_not_found', 'There is no such virtual key.')
}

/** Where SDKs put their key, best first. */
const carriers = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key'] as const

/** A key for a provider: what is no virtual key. */
function directKey(
  headers: Headers,
  governance: GovernanceSettings | undefined,
): string | undefined {
  for (const carrier of carriers) {
    const value = valueIn(headers, carrier)
    if (value === undefined || looksVirtual(value)) continue
    if (governance && virtualKeyFor(value, governance)) continue
    return value
  }
  return undefined
}

function looksVirtual(value: string): boolean {
  return value.slice(0, virtualKeyPrefix.length).toLowerCase() === virtualKeyPrefix
}

function valueIn(headers: Headers, carrier: (typeof carriers)[number]): string | undefined {
  const value = headers[carrier]
  return carrier === 'authorization' ? plain(value?.replace(/^bearer(?:\s+|$)/i, '')) : plain(value)
}

function plain(value: string | undefined): string | undefined {
  const text = value?.trim()
  return text === '' ? undefined : text
}
