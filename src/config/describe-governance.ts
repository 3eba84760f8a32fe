import type { RoutingRule, RuleFallback } from './rule.ts'
import type { Snapshot } from './snapshot.ts'
import type { Grant, ModelList, VirtualKey } from './virtual-key.ts'

type Json = Record<string, unknown>

/** The `governance` section in the words of `config.json`; undefined when there is nothing in it. */
export function describeGovernance({ routing, governance }: Snapshot): Json | undefined {
  if (!governance && routing.rules.length === 0) return undefined
  return {
    ...(governance && {
      virtual_keys: [...governance.byId.values()].map(ofVirtualKey),
      teams: governance.teams.map(({ id, name, customerId }) => {
        return { id, name, ...(customerId !== undefined && { customer_id: customerId }) }
      }),
      customers: governance.customers.map(({ id, name }) => ({ id, name })),
    }),
    ...(routing.rules.length > 0 && { routing_rules: routing.rules.map(ofRule) }),
  }
}

function ofVirtualKey(key: VirtualKey): Json {
  const { owner, expiresAtMs, keepsContent } = key
  const { teamId, customerId } = owner
  return {
    id: owner.virtualKeyId,
    name: owner.virtualKeyName,
    ...(key.description !== undefined && { description: key.description }),
    value: key.reference ?? key.value.hint(),
    is_active: key.isActive,
    ...(expiresAtMs !== undefined && { expires_at: new Date(expiresAtMs).toISOString() }),
    ...(teamId !== undefined
      ? { team_id: teamId }
      : customerId !== undefined && { customer_id: customerId }),
    provider_configs: [...key.grants.values()].map(ofGrant),
    allow_all_providers: key.allowsAllProviders,
    ...(keepsContent !== undefined && { disable_content_logging: !keepsContent }),
  }
}

function ofGrant({ provider, weight, allowed, blacklisted, keyIds }: Grant): Json {
  return {
    provider,
    weight: weight ?? null,
    allowed_models: ofModels(allowed),
    blacklisted_models: ofModels(blacklisted),
    key_ids: keyIds ? [...keyIds] : ['*'],
  }
}

function ofModels({ names, patterns }: ModelList): string[] {
  return [...names, ...patterns.map(({ source }) => source)]
}

function ofRule(rule: RoutingRule): Json {
  const place = ({ provider, model, key }: RuleFallback): Json => ({
    ...(provider !== undefined && { provider }),
    ...(model !== undefined && { model }),
    ...(key && { key_id: key.id }),
  })
  return {
    id: rule.id,
    name: rule.name,
    enabled: rule.enabled,
    cel_expression: rule.expression,
    targets: rule.targets.map((target) => ({ ...place(target), weight: target.weight })),
    fallbacks: rule.fallbacks.map(place),
    scope: rule.scope,
    ...(rule.scopeId !== '' && { scope_id: rule.scopeId }),
    priority: rule.priority,
    chain_rule: rule.chain,
  }
}
