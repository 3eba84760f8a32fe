import { Secret } from '#lib/secret.ts'

import type { Context } from './context.ts'
import { beginsWithDay } from './day.ts'
import { isHeaderValue } from './headers.ts'
import { idFromName } from './keys.ts'
import { modelList } from './model-list.ts'
import { below } from './problem.ts'
import type { Report } from './problem.ts'
import { resolve } from './reference.ts'
import type { ConfigFile } from './schema/file.ts'
import type { GrantConfig, VirtualKeyConfig } from './schema/governance.ts'
import { BIFROST_PROVIDERS } from './schema/provider.ts'
import type { ProviderSettings } from './snapshot.ts'
import { didYouMean } from './suggest.ts'
import { fingerprint } from './virtual-key.ts'
import type { Customer, GovernanceSettings, Grant, Team, VirtualKey } from './virtual-key.ts'

const root = '/governance'

/** What virtual keys are read against. */
interface GovernanceContext {
  readonly context: Context
  readonly providers: ReadonlyMap<string, ProviderSettings>
  /** Every provider that there could be. */
  readonly vendors: readonly string[]
  readonly teams: ReadonlyMap<string, Team>
  readonly customers: ReadonlyMap<string, Customer>
}

/** Who may call; undefined when the configuration says nothing of virtual keys, and everybody may. */
export function buildGovernance(
  file: ConfigFile,
  context: Context,
  providers: ReadonlyMap<string, ProviderSettings>,
  vendors: readonly string[],
): GovernanceSettings | undefined {
  const { report } = context
  const { governance = {}, client = {} } = file
  const customers = buildCustomers(governance.customers ?? [], report)
  const teams = buildTeams(governance.teams ?? [], customers, report)
  const isRequired = client.enforce_auth_on_inference ?? client.enforce_governance_header ?? false
  const configs = governance.virtual_keys
  if (!configs && !isRequired) return undefined
  const byFingerprint = new Map<string, VirtualKey>()
  const byId = new Map<string, VirtualKey>()
  const around: GovernanceContext = { context, providers, vendors, teams, customers }
  const claim = claims(report)
  const pointers = new Map<string, string>()
  for (const [index, config] of (configs ?? []).entries()) {
    const pointer = below(root, 'virtual_keys', index)
    const id = idOf('virtual key', config, pointer, claim)
    const found = buildVirtualKey(id, config, pointer, around)
    if (!found) continue
    const { key, print } = found
    const holder = pointers.get(print)
    if (holder !== undefined) {
      report.problem(below(pointer, 'value'), `is already the value of ${holder}`)
    }
    pointers.set(print, pointer)
    byFingerprint.set(print, key)
    byId.set(id, key)
  }
  if (isRequired && byId.size === 0) {
    const field =
      client.enforce_auth_on_inference === undefined
        ? 'enforce_governance_header'
        : 'enforce_auth_on_inference'
    report.warn(below('/client', field), 'there is no virtual key, so that every call is refused')
  }
  return {
    isRequired,
    byFingerprint,
    byId,
    teams: [...teams.values()],
    customers: [...customers.values()],
  }
}

type Claim = (field: 'id' | 'name', value: string, pointer: string) => void

/** Ids and names are unique, each among their own kind. */
function claims(report: Report): Claim {
  const taken = new Map<string, string>()
  return (field, value, pointer) => {
    const claimed = `${field}\n${value}`
    const holder = taken.get(claimed)
    if (holder === undefined) taken.set(claimed, pointer)
    else report.problem(below(pointer, field), `is already the ${field} of ${holder}`)
  }
}

function idOf(
  kind: string,
  { id, name }: { readonly id?: string; readonly name: string },
  pointer: string,
  claim: Claim,
): string {
  claim('name', name, pointer)
  if (id !== undefined) claim('id', id, pointer)
  return id ?? idFromName(`${kind}:${name}`)
}

function buildCustomers(
  configs: NonNullable<NonNullable<ConfigFile['governance']>['customers']>,
  report: Report,
): ReadonlyMap<string, Customer> {
  const claim = claims(report)
  return new Map(
    configs.map((config, index) => {
      const id = idOf('customer', config, below(root, 'customers', index), claim)
      return [id, { id, name: config.name }]
    }),
  )
}

function buildTeams(
  configs: NonNullable<NonNullable<ConfigFile['governance']>['teams']>,
  customers: ReadonlyMap<string, Customer>,
  report: Report,
): ReadonlyMap<string, Team> {
  const claim = claims(report)
  return new Map(
    configs.map((config, index) => {
      const pointer = below(root, 'teams', index)
      const id = idOf('team', config, pointer, claim)
      const customerId = config.customer_id ?? undefined
      mustBe('customer', customerId, customers, below(pointer, 'customer_id'), report)
      return [id, { id, name: config.name, customerId }]
    }),
  )
}

function mustBe(
  kind: 'customer' | 'team',
  id: string | undefined,
  known: ReadonlyMap<string, unknown>,
  pointer: string,
  report: Report,
): void {
  if (id === undefined || known.has(id)) return
  // Whatever is wrong with the list itself has been said where it stands.
  if (known.size === 0 && report.has(below(root, `${kind}s`))) return
  report.problem(pointer, `there is no ${kind} with this id.${didYouMean(id, [...known.keys()])}`)
}

