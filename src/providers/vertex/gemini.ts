import { GatewayError } from '#core/errors.ts'
import { integer, record } from '#openai/conversation/fields.ts'

import type { ChatDialect, CountDialect, DialectRequest, EmbeddingDialect } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import { embeddingParams, vectorOf } from '../gemini/embeddings.ts'
import { FATES } from '../gemini/fates.ts'
import { readCount, streamsAnyway } from '../gemini/index.ts'
import { resourcesOf } from '../gemini/media.ts'
import { geminiBody } from '../gemini/request.ts'
import { readStream, readWhole } from '../gemini/response.ts'
import { createSignatureMemory } from '../gemini/signatures.ts'
import type { Surface } from '../gemini/surface.ts'
import { modelUrl } from './place.ts'

// Google's own models, asked as in AI Studio, with the differences of this home. Vertex AI, "Generate content with the
// Gemini API in Vertex AI" and "Text embeddings API", as read in November 2026.

const surface: Surface = {
  signatures: createSignatureMemory(),
  callIds: false,
  cloudFiles: true,
  labels: true,
}

export const geminiChat: ChatDialect = {
  // Both travel as labels, which bills are split by.
  fates: { ...FATES, user: 'carried', metadata: 'carried' },
  streamType: 'text/event-stream',
  resources: (conversation) => resourcesOf(conversation, surface),
  request(exchange) {
    const verb =
      exchange.call.stream || streamsAnyway(exchange)
        ? ':streamGenerateContent?alt=sse'
        : ':generateContent'
    const { serviceTier, ...body } = geminiBody(exchange, surface)
    return {
      url: modelUrl(exchange.call, exchange.target, verb),
      headers: tierHeaders(serviceTier),
      body,
    }
  },
  whole: (answer, writer, exchange) => readWhole(answer, writer, exchange, surface),
  stream: (writer, exchange) => readStream(writer, exchange, surface),
  streamsAnyway,
}

/** Classes of service are asked for by header here. */
function tierHeaders(tier: unknown): Record<string, string> {
  if (tier !== 'flex' && tier !== 'priority') return {}
  return {
    'x-vertex-ai-llm-request-type': 'shared',
    'x-vertex-ai-llm-shared-request-type': tier,
  }
}

/** What counting takes of a request. */
const counted = ['contents', 'systemInstruction', 'tools', 'generationConfig'] as const

export const geminiCount: CountDialect = {
  request(exchange: Exchange): DialectRequest {
    const body = geminiBody(exchange, surface)
    return {
      url: modelUrl(exchange.call, exchange.target, ':countTokens'),
      body: Object.fromEntries(
        counted.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])),
      ),
    }
  },
  read: readCount,
}

/** Models that are asked for predictions; `maxTexts` is the model's own limit. */
export function predicted(maxTexts: number): EmbeddingDialect {
  return {
    maxTexts,
    request(texts, exchange) {
      const { taskType, title, outputDimensionality } = embeddingParams(exchange)
      return {
        url: modelUrl(exchange.call, exchange.target, ':predict'),
        body: {
          instances: texts.map((content) => ({
            content,
            ...(taskType !== undefined && { task_type: taskType }),
            ...(title !== undefined && { title }),
          })),
          ...(outputDimensionality !== undefined && { parameters: { outputDimensionality } }),
        },
      }
    },
    whole(answer, exchange) {
      const { predictions } = record(answer)
      if (!Array.isArray(predictions)) throw noVectors()
      const found = (predictions as unknown[]).map((entry) => record(record(entry)['embeddings']))
      const counts = found.map(({ statistics }) => integer(record(statistics)['token_count']))
      return {
        vectors: found.map(({ values }) => vectorOf(values, exchange)),
        tokens: counts.includes(undefined)
          ? undefined
          : counts.reduce<number>((sum, count) => sum + (count ?? 0), 0),
      }
    },
  }
}

/** Models that embed one content at a time. */
export const embedded: EmbeddingDialect = {
  maxTexts: 1,
  request(texts, exchange) {
    const { taskType, title, outputDimensionality } = embeddingParams(exchange)
    const config = {
      ...(taskType !== undefined && { taskType }),
      ...(title !== undefined && { title }),
      ...(outputDimensionality !== undefined && { outputDimensionality }),
    }
    return {
      url: modelUrl(exchange.call, exchange.target, ':embedContent'),
      body: {
        content: { parts: texts.map((text) => ({ text })) },
        ...(Object.keys(config).length > 0 && { embedContentConfig: config }),
      },
    }
  },
  whole(answer, exchange) {
    const { embedding, usageMetadata } = record(answer)
    return {
      vectors: [vectorOf(record(embedding)['values'], exchange)],
      tokens: integer(record(usageMetadata)['promptTokenCount']),
    }
  },
}

function noVectors(): GatewayError {
  return new GatewayError('upstream_malformed', 'The provider answered without embeddings.')
}
