import { below } from './problem.ts'
import type { Report } from './problem.ts'
import { durationMs } from './retries.ts'
import type { ConfigFile } from './schema/file.ts'
import type { ProviderSettings } from './snapshot.ts'
import { didYouMean } from './suggest.ts'

/** A sign in the headers of an answer; with neither value nor part, that the header is there. */
export interface Signal {
  /** In lower case, as are the others. */
  readonly header: string
  readonly value: string | undefined
  readonly part: string | undefined
}

/** When answers of the primary show the signs, another is asked before it until the cooldown is over. */
export interface BreakerPolicy {
  readonly name: string
  readonly provider: string
  /** Undefined: every model. */
  readonly model: string | undefined
  /** Empty: all keys. */
  readonly keyIds: ReadonlySet<string>
  readonly fallbackProvider: string
  /** Undefined: the model that was asked for. */
  readonly fallbackModel: string | undefined
  readonly needsAll: boolean
  readonly signals: readonly Signal[]
  readonly cooldownMs: number
  /** Header of the answer that says how long, in milliseconds. */
  readonly cooldownHeader: string | undefined
}

const root = '/circuit_breaker_config/policies'
const usualCooldownMs = 30_000

/** The policies that are on. */
export function buildPolicies(
  file: ConfigFile,
  providers: ReadonlyMap<string, ProviderSettings>,
  vendors: readonly string[],
  report: Report,
): readonly BreakerPolicy[] {
  const configs = file.circuit_breaker_config?.policies ?? []
  const names = new Set<string>()
  for (const [index, config] of configs.entries()) {
    const pointer = below(root, index)
    if (names.has(config.name)) {
      report.problem(below(pointer, 'name'), 'is already the name of another policy')
    }
    names.add(config.name)
    for (const field of ['primary_provider', 'fallback_provider'] as const) {
      const name = config[field]
      if (providers.has(name) || vendors.includes(name)) continue
      const known = [...providers.keys(), ...vendors]
      report.problem(
        below(pointer, field),
        `there is no provider "${name}"${didYouMean(name, known)}`,
      )
    }
  }
  return configs
    .filter(({ enabled = true }) => enabled)
    .map((config) => ({
      name: config.name,
      provider: config.primary_provider,
      model: config.primary_model || undefined,
      keyIds: new Set(config.primary_key_ids),
      fallbackProvider: config.fallback_provider,
      fallbackModel: config.fallback_model || undefined,
      needsAll: config.condition.operator === 'AND',
      signals: config.condition.signals.map((signal) => ({
        header: signal.header_name.toLowerCase(),
        value: signal.header_value?.toLowerCase(),
        part: signal.header_contains?.toLowerCase(),
      })),
      cooldownMs: durationMs(config.default_cooldown) ?? usualCooldownMs,
      cooldownHeader: config.cooldown_header?.toLowerCase() || undefined,
    }))
}