function buildVirtualKey(
  id: string,
  config: VirtualKeyConfig,
  pointer: string,
  around: GovernanceContext,
): { readonly key: VirtualKey; readonly print: string } | undefined {
  const { context, teams, customers } = around
  const { report, env, emptyMeansAll } = context
  const teamId = config.team_id ?? undefined
  const own = config.customer_id ?? undefined
  if (teamId !== undefined && own !== undefined) {
    report.problem(below(pointer, 'customer_id'), 'cannot stand beside "team_id"')
  }
  mustBe('team', teamId, teams, below(pointer, 'team_id'), report)
  mustBe('customer', own, customers, below(pointer, 'customer_id'), report)
  const team = teamId === undefined ? undefined : teams.get(teamId)
  const customer = customers.get(own ?? team?.customerId ?? '')
  const grants = buildGrants(config.provider_configs ?? [], pointer, around)
  const expiresAtMs = momentIn(config.expires_at, below(pointer, 'expires_at'), report)
  const allowsAllProviders =
    (config.allow_all_providers ?? false) ||
    (emptyMeansAll && (config.provider_configs ?? []).length === 0)
  if (!allowsAllProviders && grants.size === 0 && !report.has(pointer)) {
    report.warn(pointer, `virtual key ${JSON.stringify(config.name)} may use no provider`)
  }
  const at = below(pointer, 'value')
  const resolved = resolve(config.value, env)
  if (resolved.kind === 'unavailable') {
    report.warn(at, `${resolved.why}; virtual key ${JSON.stringify(config.name)} is skipped`)
    return undefined
  }
  const { value, reference } = resolved
  if (value === '') report.problem(at, 'must not be empty')
  else if (!isHeaderValue(value)) {
    report.problem(at, 'contains characters that a header cannot carry')
  }
  return {
    print: fingerprint(value),
    key: {
      owner: {
        virtualKeyId: id,
        virtualKeyName: config.name,
        teamId: team?.id,
        teamName: team?.name,
        customerId: customer?.id,
        customerName: customer?.name,
      },
      description: config.description,
      value: new Secret(value),
      reference,
      isActive: config.is_active ?? true,
      expiresAtMs,
      allowsAllProviders,
      grants,
      pool: [...grants.values()]
        .filter(({ weight }) => weight !== undefined)
        .toSorted((a, b) => b.weight! - a.weight!),
      keepsContent:
        typeof config.disable_content_logging === 'boolean'
          ? !config.disable_content_logging
          : undefined,
    },
  }
}

function momentIn(
  written: string | null | undefined,
  pointer: string,
  report: Report,
): number | undefined {
  if (written === undefined || written === null) return undefined
  const isMoment = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)$/
  const ms = isMoment.test(written) ? Date.parse(written) : Number.NaN
  if (Number.isNaN(ms) || !beginsWithDay(written)) {
    report.problem(pointer, 'must be a moment with its time zone, such as 2027-01-31T00:00:00Z')
    return undefined
  }
  return ms
}

function buildGrants(
  configs: readonly GrantConfig[],
  owner: string,
  around: GovernanceContext,
): ReadonlyMap<string, Grant> {
  const grants = new Map<string, Grant>()
  for (const [index, config] of configs.entries()) {
    const pointer = below(owner, 'provider_configs', index)
    const provider = config.provider.toLowerCase()
    if (grants.has(provider)) {
      around.context.report.problem(below(pointer, 'provider'), `"${provider}" stands twice`)
    }
    grants.set(provider, buildGrant(provider, config, pointer, around))
  }
  return grants
}

function buildGrant(
  provider: string,
  config: GrantConfig,
  pointer: string,
  { context, providers, vendors }: GovernanceContext,
): Grant {
  const { report, emptyMeansAll } = context
  const settings = providers.get(provider)
  const place = below(pointer, 'provider')
  if (!settings && (vendors.includes(provider) || BIFROST_PROVIDERS.includes(provider))) {
    report.warn(place, `provider "${provider}" is not configured, so nothing can be sent to it`)
  } else if (!settings && !report.has(below('/providers', provider))) {
    const hint = didYouMean(provider, [...providers.keys(), ...vendors])
    report.problem(place, `there is no provider ${JSON.stringify(provider)}.${hint}`)
  }
  const allowedAt = below(pointer, 'allowed_models')
  const allowed = config.allowed_models ?? ['*']
  const everything = emptyMeansAll && allowed.length === 0
  return {
    provider,
    weight: config.weight ?? undefined,
    allowed: modelList(everything ? ['*'] : allowed, allowedAt, report),
    blacklisted: modelList(
      config.blacklisted_models ?? [],
      below(pointer, 'blacklisted_models'),
      report,
    ),
    keyIds: keyIds(),
  }

  function keyIds(): ReadonlySet<string> | undefined {
    const listed = config.key_ids
    if (listed === undefined || listed.includes('*')) return undefined
    if (listed.length === 0 && emptyMeansAll) return undefined
    const ids = new Set<string>()
    listed.forEach((wanted, i) => {
      const key = settings?.keys.find(({ id, name }) => id === wanted || name === wanted)
      if (key) ids.add(key.id)
      // A key that was skipped for want of its value is one all the same, and that has been said.
      else if (
        settings &&
        !context.keyNames.has(wanted) &&
        !context.keyIds.has(wanted) &&
        !report.has(below('/providers', provider))
      ) {
        const names = settings.keys.map(({ name }) => name)
        report.problem(
          below(pointer, 'key_ids', i),
          `provider "${provider}" has no key with this id or name.${didYouMean(wanted, names)}`,
        )
      }
    })
    return ids
  }
}
