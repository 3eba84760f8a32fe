import { GatewayError } from '#core/errors.ts'
import { integer, record } from '#openai/conversation/fields.ts'

import { classOf, claudeLacks } from '../anthropic/models.ts'
import type { Dialect } from '../dialect.ts'
import { AMBIENT, credentialSource } from './credentials.ts'
import { embedding } from './embeddings.ts'
import { parseError } from './errors.ts'
import { FATES } from './fates.ts'
import { models } from './models.ts'
import { BASE_URL, SERVICE } from './place.ts'
import { chatRequest, countRequest, resourcesOf } from './request.ts'
import { readWhole } from './response.ts'
import { sign, unpack } from './sign.ts'
import { streamReader } from './stream.ts'
import { EVENT_STREAM } from './wire.ts'

/** Amazon Bedrock by its Converse operations, signed with keys of AWS or with an API key of its own. */
export const bedrock: Dialect = {
  name: 'bedrock',
  keyEnv: ['AWS_BEARER_TOKEN_BEDROCK'],
  keyless: false,
  baseUrl: BASE_URL,
  ambient: AMBIENT,
  chat: {
    fates: FATES,
    streamType: EVENT_STREAM,
    resources: resourcesOf,
    request: chatRequest,
    whole: readWhole,
    stream: streamReader,
  },
  embedding,
  models,
  count: {
    request: countRequest,
    read(answer) {
      const tokens = integer(record(answer)['inputTokens'])
      if (tokens !== undefined) return tokens
      throw new GatewayError('upstream_malformed', 'The provider counted no tokens.')
    },
  },
  // Claude takes it here as it does at home; what other models make of it is nowhere said.
  prefills: (model) => classOf(model).prefill,
  lacks: (model) => (model.includes('claude') ? claudeLacks(model) : undefined),
  credential: credentialSource,
  authorize(request, credential, nowMs) {
    const keys = unpack(credential)
    if (keys) return sign(request, keys, SERVICE, nowMs)
    request.headers['authorization'] = `Bearer ${credential}`
    return undefined
  },
  parseError,
}
