import { Secret } from '#lib/secret.ts'

import { buildAmbient } from './ambient.ts'
import { buildClient, buildResponseStore, warnOpenDoors } from './client.ts'
import type { Context } from './context.ts'
import { deepFreeze } from './freeze.ts'
import { buildGovernance } from './governance.ts'
import { isHeaderValue } from './headers.ts'
import { idlePointers } from './idle.ts'
import { buildAsync, buildWebhooks } from './jobs.ts'
import { claimKeyNames, idFromName } from './keys.ts'
import { buildLogs } from './logs.ts'
import { buildMetrics } from './metrics.ts'
import { parseConfig } from './parse.ts'
import { buildPlugins } from './plugins.ts'
import { buildPrices } from './prices.ts'
import { below, createReport } from './problem.ts'
import type { Problem } from './problem.ts'
import { buildProvider, plainProvider } from './provider.ts'
import { ambientProxy } from './proxy.ts'
import type { Environment } from './reference.ts'
import { buildRouting } from './rules.ts'
import { BIFROST_PROVIDERS } from './schema/provider.ts'
import type { ProviderConfig } from './schema/provider.ts'
import type { Key, ProviderSettings, Snapshot, VendorFacts } from './snapshot.ts'
import { didYouMean } from './suggest.ts'
import { buildTracing } from './tracing.ts'
import { validate } from './validate.ts'

export interface LoadInput {
  /** The file's text; undefined = there is no file. */
  readonly text?: string | undefined
  /** Where the text came from, for `Snapshot.source`. */
  readonly path?: string | undefined
  readonly env: Environment
  readonly vendors: readonly VendorFacts[]
  /** Names that may stand in `allowed_requests`. */
  readonly operations: readonly string[]
  readonly generation: number
  /** Keyless local vendors that were found running. */
  readonly detected?: readonly string[]
}

export type LoadResult =
  | { readonly snapshot: Snapshot; readonly problems: readonly [] }
  | { readonly snapshot: undefined; readonly problems: readonly Problem[] }

/** Settings without effect that are named one by one. */
const maxIdle = 100

