import type { Call } from '#core/call.ts'
import { requestType } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import { modelObject, modelsAnswer } from '#openai/answer/models.ts'

import { anthropic, parseAnthropicError } from '../anthropic/index.ts'
import { classOf } from '../anthropic/models.ts'
import { translated } from '../dialect.ts'
import type { EmbeddingDialect } from '../dialect.ts'
import { parseGoogleError } from '../gemini/errors.ts'
import { geminiLacks } from '../gemini/models.ts'
import type { Outbound, Provider, Target } from '../provider.ts'
import { configuredModels } from '../settings.ts'
import { claudeChat, claudeCount } from './claude.ts'
import { GOOGLE_ENVIRONMENT, googleSource, quotaProjectOf } from './credential.ts'
import { embedded, geminiChat, geminiCount, predicted } from './gemini.ts'
import { MODELS } from './models.ts'
import { openRequest } from './open.ts'
import { modelOf } from './place.ts'

const facts = {
  name: 'vertex',
  keyEnv: [],
  keyless: false,
  baseUrl: 'https://aiplatform.googleapis.com',
  ambient: GOOGLE_ENVIRONMENT,
  authorize,
  parseError,
} satisfies Partial<Provider>

const google = (embedding: EmbeddingDialect): Provider =>
  translated({ ...facts, chat: geminiChat, count: geminiCount, embedding })

/** By how a model embeds; for everything else they are the same. */
const byEmbedding = {
  many: google(predicted(250)),
  one: google(predicted(1)),
  content: google(embedded),
}
const claude = translated({ ...anthropic, ...facts, chat: claudeChat, count: claudeCount })

const offers: ReadonlySet<KnownEndpoint> = new Set([
  'chat_completion',
  'responses',
  'count_tokens',
  'embedding',
  'list_models',
  'model_retrieve',
])

/** What each kind of model can do. */
const abilities: Readonly<Record<string, readonly string[]>> = {
  google: ['chat_completion', 'responses', 'count_tokens', 'embedding'],
  anthropic: ['chat_completion', 'responses', 'count_tokens'],
  mistralai: ['chat_completion', 'responses'],
  open: ['chat_completion', 'responses'],
}

/** Google Cloud's home of Gemini, of Claude and of open models. */
export const vertexProvider: Provider = {
  ...facts,
  offers,
  // Those of Google's own models; Claude and open models have their own.
  fates: geminiChat.fates,
  // Of Gemini; other houses' models are said nothing of.
  lacks: (model) => (/gemini/.test(model) ? geminiLacks(model) : undefined),
  composesResponses: true,
  passthrough: false,
  // Of all models here only Claude is said to.
  prefills: (model) => classOf(model).prefill,
  resources: (call, target) => speakerOf(call, target)?.resources?.(call, target) ?? [],
  fanOut: (call, target) => speakerOf(call, target)?.fanOut?.(call, target),
  request(call, target, resources) {
    const { endpoint } = call
    if (endpoint === 'list_models' || endpoint === 'model_retrieve')
      return knownModels(call, target)
    const { kind } = modelOf(call, target)
    if (!abilities[kind]!.includes(endpoint)) throw unsupported(call, target)
    const speaker = speakerOf(call, target)
    const outbound = speaker
      ? speaker.request(call, target, resources)
      : openRequest(call, target, resources)
    const headers = { ...outbound.headers }
    const quotaProject = call.caller.directKey ? undefined : quotaProjectOf(target)
    if (quotaProject !== undefined) headers['x-goog-user-project'] = quotaProject
    if (isApiKey(call, target)) headers[apiKeyHeader] = ''
    return { ...outbound, headers }
  },
  credential: (call, target) => (call.caller.directKey ? undefined : googleSource(target)),
}

/** Who translates for a model; undefined for those that take OpenAI's dialect. */
function speakerOf(call: Call, target: Target): Provider | undefined {
  const { kind, name } = modelOf(call, target)
  if (kind === 'anthropic') return claude
  if (kind !== 'google') return undefined
  if (/^gemini-embedding-(?!0)/.test(name)) return byEmbedding.content
  return name.startsWith('gemini-embedding') ? byEmbedding.one : byEmbedding.many
}

const apiKeyHeader = 'x-goog-api-key'

/** Whether what will be sent is an API key, and not an access token. */
function isApiKey({ caller }: Call, { key }: Target): boolean {
  const given = caller.directKey ?? key?.value
  return given !== undefined && !given.isEmpty && !/^ya29\.|^eyJ/.test(given.reveal())
}

function authorize({ headers }: { headers: Record<string, string> }, credential: string): void {
  // Where the request kept a place for a key, it is one.
  if (headers[apiKeyHeader] === '') headers[apiKeyHeader] = credential
  else headers['authorization'] = `Bearer ${credential}`
}

function parseError(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): ReturnType<Provider['parseError']> {
  return isAnthropics(body)
    ? parseAnthropicError(status, body, headers)
    : parseGoogleError(status, body, headers)
}

/** Claude's own refusals keep their form; those of the cloud, such as for quotas, have Google's. */
function isAnthropics(body: string): boolean {
  try {
    const root = JSON.parse(body) as { type?: unknown } | null
    return root?.type === 'error'
  } catch {
    // Not JSON, so it is nobody's form.
    return false
  }
}

/** The cloud lists what it has and not what a project may use; the configuration knows better. */
function knownModels(call: Call, target: Target): Outbound {
  const own = configuredModels(target)
  const names = own.length > 0 ? own : MODELS
  const { name } = target.settings
  const answered = (known: string): Outbound => ({
    method: 'GET',
    url: '',
    headers: {},
    body: undefined,
    dropped: [],
    known,
  })
  if (call.endpoint === 'list_models') {
    return answered(
      modelsAnswer(
        names.map((id) => ({ id })),
        name,
      ),
    )
  }
  const wanted = call.model ?? decodeURIComponent(call.path.slice('/models/'.length))
  const id = names.find((known) => known.toLowerCase() === wanted.toLowerCase())
  if (id === undefined) {
    throw new GatewayError('model_not_found', `Provider '${name}' lists no model '${wanted}'.`, {
      param: 'model',
    })
  }
  return answered(JSON.stringify(modelObject({ id }, name)))
}

function unsupported(call: Call, { settings, model }: Target): GatewayError {
  return new GatewayError(
    'unsupported_endpoint',
    `Model '${model}' of provider '${settings.name}' does not support ${requestType(call.endpoint, call.stream)}.`,
  )
}
