import type { Call } from '#core/call.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { modelObject, modelsAnswer } from '#openai/answer/models.ts'

import { chatByResponses } from '../ask-responses.ts'
import { compatibleFates } from '../compatible-fates.ts'
import type { Mending, Outbound, Provider, Target } from '../provider.ts'
import type { Quirks } from '../quirks.ts'
import { needsResponses, OPENAI_RESPONSES } from '../responses-models.ts'
import { rewriteBody } from '../rewrite.ts'
import { quirksFor } from '../rewrite/resolve.ts'
import { aliasSettings, configuredModels, textSetting } from '../settings.ts'
import { openai, openaiLacks, openaiResponses } from '../vendors/openai.ts'
import { claudeRequest, isClaude } from './claude.ts'
import { ENTRA_ENVIRONMENT, entraSource } from './entra.ts'
import { parseError } from './errors.ts'
import { chatMending, textMending } from './filter.ts'
import { openaiUrl, placeOf } from './place.ts'

/** Moderation is another service of the cloud, and images cannot be varied. */
const lacking: readonly KnownEndpoint[] = ['moderation', 'image_variation']
const offers = new Set(
  (Object.keys(ENDPOINTS) as KnownEndpoint[]).filter((name) => !lacking.includes(name)),
)

/** Azure OpenAI and Foundry: OpenAI's own surface at a resource of one's own, deployments instead of models. */
export const azureProvider: Provider = {
  name: 'azure',
  keyEnv: [],
  keyless: false,
  baseUrl: undefined,
  ambient: ENTRA_ENVIRONMENT,
  offers,
  fates: compatibleFates(openai),
  lacks: openaiLacks,
  passthrough: true,
  composesResponses: isClaude,
  request: (call, target, resources) =>
    isClaude(call, target) ? claudeRequest(call, target, resources) : openaiRequest(call, target),
  credential(call, target) {
    return call.caller.directKey ? undefined : entraSource(target, placeOf(call, target).base)
  },
  authorize({ headers }, credential) {
    if (isToken(credential)) headers['authorization'] = `Bearer ${credential}`
    else if (headers['anthropic-version'] !== undefined) headers['x-api-key'] = credential
    else headers['api-key'] = credential
  },
  parseError,
}

/** Access tokens are JWTs, with two dots; the keys of a resource have none. */
function isToken(credential: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(credential)
}

function openaiRequest(call: Call, target: Target): Outbound {
  const model = baseModel(call, target)
  if (needsResponses(call, model, OPENAI_RESPONSES)) {
    return chatByResponses(call, target, model, (asked) => openaiRequest(asked, target))
  }
  const known = knownModels(call, target)
  if (known !== undefined) {
    return { method: 'GET', url: '', headers: {}, body: undefined, dropped: [], known }
  }
  const place = placeOf(call, target)
  const { body, contentType, dropped } = rewriteBody(
    call,
    target.model,
    target.settings.name,
    quirksOf(call, target, place.dated !== undefined),
  )
  const headers: Record<string, string> = {}
  if (contentType !== undefined) headers['content-type'] = contentType
  return {
    method: call.method,
    url: openaiUrl(call, target, place),
    headers,
    body,
    dropped,
    mending: call.stream ? mendings[call.endpoint] : undefined,
    ...(place.isCallers && { isCallersAddress: true }),
  }
}

const mendings: Readonly<Record<string, Mending>> = {
  chat_completion: chatMending,
  text_completion: textMending,
}

const batchEndpoints = ['/chat/completions', '/completions', '/embeddings', '/responses']

/** What a batch is for is written with the version on v1 paths, and without it on dated ones. */
const batchQuirks: Readonly<Record<'v1' | 'dated', Quirks>> = {
  v1: { values: { endpoint: Object.fromEntries(batchEndpoints.map((to) => [to, `/v1${to}`])) } },
  dated: { values: { endpoint: Object.fromEntries(batchEndpoints.map((to) => [`/v1${to}`, to])) } },
}

const quirksOfOpenai: Readonly<Record<string, Quirks>> = {
  chat_completion: openai,
  responses: openaiResponses,
}

/** The same as for OpenAI's own models; which one a deployment has, its alias or its name says. */
function quirksOf(call: Call, target: Target, isDated: boolean): Quirks | undefined {
  const { endpoint, body } = call
  if (endpoint === 'batch_create') return batchQuirks[isDated ? 'dated' : 'v1']
  const own = quirksOfOpenai[endpoint]
  if (!own || body.kind !== 'json') return undefined
  const found = quirksFor(own, body.value, baseModel(call, target))
  if (found === own) return undefined
  const { rules: _, ...quirks } = found
  return quirks
}

function baseModel(call: Call, target: Target): string {
  return textSetting(aliasSettings(call, target), 'model_name') ?? target.model ?? ''
}

/**
 * The service lists the models that a region has and not one's deployments, so where the configuration names some,
 * they are the list.
 */
function knownModels(call: Call, target: Target): string | undefined {
  const { endpoint, caller } = call
  if (caller.directKey || !(endpoint === 'list_models' || endpoint === 'model_retrieve')) {
    return undefined
  }
  const names = configuredModels(target)
  if (names.length === 0) return undefined
  const { name } = target.settings
  if (endpoint === 'list_models') {
    return modelsAnswer(
      names.map((id) => ({ id })),
      name,
    )
  }
  const wanted = call.model ?? decodeURIComponent(call.path.slice('/models/'.length))
  const id = names.find((known) => known.toLowerCase() === wanted.toLowerCase())
  // A key without a list of models may have more deployments than it names.
  return id === undefined ? undefined : JSON.stringify(modelObject({ id }, name))
}
