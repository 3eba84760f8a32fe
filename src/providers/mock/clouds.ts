import { type Answer, json, MockFailure } from './answer.ts'
import { answerMessages, anthropicDialect } from './anthropic.ts'
import type { DialectRequest, MockDialect } from './dialects.ts'
import { unitVector } from './embeddings.ts'
import { refuse } from './gemini-check.ts'
import { generate } from './gemini-generate.ts'
import { countOf, geminiDialect, googleFailure } from './gemini.ts'
import { countTokens } from './text.ts'
import { record, stringOf } from './wire.ts'

// The clouds where dialects of others are at home: the paths, the credentials and the small differences are theirs,
// and everything else is answered by the dialect itself.

const claudePath =
  /^\/v1(?:beta1)?\/projects\/[^/]+\/locations\/[a-z0-9-]+\/publishers\/anthropic\/models\/([^/:]+):(rawPredict|streamRawPredict)$/
const countModel = 'count-tokens'

/** Claude in Vertex AI. */
export const claudeCloudDialect: MockDialect = {
  ...anthropicDialect,
  name: 'vertex-claude',
  modelOf(method, pathname, body) {
    const [, name] = (method === 'POST' && claudePath.exec(pathname)) || []
    if (name === undefined) return undefined
    return name === countModel ? (stringOf(body.model) ?? '') : decodeURIComponent(name)
  },
  answer(request) {
    const [, name, verb] = claudePath.exec(request.pathname)!
    checkToken(request)
    const { body } = request
    if (body.anthropic_version !== 'vertex-2023-10-16') {
      throw invalid('anthropic_version: "vertex-2023-10-16" is required')
    }
    if (name === countModel) {
      if (request.model === '') throw invalid('model: Field required')
      return answerMessages(request, true)
    }
    for (const field of ['model', 'cache_control', 'service_tier', 'container', 'mcp_servers']) {
      if (body[field] !== undefined) throw invalid(`${field}: Extra inputs are not permitted`)
    }
    if ((body.stream === true) !== (verb === 'streamRawPredict')) {
      throw invalid(`stream: does not go with ${verb}`)
    }
    if (/"type":"url"/.test(JSON.stringify(body.messages))) {
      throw invalid('messages: URL sources are not supported')
    }
    return answerMessages(request)
  },
  // The cloud refuses in its own form, the model in its maker's.
  failure: (problem) =>
    [401, 403, 404, 429].includes(problem.status)
      ? googleFailure(problem)
      : anthropicDialect.failure(problem),
}

/** Claude in Foundry. */
export const foundryDialect: MockDialect = {
  ...anthropicDialect,
  name: 'foundry-claude',
  modelOf: (method, pathname, body) =>
    method === 'POST' && /^\/anthropic\/v1\/messages(?:\/count_tokens)?$/.test(pathname)
      ? (stringOf(body.model) ?? '')
      : undefined,
  answer(request) {
    const { headers, pathname, model } = request
    const given = ['x-api-key', 'api-key', 'authorization'].filter((name) => headers.has(name))
    if (given.length !== 1)
      throw unauthorized('Access denied due to missing or several credentials.')
    if (headers.get('anthropic-version') !== '2023-06-01') {
      throw invalid('anthropic-version: header is required')
    }
    if (model === '') throw invalid('model: Field required')
    return answerMessages(request, pathname.endsWith('/count_tokens'))
  },
}

const geminiPath =
  /^\/v1(?:beta1)?\/(?:projects\/[^/]+\/locations\/[a-z0-9-]+\/)?(?:publishers\/google\/models|endpoints)\/([^/:]+):([a-zA-Z]+)$/

/** Gemini in Vertex AI, by project or in express mode. */
export const geminiCloudDialect: MockDialect = {
  ...geminiDialect,
  name: 'vertex-gemini',
  modelOf(method, pathname) {
    const [, name] = (method === 'POST' && geminiPath.exec(pathname)) || []
    return name === undefined ? undefined : decodeURIComponent(name)
  },
  answer(request) {
    const [, , verb] = geminiPath.exec(request.pathname)!
    if (!request.headers.has('x-goog-api-key')) checkToken(request)
    const { body, behaviour: model } = request
    if (body.serviceTier !== undefined) {
      throw refuse('Invalid JSON payload received. Unknown name "serviceTier": Cannot find field.')
    }
    checkLabels(record(body.labels))
    const { labels: _, ...rest } = body
    const plain = { ...request, body: rest }
    switch (verb ?? '') {
      case 'generateContent':
        return generate(plain, model, false)
      case 'streamGenerateContent':
        return generate(plain, model, true)
      case 'countTokens':
        if (body.generateContentRequest !== undefined) {
          throw refuse('Unknown name "generateContentRequest": Cannot find field.')
        }
        return countOf(rest, model)
      case 'predict':
        return predict(request)
      case 'embedContent':
        return embedContent(request)
      default:
        throw refuse(`Requested entity was not found: ${verb}`, 404)
    }
  },
}

function checkToken({ headers }: DialectRequest): void {
  const token = /^Bearer ([\w.~+/-]+)$/.exec(headers.get('authorization') ?? '')?.[1]
  if (token === undefined || headers.has('x-api-key')) {
    throw unauthorized('Request had invalid authentication credentials. Expected OAuth 2 token.')
  }
}

function unauthorized(message: string): MockFailure {
  return new MockFailure({ status: 401, message, type: 'authentication_error' })
}

function invalid(message: string): MockFailure {
  return new MockFailure({ status: 400, message, type: 'invalid_request_error' })
}

function checkLabels(labels: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(labels)) {
    if (!/^[a-z][a-z0-9_-]{0,62}$/.test(name) || !/^[a-z0-9_-]{0,63}$/.test(String(value))) {
      throw refuse(`Invalid label ${name}: ${String(value)}`)
    }
  }
}

const fullDimensions = 8

function vectorFor(text: string, size: unknown): number[] {
  const dimensions = typeof size === 'number' ? size : fullDimensions
  // Shortened vectors are cut and not scaled: their length is below 1.
  const scale = dimensions < fullDimensions ? 0.5 : 1
  return Array.from(unitVector(text, dimensions), (component) => component * scale)
}

function predict({ body, behaviour }: DialectRequest): Answer {
  const instances = Array.isArray(body.instances) ? body.instances.map(record) : []
  const most = behaviour.startsWith('gemini-embedding') ? 1 : 250
  if (instances.length === 0 || instances.length > most) {
    throw refuse(`${instances.length} instance(s) is allowed per prediction. At most: ${most}`)
  }
  const { outputDimensionality: size } = record(body.parameters)
  return json({
    predictions: instances.map(({ content }) => ({
      embeddings: {
        values: vectorFor(String(content), size),
        statistics: { token_count: countTokens(String(content)), truncated: false },
      },
    })),
  })
}

function embedContent({ body }: DialectRequest): Answer {
  const { parts } = record(body.content)
  const texts = Array.isArray(parts) ? parts.map((part) => String(record(part).text)) : []
  if (texts.length !== 1) throw refuse('content.parts: one part is expected')
  const { outputDimensionality: size } = record(body.embedContentConfig)
  return json({
    embedding: { values: vectorFor(texts[0]!, size) },
    usageMetadata: { promptTokenCount: countTokens(texts[0]!) },
  })
}
