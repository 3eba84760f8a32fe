import { GatewayError } from '#core/errors.ts'
import type { ListedModel } from '#openai/answer/models.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import type { ModelDialect } from '../dialect.ts'
import type { Target } from '../provider.ts'
import { controlUrl, segment } from './place.ts'

type Fields = Readonly<Record<string, unknown>>

/** `ListFoundationModels` and `GetFoundationModel` (API Reference, as read in November 2026). */
export const models: ModelDialect = {
  request: (target) => ({
    url: controlUrl('/foundation-models', target),
    headers: { accept: 'application/json' },
  }),
  list(answer) {
    const { modelSummaries } = record(answer)
    if (!Array.isArray(modelSummaries)) throw noList()
    return modelSummaries.flatMap((summary) => listed(record(summary)) ?? [])
  },
  one: {
    request: (id: string, target: Target) => ({
      // An inference profile is known by the model behind it.
      url: controlUrl(`/foundation-models/${segment(id.replace(profilePrefix, ''))}`, target),
      headers: { accept: 'application/json' },
    }),
    read(answer) {
      const model = listed(record(record(answer)['modelDetails']))
      if (!model) throw noList()
      return model
    },
  },
}

/** The geographies that cross-region profiles begin with. */
const profilePrefix = /^(?:us-gov|us|eu|apac|jp|au|ca|global)\.(?=[\w-]+\.)/

function listed(model: Fields): ListedModel | undefined {
  const id = text(model['modelId'])
  if (id === undefined || id === '') return undefined
  const ownedBy = text(model['providerName'])
  const inference = model['inferenceTypesSupported']
  // Such a model is called by an inference profile, whose id has a geography in front.
  const needsProfile = Array.isArray(inference) && !inference.includes('ON_DEMAND')
  const extra: Record<string, unknown> = {}
  for (const [name, value] of [
    ['name', text(model['modelName'])],
    ['input_modalities', model['inputModalities']],
    ['output_modalities', model['outputModalities']],
    ['inference_types', inference],
    [
      'lifecycle',
      isRecord(model['modelLifecycle']) ? model['modelLifecycle']['status'] : undefined,
    ],
  ] as const) {
    if (value !== undefined && value !== null) extra[name] = value
  }
  if (needsProfile) extra['needs_inference_profile'] = true
  return { id, ...(ownedBy !== undefined && { ownedBy }), extra }
}

function noList(): GatewayError {
  return new GatewayError('upstream_malformed', 'The provider sent no models.')
}
