import { GatewayError } from '#core/errors.ts'
import type { Embeddings } from '#openai/answer/embeddings.ts'
import { integer, isRecord, record, unsupported } from '#openai/conversation/fields.ts'

import type { EmbeddingDialect, EmbeddingExchange } from '../dialect.ts'
import { vectorsOf } from '../vectors.ts'
import { describe, modelUrl, placeOf } from './place.ts'

// Embeddings by `InvokeModel`, whose bodies are those of each model's maker ("Amazon Titan Text Embeddings", "Amazon
// Titan Multimodal Embeddings", "Cohere Embed" and "Amazon Nova Multimodal Embeddings", Amazon Bedrock User Guide, as
// read in November 2026).

type Fields = Readonly<Record<string, unknown>>
type Kind = 'titan-text-1' | 'titan-text' | 'titan-image' | 'cohere-3' | 'cohere' | 'nova'

const kinds: readonly (readonly [pattern: RegExp, kind: Kind])[] = [
  [/titan-embed-image/, 'titan-image'],
  [/titan-embed-(?:g1-)?text-(?:v1|0)/, 'titan-text-1'],
  [/titan-embed/, 'titan-text'],
  [/cohere\.embed.*-v3/, 'cohere-3'],
  [/cohere|embed-v4/, 'cohere'],
  [/nova.*embed/, 'nova'],
]

/** What the gateway reads, whatever the model. */
const ofGateway = ['model', 'input', 'encoding_format', 'fallbacks', 'extra_params']
const ofKind: Readonly<Record<Kind, readonly string[]>> = {
  'titan-text-1': [],
  'titan-text': ['dimensions', 'normalize'],
  'titan-image': ['dimensions'],
  'cohere-3': ['input_type', 'truncate'],
  cohere: ['dimensions', 'input_type', 'truncate'],
  nova: ['dimensions', 'embeddingPurpose'],
}

export const embedding: EmbeddingDialect = {
  // Only one family takes more than one text at a time.
  maxTexts: (target) => (kindOf(describe(target))?.startsWith('cohere') ? 96 : 1),
  request(texts, exchange) {
    const { call, target, request } = exchange
    const kind = kindFor(exchange)
    const known = new Set([...ofGateway, ...ofKind[kind]])
    for (const [name, value] of Object.entries(request)) {
      if (!known.has(name) && value !== undefined && value !== null) exchange.drop(name)
    }
    return {
      url: modelUrl(placeOf(target, call.model), 'invoke', target),
      headers: { accept: 'application/json' },
      body: bodyFor(kind, texts, exchange),
    }
  },
  whole(answer, exchange, headers) {
    const found = readVectors(record(answer))
    const tokens =
      found?.tokens ?? integer(Number(headers['x-amzn-bedrock-input-token-count'] ?? Number.NaN))
    if (found) return { vectors: found.vectors, tokens }
    throw new GatewayError(
      'upstream_malformed',
      `Provider '${exchange.target.settings.name}' sent no embeddings.`,
    )
  },
}

function kindOf(described: string): Kind | undefined {
  const id = described.toLowerCase()
  return kinds.find(([pattern]) => pattern.test(id))?.[1]
}

function kindFor({ call, target, model }: EmbeddingExchange): Kind {
  const kind = kindOf(describe(target, call.model)) ?? kindOf(call.model ?? '')
  if (kind) return kind
  throw unsupported('model', `The model '${model}' is not one whose embeddings are known here.`)
}

function bodyFor(kind: Kind, texts: readonly string[], exchange: EmbeddingExchange): Fields {
  const { dimensions, request } = exchange
  const given = (name: string): Fields =>
    request[name] === undefined || request[name] === null ? {} : { [name]: request[name] }
  const inputText = texts[0] ?? ''
  switch (kind) {
    case 'titan-text-1':
      return { inputText }
    case 'titan-text':
      return { inputText, ...(dimensions !== undefined && { dimensions }), ...given('normalize') }
    case 'titan-image':
      return {
        inputText,
        ...(dimensions !== undefined && { embeddingConfig: { outputEmbeddingLength: dimensions } }),
      }
    case 'cohere-3':
    case 'cohere':
      return {
        texts,
        // Required; documents are what most callers without an opinion embed.
        input_type: request['input_type'] ?? 'search_document',
        ...given('truncate'),
        embedding_types: ['float'],
        ...(kind === 'cohere' && dimensions !== undefined && { output_dimension: dimensions }),
      }
    case 'nova':
      return {
        taskType: 'SINGLE_EMBEDDING',
        singleEmbeddingParams: {
          embeddingPurpose: request['embeddingPurpose'] ?? 'GENERIC_INDEX',
          ...(dimensions !== undefined && { embeddingDimension: dimensions }),
          text: { truncationMode: 'END', value: inputText },
        },
      }
    default:
      return kind satisfies never
  }
}

function readVectors(answer: Fields): Embeddings | undefined {
  const { embedding: one, embeddings, inputTextTokenCount, inputTokenCount } = answer
  const tokens = integer(inputTextTokenCount) ?? integer(inputTokenCount)
  const single = vectorsOf([one])
  if (single) return { vectors: single, tokens }
  const lists = vectorsOf(isRecord(embeddings) ? embeddings['float'] : embeddings)
  if (lists) return { vectors: lists, tokens }
  if (!Array.isArray(embeddings)) return undefined
  const named = vectorsOf((embeddings as unknown[]).map((each) => record(each)['embedding']))
  return named && { vectors: named, tokens }
}
