import { GatewayError } from '#core/errors.ts'
import type { ListedModel } from '#openai/answer/models.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import type { ModelDialect } from '../dialect.ts'
import { addressOf } from './address.ts'

/**
 * Models that answer 400 when they are told how to think ("Models", as read in November 2026). Whatever is not listed
 * may be newer than this table, and newer ones think.
 */
const thoughtless =
  /^(?:command(?:-light|-nightly)?$|command-r(?:7b|-plus)?(?:-|$)|command-a-(?:03-2025|vision|translate)|c4ai-|aya-|tiny-aya)/

/** Whether the model takes `thinking`, as far as is known. */
export function thinks(model: string): boolean {
  return !thoughtless.test(model)
}

/** Token budgets for the words that OpenAI has; the vendor recommends to leave a thousand of 32,000 for the answer. */
const budgets: ReadonlyMap<string, number> = new Map([
  ['minimal', 512],
  ['low', 2048],
  ['medium', 8192],
  ['high', 16_384],
  ['xhigh', 24_576],
  ['max', 31_000],
])

/** Most tokens to think with; undefined for an effort that is not known. */
export function budgetOf(effort: string): number | undefined {
  return budgets.get(effort)
}

const pageSize = 1000

/** `GET /v1/models`; there is no `/v2/models`. */
export const models: ModelDialect = {
  request: (target) => ({ url: addressOf(`/v1/models?page_size=${pageSize}`, target) }),
  list(answer) {
    const listed = record(answer)['models']
    if (!Array.isArray(listed)) throw noModels()
    return (listed as unknown[]).flatMap((entry) => {
      const model = listedModel(entry)
      return model ? [model] : []
    })
  },
  one: {
    request: (id, target) => ({ url: addressOf(`/v1/models/${encodeURIComponent(id)}`, target) }),
    read(answer) {
      const model = listedModel(answer)
      if (!model) throw noModels()
      return model
    },
  },
}

function listedModel(entry: unknown): ListedModel | undefined {
  if (!isRecord(entry)) return undefined
  const id = text(entry['name'])
  if (id === undefined) return undefined
  const { context_length, endpoints, features, finetuned } = entry
  const extra = {
    ...(typeof context_length === 'number' && { context_length }),
    ...(Array.isArray(endpoints) && { endpoints: endpoints as unknown[] }),
    ...(Array.isArray(features) && { features: features as unknown[] }),
    ...(finetuned === true && { finetuned }),
  }
  return { id, ownedBy: 'cohere', extra }
}

function noModels(): GatewayError {
  return new GatewayError('upstream_malformed', 'The provider sent no models.')
}
