import { type Answer, dataFrame, json, type Problem } from './answer.ts'
import type { DialectRequest, MockDialect } from './dialects.ts'
import { unitVector } from './embeddings.ts'
import { checkGenerate, partsOf, refuse } from './gemini-check.ts'
import { generate } from './gemini-generate.ts'
import { MODELS } from './models.ts'
import { countTokens } from './text.ts'
import { record } from './wire.ts'

// The Gemini API of AI Studio. A model is named by what it does (`tools`), or so with a line of models before it
// (`gemini-3-flash-tools`, `gemini-2.5-pro-reason`), which makes it as strict as they are.

const verbPath = /^\/v1(?:beta|alpha)?\/(?:models|tunedModels)\/([^/:]+):([a-zA-Z]+)$/
const modelPath = /^\/v1beta\/models(?:\/([^/:]+))?$/

export const geminiDialect: MockDialect = {
  name: 'gemini',
  modelOf(method, pathname) {
    if (method === 'POST') return decoded(verbPath.exec(pathname)?.[1])
    const listed = method === 'GET' ? modelPath.exec(pathname) : null
    return listed ? (decoded(listed[1]) ?? '') : undefined
  },
  answer(request) {
    checkKey(request)
    if (request.method === 'GET') {
      return request.model === '' ? list() : json(modelObject(request.behaviour))
    }
    return act(request, verbPath.exec(request.pathname)?.[2] ?? '')
  },
  failure: googleFailure,
  frames: {
    isEnd: (frame) => frame.toString().includes('"finishReason":'),
    errorFrame: (problem) => dataFrame(errorBody(problem)),
    broken: (frame) => `${frame.toString().slice(0, -8)}\r\n\r\n`,
  },
}

function decoded(segment: string | undefined): string | undefined {
  if (segment === undefined) return undefined
  try {
    return decodeURIComponent(segment)
  } catch {
    // Not percent-encoded UTF-8: as it came it names no model less.
    return segment
  }
}

function checkKey({ headers, query }: DialectRequest): void {
  const key = headers.get('x-goog-api-key')
  if (query.has('key')) throw refuse('The mock wants keys in a header, where no log sees them.')
  if (key === null || key === '') {
    throw refuse(
      "Method doesn't allow unregistered callers (callers without established identity).",
      403,
    )
  }
  if (key === 'invalid') {
    throw refuse('API key not valid. Please pass a valid API key.', 400, 'API_KEY_INVALID')
  }
}

function act(request: DialectRequest, verb: string): Answer {
  // The part after a `!` is the mock's own.
  const { body, behaviour: model } = request
  switch (verb) {
    case 'generateContent':
      return generate(request, model, false)
    case 'streamGenerateContent':
      return generate(request, model, true)
    case 'countTokens':
      return countOf(body, model)
    case 'batchEmbedContents':
      return embedAll(body, request.model)
    default:
      throw refuse(`Requested entity was not found: ${verb}`, 404)
  }
}

/** The mock counts in whole what a conversation says. */
export function countOf(body: Readonly<Record<string, unknown>>, model: string): Answer {
  const inner =
    body.generateContentRequest === undefined ? body : record(body.generateContentRequest)
  const contents = checkGenerate(inner, model)
  const parts = [...contents, record(inner.systemInstruction)].flatMap(partsOf)
  const totalTokens = parts.reduce(
    (sum, { text }) => sum + (typeof text === 'string' ? countTokens(text) : 258),
    0,
  )
  return json({ totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] })
}

const fullDimensions = 8

function embedAll(body: Readonly<Record<string, unknown>>, model: string): Answer {
  const requests = Array.isArray(body.requests) ? body.requests.map(record) : []
  if (requests.length === 0) throw refuse('* BatchEmbedContentsRequest.requests: requests is empty')
  if (requests.length > 100) {
    throw refuse('* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch')
  }
  const embeddings = requests.map((request) => {
    if (request.model !== `models/${model}`) {
      throw refuse('The model of every request must be the model of the batch.')
    }
    const [part] = partsOf(record(request.content))
    const { outputDimensionality } = request
    const size = typeof outputDimensionality === 'number' ? outputDimensionality : fullDimensions
    // Shortened vectors are cut and not scaled: their length is below 1.
    const scale = size < fullDimensions ? 0.5 : 1
    const vector = unitVector(typeof part?.text === 'string' ? part.text : '', size)
    return { values: Array.from(vector, (component) => component * scale) }
  })
  return json({ embeddings })
}

function list(): Answer {
  return json({ models: [...MODELS.map(modelObject), liveModel] })
}

const liveModel = {
  name: 'models/live',
  displayName: 'live',
  supportedGenerationMethods: ['bidiGenerateContent'],
}

function modelObject(name: string) {
  return {
    name: `models/${name}`,
    version: '001',
    displayName: `Mock ${name}`,
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods:
      name === 'embed' ? ['embedContent'] : ['generateContent', 'countTokens'],
  }
}

const rpcNames: ReadonlyMap<number, string> = new Map([
  [400, 'INVALID_ARGUMENT'],
  [401, 'UNAUTHENTICATED'],
  [403, 'PERMISSION_DENIED'],
  [404, 'NOT_FOUND'],
  [409, 'ABORTED'],
  [429, 'RESOURCE_EXHAUSTED'],
  [500, 'INTERNAL'],
  [503, 'UNAVAILABLE'],
  [504, 'DEADLINE_EXCEEDED'],
])

/** An error as Google's services write it. */
export function googleFailure(problem: Problem): Answer {
  return json(errorBody(problem), problem.status)
}

function errorBody({ status, message, code }: Problem) {
  const details =
    code === 'API_KEY_INVALID'
      ? [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code }]
      : code === 'insufficient_quota'
        ? [quotaFailure]
        : []
  return {
    error: {
      code: status,
      message,
      status: rpcNames.get(status) ?? 'UNKNOWN',
      ...(details.length > 0 && { details }),
    },
  }
}

const quotaFailure = {
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier', quotaValue: '50' }],
}