/** Reads a configuration whole: a frozen snapshot, or every problem in it. Pure, and never throws. */
export function loadConfig(input: LoadInput): LoadResult {
  const parsed = parseConfig(input.text ?? '{}')
  if (parsed.value === undefined) return { snapshot: undefined, problems: parsed.problems }

  const report = createReport(parsed.locate)
  report.problems.push(...parsed.problems)
  const file = validate(parsed.value, report)

  const context: Context = {
    env: input.env,
    operations: new Set(input.operations),
    report,
    emptyMeansAll: file.version === 1,
    keyNames: new Map(),
    keyIds: new Map(),
  }
  const client = buildClient(file.client ?? {}, report)
  const logs = buildLogs(file, report)
  const webhooks = buildWebhooks(file.webhooks ?? [], context)
  const providers = new Map<string, ProviderSettings>()
  addFromFile(file.providers ?? {})
  if (Object.keys(file.providers ?? {}).length === 0) addFromEnvironment()
  addLocal()

  const vendors = input.vendors.map(({ name }) => name)
  const governance = buildGovernance(file, context, providers, vendors)
  const routing = buildRouting(file, { providers, vendors, governance, report })
  const plugins = buildPlugins(file, context)
  const tracing = buildTracing(file.tracing, plugins, context)
  const metrics = buildMetrics(file.metrics ?? {}, plugins)
  const priceOverrides = buildPrices(file, report)

  if (report.problems.length > 0) {
    const problems = report.problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
    return { snapshot: undefined, problems }
  }
  warnOpenDoors(file, report)
  const idle = [...idlePointers(file), ...plugins.idle]
  if (idle.length > 0) {
    const named = idle
      .slice(0, maxIdle)
      .map((pointer) => `${pointer} (line ${parsed.locate(pointer, 'name').line})`)
    const more = idle.length > maxIdle ? ` and ${idle.length - maxIdle} more` : ''
    report.warn('', `accepted, but without effect in this version: ${named.join(', ')}${more}`)
  }
  return {
    snapshot: deepFreeze({
      generation: input.generation,
      source: input.text === undefined ? undefined : input.path,
      client,
      responseStore: buildResponseStore(file.response_store ?? {}),
      async: buildAsync(file),
      webhooks,
      logs,
      providers,
      routing,
      governance,
      metrics,
      tracing,
      priceOverrides,
      warnings: report.warnings,
    }),
    problems: [],
  }

  function addFromFile(configs: Readonly<Record<string, ProviderConfig>>): void {
    const entries = Object.entries(configs).map(([written, config]) => ({
      name: written.toLowerCase(),
      config,
      pointer: below('/providers', written),
    }))
    // All given names first, so that a generated one never takes a name that a later key has.
    for (const { config, pointer } of entries) {
      claimKeyNames(config.keys ?? [], below(pointer, 'keys'), context)
    }
    const seen = new Set<string>()
    for (const { name, config, pointer } of entries) {
      if (seen.has(name)) {
        report.problem(pointer, `provider "${name}" stands twice; case is ignored`, 'name')
        continue
      }
      seen.add(name)
      const facts = factsFor(name, config, pointer)
      if (facts) providers.set(name, buildProvider(name, config, facts, pointer, context))
    }
  }

  /** The vendor whose wire format a provider speaks; undefined when it cannot be part of the snapshot. */
  function factsFor(
    name: string,
    config: ProviderConfig,
    pointer: string,
  ): VendorFacts | undefined {
    const vendor = input.vendors.find((candidate) => candidate.name === name)
    const custom = config.custom_provider_config
    const customPointer = below(pointer, 'custom_provider_config')
    if (vendor) {
      if (custom !== undefined) {
        report.problem(
          customPointer,
          `"${name}" is built in and cannot be a custom provider`,
          'name',
        )
      }
      return vendor
    }
    if (!/^[^\s/\p{Cc}]{1,64}$/u.test(name)) {
      const message = 'a provider name has 1 to 64 characters, none of them white space or "/"'
      report.problem(pointer, message, 'name')
      return undefined
    }
    const names = input.vendors.map((candidate) => candidate.name)
    if (custom === undefined) {
      if (report.has(customPointer)) return undefined
      if (BIFROST_PROVIDERS.includes(name)) {
        report.warn(pointer, `provider "${name}" is not available in this version and is left out`)
      } else {
        const hint = didYouMean(name, [...names, ...BIFROST_PROVIDERS])
        const message = `there is no built-in provider "${name}".${hint} A provider of your own needs "custom_provider_config".`
        report.problem(pointer, message, 'name')
      }
      return undefined
    }
    const base = custom.base_provider_type.toLowerCase()
    const basePointer = below(customPointer, 'base_provider_type')
    const found = input.vendors.find((candidate) => candidate.name === base)
    if (found) return found
    if (BIFROST_PROVIDERS.includes(base)) {
      const why = `"${base}" is not available in this version; provider "${name}" is left out`
      report.warn(basePointer, why)
    } else {
      const hint = didYouMean(base, [...names, ...BIFROST_PROVIDERS])
      report.problem(basePointer, `there is no built-in provider "${base}".${hint}`)
    }
    return undefined
  }

  /** As in Bifrost, keys of the environment are only looked for when the file has no providers at all. */
  function addFromEnvironment(): void {
    for (const facts of input.vendors) {
      const { name, keyEnv, baseUrl } = facts
      for (const variable of keyEnv) {
        const value = input.env[variable]?.trim()
        if (!value) continue
        if (!isHeaderValue(value)) {
          report.warn('', `environment variable ${variable} holds no usable key and is ignored`)
          continue
        }
        const keys = [environmentKey(variable, value)]
        const proxyUrl = ambientProxy(baseUrl, input.env)
        const ambient = buildAmbient(facts, input.env)
        providers.set(name, { ...plainProvider(name, 'environment', keys), proxyUrl, ambient })
        break
      }
    }
  }

  function addLocal(): void {
    for (const { name, keyless } of input.vendors) {
      if (!keyless || providers.has(name)) continue
      if (name === 'mock') providers.set(name, plainProvider(name, 'built-in'))
      else if (input.detected?.includes(name)) {
        providers.set(name, plainProvider(name, 'detected'))
      }
    }
  }
}

function environmentKey(variable: string, value: string): Key {
  const name = `${variable}_auto_detected`
  return {
    id: idFromName(name),
    name,
    value: new Secret(value),
    models: undefined,
    blacklistedModels: new Set(),
    weight: 1,
    enabled: true,
    useForBatchApi: false,
    aliases: new Map(),
    vendor: {},
    references: { value: `env.${variable}` },
  }
}
