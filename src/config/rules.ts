import { createCompiler } from './expression.ts'
import type { Compiler, Condition } from './expression.ts'
import { idFromName } from './keys.ts'
import { buildPolicies } from './policies.ts'
import { below } from './problem.ts'
import type { Report } from './problem.ts'
import type { PinnedKey, RoutingRule, RoutingSettings, RuleFallback, RuleTarget } from './rule.ts'
import type { ConfigFile } from './schema/file.ts'
import { BIFROST_PROVIDERS } from './schema/provider.ts'
import { RULE_SCOPES } from './schema/rules.ts'
import type { RoutingRuleConfig } from './schema/rules.ts'
import type { ProviderSettings } from './snapshot.ts'
import { didYouMean } from './suggest.ts'
import type { GovernanceSettings } from './virtual-key.ts'

const root = '/governance/routing_rules'
const maxFallbacks = 20

/** What the rules are read against. */
export interface RuleContext {
  readonly providers: ReadonlyMap<string, ProviderSettings>
  /** Every provider that there could be. */
  readonly vendors: readonly string[]
  readonly governance: GovernanceSettings | undefined
  readonly report: Report
}

/** The routing rules in the order in which they are looked at, their conditions compiled. */
export function buildRouting(file: ConfigFile, context: RuleContext): RoutingSettings {
  const { report } = context
  let compiler: Compiler | undefined
  const compiled = (expression: string, pointer: string): Condition | undefined => {
    if (expression.trim() === '') return undefined
    compiler ??= createCompiler()
    const result = compiler(expression)
    if ('problem' in result) {
      report.problem(pointer, result.problem)
      return undefined
    }
    for (const warning of result.warnings) report.warn(pointer, warning)
    return result.condition
  }
  const configs = file.governance?.routing_rules ?? []
  claimNames(configs, report)
  const rules = configs.map((config, index): RoutingRule => {
    const pointer = below(root, index)
    const expression = config.cel_expression ?? ''
    const scope = config.scope ?? 'global'
    const scopeId = config.scope_id ?? ''
    const place = below(pointer, 'scope_id')
    if (scope === 'global' && scopeId !== '') {
      report.problem(place, 'is only for rules that are not global')
    } else if (scope !== 'global' && scopeId === '') {
      report.problem(below(pointer, 'scope'), `needs "scope_id": which ${scope} the rule is for`)
    } else if (scope === 'user') {
      report.warn(below(pointer, 'scope'), 'no call belongs to a user in this version')
    } else if (scope !== 'global' && !hasOwner(scope, scopeId, context.governance)) {
      const what = scope.replace('_', ' ')
      report.warn(place, `there is no ${what} with this id, so the rule matches no call`)
    }
    const [first, ...rest] = config.targets.map((target, i) =>
      buildTarget(target, below(pointer, 'targets', i), context),
    )
    if (!first) report.problem(below(pointer, 'targets'), 'must hold at least one target')
    if ((config.fallbacks?.length ?? 0) > maxFallbacks) {
      report.problem(below(pointer, 'fallbacks'), `must hold at most ${maxFallbacks}`)
    }
    return {
      id: config.id ?? idFromName(`rule:${config.name}`),
      name: config.name,
      enabled: config.enabled ?? true,
      expression,
      condition: compiled(expression, below(pointer, 'cel_expression')),
      scope,
      scopeId,
      priority: config.priority ?? 0,
      chain: config.chain_rule ?? false,
      targets: [first ?? nowhere, ...rest],
      fallbacks: (config.fallbacks ?? []).map((fallback, i) =>
        buildFallback(fallback, below(pointer, 'fallbacks', i), context),
      ),
    }
  })
  return {
    rules: rules.toSorted(
      (a, b) =>
        RULE_SCOPES.indexOf(a.scope) - RULE_SCOPES.indexOf(b.scope) || a.priority - b.priority,
    ),
    maxChainDepth: file.client?.routing_chain_max_depth ?? 10,
    policies: buildPolicies(file, context.providers, context.vendors, report),
  }
}

function hasOwner(
  scope: 'virtual_key' | 'team' | 'customer',
  id: string,
  governance: GovernanceSettings | undefined,
): boolean {
  if (scope === 'virtual_key') return governance?.byId.has(id) ?? false
  const owners = scope === 'team' ? governance?.teams : governance?.customers
  return owners?.some((one) => one.id === id) ?? false
}

