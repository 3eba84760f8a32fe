import { type Answer, json } from './answer.ts'
import { invalid } from './bedrock-check.ts'
import type { DialectRequest } from './dialects.ts'
import { unitVector } from './embeddings.ts'
import { countTokens } from './text.ts'
import { record, wholeNumber } from './wire.ts'

// Embeddings: each maker's models have bodies of their own.

/** The answer to a request for embeddings. */
export function embed(request: DialectRequest): Answer {
  const { body, behaviour: model } = request
  if (/titan-embed/.test(model)) return titan(body, model)
  if (/cohere/.test(model)) return cohere(body)
  if (/nova/.test(model)) return nova(body)
  throw invalid('The mock invokes models for embeddings only.')
}

type Fields = Readonly<Record<string, unknown>>

const vector = (text: string, dimensions: number): number[] => [...unitVector(text, dimensions)]
const usualDimensions = 8

function titan(body: Fields, model: string): Answer {
  only(
    body,
    model.includes('image')
      ? ['inputText', 'embeddingConfig']
      : ['inputText', 'dimensions', 'normalize'],
  )
  const { inputText, dimensions } = body
  if (typeof inputText !== 'string' || inputText === '')
    throw invalid('inputText must not be empty')
  const length =
    wholeNumber(dimensions ?? record(body.embeddingConfig).outputEmbeddingLength) ?? usualDimensions
  return json({ embedding: vector(inputText, length), inputTextTokenCount: countTokens(inputText) })
}

function cohere(body: Fields): Answer {
  only(body, ['texts', 'input_type', 'truncate', 'embedding_types', 'output_dimension'])
  const { texts, input_type, output_dimension } = body
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > 96)
    throw invalid('texts must hold 1 to 96 texts')
  if (typeof input_type !== 'string') throw invalid('input_type is required')
  const length = wholeNumber(output_dimension) ?? usualDimensions
  const float = texts.map((text) => vector(String(text), length))
  const tokens = texts.reduce<number>((sum, text) => sum + countTokens(String(text)), 0)
  return {
    ...json({ id: 'mock', texts, embeddings: { float }, response_type: 'embeddings_by_type' }),
    headers: { 'x-amzn-bedrock-input-token-count': String(tokens) },
  }
}

function nova(body: Fields): Answer {
  only(body, ['taskType', 'singleEmbeddingParams'])
  const { embeddingPurpose, embeddingDimension, text } = record(body.singleEmbeddingParams)
  const { value, truncationMode } = record(text)
  if (body.taskType !== 'SINGLE_EMBEDDING' || typeof embeddingPurpose !== 'string')
    throw invalid('taskType')
  if (typeof value !== 'string' || typeof truncationMode !== 'string') throw invalid('text')
  const embedding = vector(value, wholeNumber(embeddingDimension) ?? usualDimensions)
  return json({
    embeddings: [{ embeddingType: 'TEXT', embedding }],
    inputTokenCount: countTokens(value),
  })
}

function only(body: Fields, known: readonly string[]): void {
  const unknown = Object.keys(body).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw invalid(`Malformed input request: extraneous key [${unknown}] is not permitted`)
}
