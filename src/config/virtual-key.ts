import type { Owner } from '#core/call.ts'
import type { Secret } from '#lib/secret.ts'

// Virtual keys: who calls, and with what of the configuration.

/** Names of models, and patterns for names. */
export interface ModelList {
  readonly isAll: boolean
  /** In lower case. */
  readonly names: ReadonlySet<string>
  readonly patterns: readonly ModelPattern[]
}

export interface ModelPattern {
  /** As written, with its `regex:`. */
  readonly source: string
  /** Whether the whole name matches, in any case. */
  readonly test: (model: string) => boolean
}

/** What a virtual key may have of one provider. */
export interface Grant {
  readonly provider: string
  /** Share among the grants of its virtual key; undefined: only for calls that name the provider. */
  readonly weight: number | undefined
  readonly allowed: ModelList
  readonly blacklisted: ModelList
  /** Ids of the keys that may serve; undefined = all. */
  readonly keyIds: ReadonlySet<string> | undefined
}

export interface VirtualKey {
  readonly owner: Owner
  readonly description: string | undefined
  readonly value: Secret
  /** `env.NAME` when it came from the environment. */
  readonly reference: string | undefined
  readonly isActive: boolean
  /** Epoch milliseconds. */
  readonly expiresAtMs: number | undefined
  readonly allowsAllProviders: boolean
  /** By provider. */
  readonly grants: ReadonlyMap<string, Grant>
  /** Those with a weight, the heaviest first. */
  readonly pool: readonly Grant[]
  /** Whether the log keeps what is said; undefined = as the configuration has it for all. */
  readonly keepsContent: boolean | undefined
}

export interface Team {
  readonly id: string
  readonly name: string
  readonly customerId: string | undefined
}

export interface Customer {
  readonly id: string
  readonly name: string
}

export interface GovernanceSettings {
  /** A call without a virtual key is refused. */
  readonly isRequired: boolean
  /** By `fingerprint` of the value. */
  readonly byFingerprint: ReadonlyMap<string, VirtualKey>
  readonly byId: ReadonlyMap<string, VirtualKey>
  readonly teams: readonly Team[]
  readonly customers: readonly Customer[]
}

const salt = crypto.randomUUID()

/**
 * What stands for the value of a virtual key in this process and nowhere else: tells nothing of the value, and how long
 * it takes to look one up tells nothing either.
 */
export function fingerprint(value: string): string {
  return Bun.CryptoHasher.hash('sha256', salt + value, 'base64')
}

/** The virtual key with this value. Costs the same whatever their number is. */
export function virtualKeyFor(
  value: string,
  { byFingerprint }: GovernanceSettings,
): VirtualKey | undefined {
  return byFingerprint.get(fingerprint(value))
}

/** Why a virtual key is refused at a moment; undefined when it is not. */
export function whyRefused(
  { isActive, expiresAtMs }: VirtualKey,
  nowMs: number,
): 'inactive' | 'expired' | undefined {
  if (!isActive) return 'inactive'
  return expiresAtMs !== undefined && expiresAtMs <= nowMs ? 'expired' : undefined
}

/** Whether a grant lets every model of its provider through. */
export function isUnrestricted({ allowed, blacklisted }: Grant): boolean {
  return allowed.isAll && isEmpty(blacklisted)
}

function isEmpty({ isAll, names, patterns }: ModelList): boolean {
  return !isAll && names.size === 0 && patterns.length === 0
}

/**
 * Why a grant does not let a model through; undefined when it does. `meant` is what a key's alias makes of the name:
 * either may be allowed, and neither may be blacklisted.
 */
export function whyNotModel(
  grant: Grant,
  model: string,
  meant?: string,
): 'blacklisted' | 'not allowed' | undefined {
  const { allowed, blacklisted } = grant
  if (!isEmpty(blacklisted)) {
    if (lists(blacklisted, model, true)) return 'blacklisted'
    if (meant !== undefined && lists(blacklisted, meant, true)) return 'blacklisted'
  }
  if (allowed.isAll || lists(allowed, model, false)) return undefined
  return meant !== undefined && lists(allowed, meant, false) ? undefined : 'not allowed'
}

const date = /[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$/
const variant = /[:@].*$/

/**
 * Whether a list has a model: by its name, by the name without the maker before it (`openai/gpt-4o`) or without the
 * date behind it, or by a pattern. A list of what is forbidden has variants (`gpt-4o:nitro`) as well.
 */
function lists(list: ModelList, model: string, isForbidden: boolean): boolean {
  if (list.isAll) return true
  const whole = model.toLowerCase()
  const base = whole.slice(whole.lastIndexOf('/') + 1)
  if (hasName(list, whole) || (base !== whole && hasName(list, base))) return true
  if (isForbidden && variant.test(base)) {
    if (hasName(list, whole.replace(variant, '')) || hasName(list, base.replace(variant, ''))) {
      return true
    }
  }
  for (const { test } of list.patterns) if (test(whole) || (isForbidden && test(base))) return true
  return false
}

function hasName({ names }: ModelList, name: string): boolean {
  if (names.size === 0) return false
  return names.has(name) || (date.test(name) && names.has(name.replace(date, '')))
}
