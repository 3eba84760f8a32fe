import type { Dialect } from '../dialect.ts'
import { BASE_URL } from './address.ts'
import { embedding } from './embeddings.ts'
import { parseError } from './errors.ts'
import { FATES } from './fates.ts'
import { models, thinks } from './models.ts'
import { chatRequest } from './request.ts'
import { readWhole } from './response.ts'
import { streamReader } from './stream.ts'

/** Cohere's API v2. */
export const cohere: Dialect = {
  name: 'cohere',
  keyEnv: ['COHERE_API_KEY', 'CO_API_KEY'],
  keyless: false,
  baseUrl: BASE_URL,
  lacks: (model) =>
    thinks(model) ? [] : ['reasoning_effort', 'reasoning', 'reasoning_max_tokens'],
  chat: {
    fates: FATES,
    streamType: 'text/event-stream',
    request: chatRequest,
    whole: readWhole,
    stream: streamReader,
  },
  embedding,
  models,
  authorize({ headers }, credential) {
    headers['authorization'] = `Bearer ${credential}`
  },
  parseError,
}
