import { GatewayError } from '#core/errors.ts'
import type { Embeddings } from '#openai/answer/embeddings.ts'
import { normalized } from '#openai/answer/embeddings.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'

import type { EmbeddingExchange } from '../dialect.ts'

// Embeddings ("Embeddings" of the Gemini API reference, as read in November 2026).

/** Most texts of one request. */
export const MAX_TEXTS = 100

const known = new Set(['model', 'input', 'encoding_format', 'dimensions', 'task_type', 'title'])
/** Read by the gateway itself. */
const forGateway = new Set(['fallbacks', 'extra_params'])

/** The vendor's own parameters of an embedding; everything else that the caller wrote is noted as left out. */
export function embeddingParams(exchange: EmbeddingExchange): {
  readonly taskType: string | undefined
  readonly title: string | undefined
  readonly outputDimensionality: number | undefined
} {
  const { request, dimensions } = exchange
  for (const [name, value] of Object.entries(request)) {
    if (value !== null && value !== undefined && !known.has(name) && !forGateway.has(name)) {
      exchange.drop(name)
    }
  }
  return {
    taskType: text(request['task_type']),
    title: text(request['title']),
    outputDimensionality: dimensions,
  }
}

/** Body of `batchEmbedContents`. `name` is `models/x`. */
export function batchEmbedBody(
  texts: readonly string[],
  name: string,
  exchange: EmbeddingExchange,
): Readonly<Record<string, unknown>> {
  const { taskType, title, outputDimensionality } = embeddingParams(exchange)
  return {
    requests: texts.map((written) => ({
      model: name,
      content: { parts: [{ text: written }] },
      ...(taskType !== undefined && { taskType }),
      ...(title !== undefined && { title }),
      ...(outputDimensionality !== undefined && { outputDimensionality }),
    })),
  }
}

/** Reads `{embeddings: [{values}]}`. Throws `upstream_malformed` when it is not that. */
export function readEmbeddings(answer: unknown, exchange: EmbeddingExchange): Embeddings {
  const { embeddings, usageMetadata } = record(answer)
  if (!Array.isArray(embeddings)) throw noVectors()
  return {
    vectors: embeddings.map((entry) => vectorOf(record(entry)['values'], exchange)),
    tokens: isRecord(usageMetadata) ? integer(usageMetadata['promptTokenCount']) : undefined,
  }
}

/** One vector. Shortened ones come as they were cut, and are scaled to length 1 as OpenAI's are. */
export function vectorOf(values: unknown, { dimensions }: EmbeddingExchange): readonly number[] {
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'number')) {
    throw noVectors()
  }
  return dimensions === undefined ? values : normalized(values)
}

function noVectors(): GatewayError {
  return new GatewayError('upstream_malformed', 'The provider answered without embeddings.')
}
