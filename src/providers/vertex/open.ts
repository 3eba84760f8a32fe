import type { Call } from '#core/call.ts'

import { compatible } from '../compatible.ts'
import type { Provider, Target } from '../provider.ts'
import { noResources } from '../provider.ts'
import { family } from '../vendors/family.ts'
import { mistral, mistralMends } from '../vendors/mistral.ts'
import { modelOf, modelUrl, prefixOf } from './place.ts'

// Models of other makers, which take OpenAI's dialect: most of them at one endpoint, Mistral's at the verbs of their
// own. "Call open models on Vertex AI by using the Chat Completions API" and "Mistral AI models", as read in November
// 2026.

const baseUrl = 'https://aiplatform.googleapis.com'

const others = compatible({
  name: 'vertex',
  baseUrl,
  offers: ['chat_completion'],
  quirks: family({}),
})

const ofMistral = compatible({
  name: 'vertex',
  baseUrl,
  offers: ['chat_completion'],
  quirks: mistral,
  mends: mistralMends,
})

/** A chat, or a response made of one. */
export const openRequest: Provider['request'] = (call, target) => {
  const model = modelOf(call, target)
  const isMistral = model.kind === 'mistralai'
  const named: Target = { ...target, model: model.name }
  const outbound = (isMistral ? ofMistral : others).request(call, named, noResources)
  return { ...outbound, url: urlOf(call, target, isMistral) }
}

function urlOf(call: Call, target: Target, isMistral: boolean): string {
  if (isMistral) return modelUrl(call, target, call.stream ? ':streamRawPredict' : ':rawPredict')
  return `${prefixOf(call, target, modelOf(call, target))}/endpoints/openapi/chat/completions`
}
