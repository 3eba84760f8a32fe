import { GatewayError } from '#core/errors.ts'
import { integer, record } from '#openai/conversation/fields.ts'

import type { EmbeddingDialect } from '../dialect.ts'
import { vectorsOf } from '../vectors.ts'
import { addressOf } from './address.ts'
import { reportedFailure } from './errors.ts'
import { OPTIONS } from './fates.ts'
import { pick } from './request.ts'

const members = ['truncate', 'keep_alive']
/** Members of a request that mean something here, or to the gateway. */
const known = new Set([
  ...['model', 'input', 'encoding_format', 'dimensions', 'fallbacks', 'extra_params', 'options'],
  ...members,
  ...OPTIONS,
])

/** `POST /api/embed` ("Embed", API reference, as read in November 2026). */
export const embedding: EmbeddingDialect = {
  // The vendor names no limit; this is OpenAI's own.
  maxTexts: 2048,
  request(texts, exchange) {
    const { model, dimensions, request, target } = exchange
    for (const [name, value] of Object.entries(request)) {
      if (!known.has(name) && value !== undefined && value !== null) exchange.drop(name)
    }
    const options = { ...pick(request, OPTIONS), ...record(request['options']) }
    const body = {
      model,
      input: texts,
      ...(dimensions !== undefined && { dimensions }),
      ...pick(request, members),
      ...(Object.keys(options).length > 0 && { options }),
    }
    return { url: addressOf('/api/embed', target), body }
  },
  whole(answer) {
    const { embeddings, prompt_eval_count, ...rest } = record(answer)
    const vectors = vectorsOf(embeddings)
    if (vectors) return { vectors, tokens: integer(prompt_eval_count) }
    throw (
      reportedFailure(rest) ??
      new GatewayError('upstream_malformed', 'The provider sent no embeddings.')
    )
  },
}
