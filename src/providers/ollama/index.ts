import { compatible } from '../compatible.ts'
import type { Dialect } from '../dialect.ts'
import { BASE_URL } from './address.ts'
import { embedding } from './embeddings.ts'
import { parseError } from './errors.ts'
import { FATES } from './fates.ts'
import { urlsIn } from './messages.ts'
import { models } from './models.ts'
import { chatRequest } from './request.ts'
import { readWhole, streamReader } from './response.ts'

/** Its own surface has neither of these; the compatible one ignores what is dropped here. */
const compatibleSurface = compatible({
  name: 'ollama',
  baseUrl: BASE_URL,
  keyUrl: ['ollama_key_config', 'url'],
  offers: ['text_completion', 'transcription'],
  quirks: { drop: ['n', 'best_of', 'echo', 'logit_bias', 'user'] },
})

/** Ollama's own API, on this machine, on another or in its cloud. */
export const ollama: Dialect = {
  name: 'ollama',
  keyEnv: [],
  keyless: true,
  baseUrl: BASE_URL,
  detectPath: '/api/version',
  chat: {
    fates: FATES,
    streamType: 'application/x-ndjson',
    resources: urlsIn,
    request: chatRequest,
    whole: readWhole,
    stream: streamReader,
  },
  embedding,
  models,
  besides: compatibleSurface,
  authorize({ headers }, credential) {
    headers['authorization'] = `Bearer ${credential}`
  },
  parseError,
}
