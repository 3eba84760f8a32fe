import { GatewayError } from '#core/errors.ts'
import { invalid, record, text } from '#openai/conversation/fields.ts'

import type { Target } from '../provider.ts'
import { familyOf } from './families.ts'

// Where a model is: its region, its host, and its place in a path ("Amazon Bedrock endpoints and quotas", AWS General
// Reference, and "Use a model id or ARN", User Guide, as read in November 2026).

/** Used where neither the configuration nor the environment names a region. */
const defaultRegion = 'us-east-1'

export const BASE_URL = `https://bedrock-runtime.${defaultRegion}.amazonaws.com`

/** The name in signatures, for both hosts. */
export const SERVICE = 'bedrock'

const regionPattern = /^[a-z]{2,8}(?:-[a-z]{2,12}){1,3}-\d{1,2}$/
const maxIdChars = 2048

/** A model as it stands in the path, and where that path leads. */
export interface Place {
  /** A model id, an inference profile, or an ARN. */
  readonly id: string
  readonly region: string
}

/** The settings in `bedrock_key_config`. */
export function keyConfig({ key }: Target): Readonly<Record<string, unknown>> {
  return record(key?.vendor['bedrock_key_config'])
}

/** What an alias written as an object says besides its model. `alias` is the model as the caller named it. */
function aliasSettings({ key }: Target, alias: string | undefined) {
  return record(alias === undefined ? undefined : key?.aliasSettings?.get(alias.toLowerCase()))
}

/**
 * Where the target's model is. `alias` is the model as the caller named it. Throws a 400 for a model id that cannot
 * be one, and `provider_not_configured` for a region that cannot be one.
 */
export function placeOf(target: Target, alias?: string): Place {
  const { model = '' } = target
  const settings = aliasSettings(target, alias)
  const config = keyConfig(target)
  const profile = text(settings['inference_profile_arn']) ?? text(config['arn'])
  const id =
    profile === undefined || profile === '' || isArn(model) ? model : within(profile, model)
  if (id.length > maxIdChars || /^\.*$|\p{Cc}/u.test(id)) {
    throw invalid('model', 'This is not a model id, an inference profile or an ARN.')
  }
  const ofArn = isArn(id) ? id.split(':')[3] : undefined
  if (ofArn !== undefined && ofArn !== '') {
    if (regionPattern.test(ofArn)) return { id, region: ofArn }
    throw invalid('model', 'The ARN names no region of AWS.')
  }
  return { id, region: checkedRegion(text(settings['region']), target) }
}

/** The region where the target's own affairs are, for what concerns no single model. */
export function regionOf(target: Target): string {
  return checkedRegion(undefined, target)
}

/**
 * The name that says most about whose model it is: the id of a profile of one's own says nothing, its alias may.
 * `alias` is the model as the caller named it.
 */
export function describe(target: Target, alias?: string): string {
  const { model = '' } = target
  const settings = aliasSettings(target, alias)
  const hints = [text(settings['model_name']), model, text(settings['model_family']), alias]
  return hints.find((hint) => hint !== undefined && familyOf(hint).name !== 'other') ?? model
}

function checkedRegion(wanted: string | undefined, target: Target): string {
  const { ambient } = target.settings
  const region =
    [
      wanted,
      text(keyConfig(target)['region']),
      ambient['AWS_REGION']?.reveal(),
      ambient['AWS_DEFAULT_REGION']?.reveal(),
    ].find((one) => one !== undefined && one !== '') ?? defaultRegion
  if (regionPattern.test(region)) return region
  throw new GatewayError(
    'provider_not_configured',
    `'${region.slice(0, 40)}', the region of provider '${target.settings.name}', is no region of AWS.`,
  )
}

function isArn(id: string): boolean {
  return id.startsWith('arn:')
}

/** An ARN that ends with a resource's id is whole; one that ends with the kind of resource gets the model's id. */
function within(arn: string, model: string): string {
  return arn.includes('/') ? arn : `${arn}/${model}`
}

/** The URL of an operation on a model. The id is one segment of the path, its colons and slashes encoded. */
export function modelUrl({ id, region }: Place, operation: string, target: Target): string {
  return `${runtimeHost(region, target)}/model/${segment(id)}/${operation}`
}

/** The URL of a path of the control plane. */
export function controlUrl(path: string, target: Target): string {
  const { baseUrl } = target.settings.network
  if (baseUrl !== undefined) return trimmed(baseUrl) + path
  const region = regionOf(target)
  return `https://bedrock.${region}.${domain(region)}${path}`
}

function runtimeHost(region: string, { settings }: Target): string {
  const { baseUrl } = settings.network
  return baseUrl === undefined
    ? `https://bedrock-runtime.${region}.${domain(region)}`
    : trimmed(baseUrl)
}

/** Of a region's hosts. */
export function domain(region: string): string {
  if (region.startsWith('cn-')) return 'amazonaws.com.cn'
  return region.startsWith('eusc-') ? 'amazonaws.eu' : 'amazonaws.com'
}

/** As signatures want it: everything but letters, digits and `-_.~` is encoded. */
export function segment(id: string): string {
  return encodeURIComponent(id).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, '')
}