/** Names and ids are unique, and so are priorities that are written down, each in its scope. */
function claimNames(configs: readonly RoutingRuleConfig[], report: Report): void {
  const taken = new Map<string, string>()
  for (const [index, config] of configs.entries()) {
    const { name, id, priority, scope = 'global', scope_id: scopeId } = config
    const claim = (field: string, value: unknown, within: string): void => {
      if (value === undefined) return
      const claimed = JSON.stringify([field, value, within])
      const holder = taken.get(claimed)
      if (holder === undefined) taken.set(claimed, below(root, index))
      else {
        const where = within === '' ? '' : ' in this scope'
        report.problem(below(root, index, field), `is already the ${field} of ${holder}${where}`)
      }
    }
    claim('name', name, '')
    claim('id', id, '')
    claim('priority', priority, `${scope} ${scopeId ?? ''}`)
  }
}

const nowhere: RuleTarget = { provider: undefined, model: undefined, key: undefined, weight: 1 }

function buildTarget(
  config: RoutingRuleConfig['targets'][number],
  pointer: string,
  context: RuleContext,
): RuleTarget {
  const { report } = context
  const provider = config.provider?.toLowerCase()
  if (provider !== undefined) known(provider, below(pointer, 'provider'), context)
  const { key_id: id, provider_key_name: name } = config
  if (id !== undefined && name !== undefined) {
    report.problem(below(pointer, 'provider_key_name'), 'cannot stand beside "key_id"')
  }
  if (provider === undefined && config.model === undefined && !id && !name) {
    report.problem(pointer, 'must name a provider, a model or a key')
  }
  return {
    provider,
    model: config.model,
    key:
      keyOf('id', id, provider, below(pointer, 'key_id'), context) ??
      keyOf('name', name, provider, below(pointer, 'provider_key_name'), context),
    weight: config.weight ?? 1,
  }
}

/** `provider/model`, `provider/`, a provider alone, or a model of the target's provider. */
function buildFallback(
  config: NonNullable<RoutingRuleConfig['fallbacks']>[number],
  pointer: string,
  context: RuleContext,
): RuleFallback {
  if (typeof config === 'string') {
    const isProvider = (name: string): boolean =>
      context.providers.has(name) || context.vendors.includes(name)
    const slash = config.indexOf('/')
    const prefix = (slash === -1 ? config : config.slice(0, slash)).toLowerCase()
    const rest = slash === -1 ? '' : config.slice(slash + 1)
    if (slash !== -1 && rest === '') known(prefix, pointer, context)
    else if (!isProvider(prefix)) return { provider: undefined, model: config, key: undefined }
    else known(prefix, pointer, context)
    return { provider: prefix, model: rest === '' ? undefined : rest, key: undefined }
  }
  const provider = config.provider?.toLowerCase()
  if (provider !== undefined) known(provider, below(pointer, 'provider'), context)
  if (provider === undefined && config.model === undefined && config.key_id === undefined) {
    context.report.problem(pointer, 'must name a provider, a model or a key')
  }
  const key = keyOf('id', config.key_id, provider, below(pointer, 'key_id'), context)
  return { provider, model: config.model, key }
}

/** Providers that are built in but not set up may be on purpose; what nobody has heard of is a mistake. */
function known(name: string, pointer: string, { providers, vendors, report }: RuleContext): void {
  if (providers.has(name)) return
  if (vendors.includes(name) || BIFROST_PROVIDERS.includes(name)) {
    report.warn(pointer, `provider "${name}" is not configured, so nothing can be sent to it`)
    return
  }
  // Whatever is wrong with it has been said where it stands.
  if (report.has(below('/providers', name))) return
  const hint = didYouMean(name, [...providers.keys(), ...vendors])
  report.problem(pointer, `there is no provider ${JSON.stringify(name)}.${hint}`)
}

function keyOf(
  field: 'id' | 'name',
  value: string | undefined,
  wanted: string | undefined,
  pointer: string,
  { providers, report }: RuleContext,
): PinnedKey | undefined {
  if (value === undefined) return undefined
  for (const [provider, { keys }] of providers) {
    const key = keys.find((candidate) => candidate[field] === value)
    if (!key) continue
    if (wanted !== undefined && wanted !== provider) {
      report.problem(pointer, `is a key of provider "${provider}", not of "${wanted}"`)
    }
    return { id: key.id, name: key.name, provider }
  }
  // A provider that is itself in doubt has no keys yet.
  if (!report.has('/providers')) report.problem(pointer, `there is no key with this ${field}`)
  return undefined
}
