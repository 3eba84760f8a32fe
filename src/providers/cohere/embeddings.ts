import { GatewayError } from '#core/errors.ts'
import { integer, isRecord, record } from '#openai/conversation/fields.ts'

import type { EmbeddingDialect } from '../dialect.ts'
import { vectorsOf } from '../vectors.ts'
import { addressOf } from './address.ts'

/** Members of a request that mean something here, or to the gateway. */
const known = new Set([
  ...['model', 'input', 'encoding_format', 'dimensions', 'fallbacks', 'extra_params'],
  ...['input_type', 'truncate', 'max_tokens', 'priority'],
])

/** `POST /v2/embed` ("Embed", API reference v2, as read in November 2026). */
export const embedding: EmbeddingDialect = {
  maxTexts: 96,
  request(texts, exchange) {
    const { model, dimensions, request, target } = exchange
    for (const [name, value] of Object.entries(request)) {
      if (!known.has(name) && value !== undefined && value !== null) exchange.drop(name)
    }
    const given = (name: string): Record<string, unknown> =>
      request[name] === undefined || request[name] === null ? {} : { [name]: request[name] }
    const body = {
      model,
      texts,
      // Required since the third generation; documents are what most callers without an opinion embed.
      input_type: request['input_type'] ?? 'search_document',
      embedding_types: ['float'],
      ...(dimensions !== undefined && { output_dimension: dimensions }),
      ...given('truncate'),
      ...given('max_tokens'),
      ...given('priority'),
    }
    return { url: addressOf('/v2/embed', target), body }
  },
  whole(answer) {
    const { embeddings, meta } = record(answer)
    // Version 1 deployments answer with the list itself.
    const vectors = vectorsOf(isRecord(embeddings) ? embeddings['float'] : embeddings)
    if (!vectors) throw new GatewayError('upstream_malformed', 'The provider sent no embeddings.')
    const tokens = integer(record(record(meta)['billed_units'])['input_tokens'])
    return { vectors, tokens }
  },
}
