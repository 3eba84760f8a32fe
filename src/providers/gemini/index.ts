import { GatewayError } from '#core/errors.ts'
import { integer, record } from '#openai/conversation/fields.ts'

import { compatible } from '../compatible.ts'
import type { Dialect } from '../dialect.ts'
import type { Exchange } from '../exchange.ts'
import { addressOf, BASE_URL, resourceName } from './address.ts'
import { batchEmbedBody, MAX_TEXTS, readEmbeddings } from './embeddings.ts'
import { parseGoogleError } from './errors.ts'
import { FATES } from './fates.ts'
import { readModel, readModels } from './listing.ts'
import { resourcesOf } from './media.ts'
import { factsOf, geminiLacks } from './models.ts'
import { geminiBody } from './request.ts'
import { readStream, readWhole } from './response.ts'
import { createSignatureMemory } from './signatures.ts'
import type { Surface } from './surface.ts'

const doorPath = '/v1beta/openai'
const keyEnv = ['GEMINI_API_KEY', 'GOOGLE_API_KEY']

/** The vendor's own OpenAI-compatible door, for what the dialect itself has in another form. */
const door = compatible({
  name: 'gemini',
  baseUrl: BASE_URL,
  versionPath: doorPath,
  keyEnv,
  offers: ['image_generation'],
})

/** A new Google AI Studio with a memory of its own ("Gemini API reference", as read in November 2026). */
export function geminiDialect(): Dialect {
  const surface: Surface = {
    signatures: createSignatureMemory(),
    callIds: true,
    cloudFiles: false,
    labels: false,
  }
  return {
    name: 'gemini',
    keyEnv,
    keyless: false,
    baseUrl: BASE_URL,
    besides: door,
    lacks: geminiLacks,
    chat: {
      fates: FATES,
      streamType: 'text/event-stream',
      resources: (conversation) => resourcesOf(conversation, surface),
      request(exchange) {
        const body = { ...geminiBody(exchange, surface) }
        return { url: generateUrl(exchange), body }
      },
      whole: (answer, writer, exchange) => readWhole(answer, writer, exchange, surface),
      stream: (writer, exchange) => readStream(writer, exchange, surface),
      streamsAnyway,
    },
    embedding: {
      maxTexts: MAX_TEXTS,
      request(texts, exchange) {
        const name = resourceName(exchange.model)
        return {
          url: addressOf(`/${name}:batchEmbedContents`, exchange.target),
          body: batchEmbedBody(texts, decodeURIComponent(name), exchange),
        }
      },
      whole: readEmbeddings,
    },
    models: {
      request: (target) => ({ url: addressOf('/models?pageSize=1000', target) }),
      list: readModels,
      one: {
        request: (id, target) => ({ url: addressOf(`/${resourceName(id)}`, target) }),
        read: readModel,
      },
    },
    count: {
      request(exchange) {
        const name = resourceName(exchange.model)
        const generateContentRequest = {
          model: decodeURIComponent(name),
          ...geminiBody(exchange, surface),
        }
        return {
          url: addressOf(`/${name}:countTokens`, exchange.target),
          body: { generateContentRequest },
        }
      },
      read: readCount,
    },
    authorize({ url, headers }, credential) {
      if (new URL(url).pathname.includes(`${doorPath}/`)) {
        headers['authorization'] = `Bearer ${credential}`
      } else {
        // Not in the query, which ends up in logs.
        headers['x-goog-api-key'] = credential
      }
    },
    parseError: parseGoogleError,
  }
}

export const gemini: Dialect = geminiDialect()

/** Some models answer at greater length when they stream. */
export function streamsAnyway({ model }: Exchange): boolean {
  return factsOf(model).longerStreamed
}

function generateUrl(exchange: Exchange): string {
  const { call, model, target } = exchange
  const verb =
    call.stream || streamsAnyway(exchange) ? ':streamGenerateContent?alt=sse' : ':generateContent'
  return addressOf(`/${resourceName(model)}${verb}`, target)
}

/** Tokens of an answer to `countTokens`. Throws `upstream_malformed` when it has none. */
export function readCount(answer: unknown): number {
  const tokens = integer(record(answer)['totalTokens'])
  if (tokens !== undefined) return tokens
  throw new GatewayError('upstream_malformed', 'The provider answered without a count of tokens.')
}
