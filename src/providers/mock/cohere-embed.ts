import { newId } from '#lib/id.ts'

import { type Answer, json } from './answer.ts'
import { refuse } from './cohere-check.ts'
import type { DialectRequest } from './dialects.ts'
import { unitVector } from './embeddings.ts'
import { countTokens } from './text.ts'
import { wholeNumber } from './wire.ts'

const maxTexts = 96
const inputTypes = ['search_document', 'search_query', 'classification', 'clustering', 'image']
const usualDimensions = 8

/** `POST /v2/embed`, texts only. */
export function embed({ body }: DialectRequest): Answer {
  const { texts, input_type, embedding_types } = body
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string')) {
    throw refuse(400, 'invalid request: texts must be a list of strings')
  }
  if (texts.length > maxTexts) {
    throw refuse(400, `invalid request: total number of texts must be at most ${maxTexts}`)
  }
  if (!inputTypes.includes(String(input_type))) {
    throw refuse(400, 'invalid request: valid input_type must be provided with the provided model')
  }
  if (!Array.isArray(embedding_types) || !embedding_types.includes('float')) {
    throw refuse(400, 'invalid request: embedding_types must hold float')
  }
  const dimensions = wholeNumber(body.output_dimension ?? usualDimensions)
  if (!dimensions) throw refuse(400, 'invalid request: output_dimension is not supported')
  const tokens = texts.reduce<number>((sum, text) => sum + countTokens(text), 0)
  return json({
    id: newId(),
    embeddings: { float: texts.map((text) => [...unitVector(text, dimensions)]) },
    texts,
    meta: { api_version: { version: '2' }, billed_units: { input_tokens: tokens } },
    response_type: 'embeddings_by_type',
  })
}
