import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'

import { overrideOf } from '../override.ts'
import type { Target } from '../provider.ts'
import { aliasSettings, keySettings, misconfigured, textSetting } from '../settings.ts'

// Where a resource is, and which of the service's two styles of path it is asked in. Azure OpenAI REST API reference
// and "API version lifecycle", as read in November 2026.

export interface Place {
  /** The resource, without `/openai` and without a slash at the end. */
  readonly base: string
  /** The date of a dated API version, whose paths name the deployment; undefined for the v1 paths. */
  readonly dated: string | undefined
  /** Of the v1 paths; empty for what is generally available. */
  readonly version: '' | 'preview'
  readonly isCallers: boolean
}

/** Throws `GatewayError` when neither the configuration nor the caller says where the resource is. */
export function placeOf(call: Call, target: Target): Place {
  const { caller } = call
  if (caller.directKey) {
    const version = versionOf(caller.azureApiVersion ?? '')
    if (!version) {
      throw new GatewayError('invalid_request', badVersion('api-version'), { param: 'api-version' })
    }
    const base = caller.azureEndpoint
      ? callersBase(caller.azureEndpoint, target)
      : target.settings.network.baseUrl
    if (base === undefined) {
      throw new GatewayError(
        'header_required',
        `A key of your own for provider '${target.settings.name}' needs the header 'x-bf-azure-endpoint', which names its resource.`,
      )
    }
    return { base: resourceOf(base), ...version, isCallers: caller.azureEndpoint !== undefined }
  }
  const own = keySettings(target, 'azure_key_config')
  const alias = aliasSettings(call, target)
  const base =
    textSetting(alias, 'endpoint') ??
    textSetting(own, 'endpoint') ??
    target.settings.network.baseUrl
  if (base === undefined) throw misconfigured(target, 'needs azure_key_config.endpoint')
  const written = textSetting(alias, 'api_version') ?? textSetting(own, 'api_version') ?? ''
  const version = versionOf(written)
  if (!version) throw misconfigured(target, badVersion('has an api_version that'))
  return { base: resourceOf(base), ...version, isCallers: false }
}

function badVersion(which: string): string {
  return `${which} must be 'v1', 'preview', or a date such as '2024-10-21'`
}

function versionOf(written: string): Pick<Place, 'dated' | 'version'> | undefined {
  if (written === '' || written === 'v1') return { dated: undefined, version: '' }
  if (written === 'preview' || written === 'latest') return { dated: undefined, version: 'preview' }
  return /^\d{4}-\d{2}-\d{2}(?:-preview)?$/.test(written)
    ? { dated: written, version: '' }
    : undefined
}

/** An address in a header: TLS only, since a key goes there, and nothing but a place. */
function callersBase(written: string, { settings }: Target): string {
  const url = URL.canParse(written) ? new URL(written) : undefined
  const isSafe =
    url?.protocol === 'https:' ||
    (url?.protocol === 'http:' && settings.network.allowPrivateNetwork)
  if (!url || !isSafe || url.username !== '' || url.password !== '' || /[?#]/.test(written)) {
    throw new GatewayError(
      'invalid_request',
      "The header 'x-bf-azure-endpoint' must be an https URL such as https://my-resource.openai.azure.com.",
      { param: 'x-bf-azure-endpoint' },
    )
  }
  return url.href
}

/** People copy the address with the path that their SDK wants. */
function resourceOf(base: string): string {
  return base.replace(/\/+$/, '').replace(/\/openai(?:\/v1)?$/, '')
}

/** Operations whose dated path names the deployment. */
const ofDeployment: ReadonlySet<string> = new Set([
  'chat_completion',
  'text_completion',
  'embedding',
  'speech',
  'transcription',
  'translation',
  'image_generation',
  'image_edit',
])
/** Operations whose dated path belongs to the resource. What is in neither set has v1 paths only. */
const ofResource =
  /^(?:responses|count_tokens|compaction|file_|batch_|upload_|list_models|model_|chat_)/

/** The URL of one call of OpenAI's own surface. */
export function openaiUrl(call: Call, target: Target, place: Place): string {
  const { base, dated, version } = place
  const override = overrideOf(call, target.settings)
  if (override !== undefined) {
    return (override.startsWith('http') ? override : base + override) + call.query
  }
  if (dated !== undefined) {
    const query = withParam(call.query, 'api-version', dated)
    if (ofDeployment.has(call.endpoint)) {
      if (target.model === undefined) {
        throw new GatewayError(
          'missing_parameter',
          "'model' is required: it names the deployment.",
          {
            param: 'model',
          },
        )
      }
      return `${base}/openai/deployments/${encodeURIComponent(target.model)}${call.path}${query}`
    }
    if (ofResource.test(call.endpoint)) return `${base}/openai${call.path}${query}`
  }
  const query = version === '' ? call.query : withParam(call.query, 'api-version', version)
  return `${base}/openai/v1${call.path}${query}`
}

function withParam(query: string, name: string, value: string): string {
  return `${query === '' ? '?' : `${query}&`}${name}=${value}`
}
