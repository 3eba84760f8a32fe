import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

import type { Target } from '../provider.ts'
import { aliasSettings, ambientText, keySettings, misconfigured, textSetting } from '../settings.ts'

// Where a project's models are. Vertex AI, "Locations" and "REST API endpoints", as read in November 2026.

/** Who made a model, which decides what it is asked and how. */
export type Kind = 'google' | 'anthropic' | 'mistralai' | 'open'

export interface Model {
  readonly kind: Kind
  /** Without the publisher; with it for `open`. */
  readonly name: string
  /** A tuned model's own endpoint. */
  readonly isEndpoint: boolean
}

/** The model of a call, by its publisher where it is named, and else by its name. */
export function modelOf(call: Call, target: Target): Model {
  const given = target.model ?? ''
  const [, path] = /^(?:publishers\/)?([^/]+\/(?:models\/)?.+)$/.exec(given) ?? []
  const [, publisher, name] = /^([^/]+)\/(?:models\/)?(.+)$/.exec(path ?? '') ?? []
  const alias = aliasSettings(call, target)
  if (/^\d{6,}$/.test(given)) return { kind: 'google', name: given, isEndpoint: true }
  if (publisher === 'endpoints' && name !== undefined) {
    return { kind: 'google', name, isEndpoint: true }
  }
  if (publisher !== undefined && name !== undefined) {
    if (publisher === 'google' || publisher === 'models') return plain('google', name)
    if (publisher === 'anthropic' || publisher === 'mistralai') return plain(publisher, name)
    return plain('open', `${publisher}/${name}`)
  }
  const family = textSetting(alias, 'model_family')?.toLowerCase()
  if (family === 'anthropic' || (family === undefined && /^claude/i.test(given))) {
    return plain('anthropic', given)
  }
  if (
    family === 'mistral' ||
    (family === undefined && /^(?:mi(?:ni)?s|mix|codes|magis|devs|pix|vox)tral/i.test(given))
  ) {
    return plain('mistralai', given)
  }
  return plain('google', given)
}

function plain(kind: Kind, name: string): Model {
  return { kind, name, isEndpoint: false }
}

/** A URL up to and without `/publishers` or `/endpoints`. */
export function prefixOf(call: Call, target: Target, model: Model): string {
  const { settings, key } = target
  const own = keySettings(target, 'vertex_key_config')
  const alias = aliasSettings(call, target)
  const region =
    textSetting(alias, 'region') ??
    textSetting(own, 'region') ??
    ambientText(target, 'GOOGLE_CLOUD_LOCATION')
  const id =
    textSetting(alias, 'project_id') ??
    textSetting(own, 'project_id') ??
    ambientText(target, 'GOOGLE_CLOUD_PROJECT')
  const version = textSetting(alias, 'api_version')
  if (version !== undefined && !/^v\d+(?:beta\d+)?$/.test(version)) {
    throw misconfigured(target, "has an api_version that must look like 'v1' or 'v1beta1'")
  }
  // A key that is an API key and says nothing of a project is one of express mode, and so is a caller's.
  const isExpress = !key || (!key.value.isEmpty && textSetting(own, 'project_id') === undefined)
  if (isExpress) {
    if (model.kind === 'google' && !model.isEndpoint) {
      return baseOf(settings.network.baseUrl, 'global', version)
    }
    throw new GatewayError(
      'no_key_for_model',
      `Provider '${settings.name}' serves model '${target.model}' for a project only: the key needs vertex_key_config.`,
      { param: 'model' },
    )
  }
  if (region === undefined || id === undefined) {
    throw misconfigured(target, 'needs vertex_key_config with project_id and region')
  }
  // It becomes part of a host name.
  if (!/^[a-z0-9-]+$/.test(region)) throw misconfigured(target, 'has a region that is none')
  // Endpoints of tuned models are known by the number of their project.
  const number = textSetting(alias, 'project_number') ?? textSetting(own, 'project_number')
  const project = model.isEndpoint ? (number ?? id) : id
  const base = baseOf(settings.network.baseUrl, region, version)
  return `${base}/projects/${encodeURIComponent(project)}/locations/${region}`
}

function baseOf(
  configured: string | undefined,
  region: string,
  version: string | undefined,
): string {
  const base = configured ?? `https://${hostOf(region)}`
  const [, host = base, own] = /^(.*?)\/(v\d+(?:beta\d+)?)$/.exec(base) ?? []
  return `${host}/${version ?? own ?? 'v1'}`
}

function hostOf(region: string): string {
  if (region === 'global') return 'aiplatform.googleapis.com'
  if (region === 'us' || region === 'eu') return `aiplatform.${region}.rep.googleapis.com`
  return `${region}-aiplatform.googleapis.com`
}

/** The URL of one of a model's verbs, such as `:predict`. */
export function modelUrl(call: Call, target: Target, verb: string): string {
  const model = modelOf(call, target)
  const prefix = prefixOf(call, target, model)
  if (model.isEndpoint) return `${prefix}/endpoints/${encodeURIComponent(model.name)}${verb}`
  // Versions come after an at sign, which stays readable.
  const name = encodeURIComponent(model.name).replaceAll('%40', '@')
  return `${prefix}/publishers/${model.kind}/models/${name}${verb}`
}
