import { GatewayError } from '#core/errors.ts'
import type { ListedModel } from '#openai/answer/models.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'

import type { ModelDialect } from '../dialect.ts'
import { baseOf } from './address.ts'
import { apiVersion } from './wire.ts'

// Models (docs page "List Models", as read in November 2026). One page holds up to 1000, more than there are.

const headers = { 'anthropic-version': apiVersion }

export const anthropicModels: ModelDialect = {
  request: (target) => ({ url: `${baseOf(target)}/models?limit=1000`, headers }),
  list(answer) {
    const { data } = record(answer)
    if (!Array.isArray(data)) throw noList()
    return data.filter(isRecord).flatMap((model) => listed(model) ?? [])
  },
  one: {
    request: (id, target) => ({
      url: `${baseOf(target)}/models/${encodeURIComponent(id)}`,
      headers,
    }),
    read(answer) {
      const model = listed(record(answer))
      if (!model) throw noList()
      return model
    },
  },
}

function listed(model: Readonly<Record<string, unknown>>): ListedModel | undefined {
  const id = text(model['id'])
  if (id === undefined || id === '') return undefined
  const created = Date.parse(text(model['created_at']) ?? '')
  const name = text(model['display_name'])
  const window = integer(model['max_input_tokens'])
  const output = integer(model['max_tokens'])
  return {
    id,
    created: Number.isNaN(created) ? 0 : Math.floor(created / 1000),
    extra: {
      ...(name !== undefined && { display_name: name }),
      ...(window !== undefined && window > 0 && { context_window: window }),
      ...(output !== undefined && output > 0 && { max_output_tokens: output }),
    },
  }
}

function noList(): GatewayError {
  return new GatewayError('upstream_malformed', 'The provider answered with success and no models.')
}
