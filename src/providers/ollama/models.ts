import { GatewayError } from '#core/errors.ts'
import type { ListedModel } from '#openai/answer/models.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import type { ModelDialect } from '../dialect.ts'
import { addressOf } from './address.ts'

/** `GET /api/tags` and `POST /api/show` ("Models", API reference, as read in November 2026). */
export const models: ModelDialect = {
  request: (target) => ({ url: addressOf('/api/tags', target) }),
  list(answer) {
    const listed = record(answer)['models']
    if (!Array.isArray(listed)) {
      throw new GatewayError('upstream_malformed', 'The provider sent no list of models.')
    }
    return (listed as unknown[]).flatMap((entry) => {
      const { name, model, modified_at, details, size } = record(entry)
      const id = text(model) ?? text(name)
      if (id === undefined) return []
      const extra = { ...familyOf(details), ...(typeof size === 'number' && { size }) }
      return [{ id, ...origin(modified_at), extra } satisfies ListedModel]
    })
  },
  one: {
    request: (id, target) => ({ url: addressOf('/api/show', target), body: { model: id } }),
    read(answer, id) {
      const { modified_at, details, capabilities, model_info } = record(answer)
      if (!isRecord(details) && !isRecord(model_info)) {
        throw new GatewayError('upstream_malformed', 'The provider sent no model.')
      }
      const window = windowOf(record(model_info))
      const extra = {
        ...familyOf(details),
        ...(window !== undefined && { context_length: window }),
        ...(Array.isArray(capabilities) && { capabilities: capabilities as unknown[] }),
      }
      return { id, ...origin(modified_at), extra }
    },
  },
}

/** OpenAI's word for models that nobody in particular made is `library`, as the compatible surface of this vendor has it. */
function origin(modifiedAt: unknown): { created?: number; ownedBy: string } {
  const created = secondsOf(modifiedAt)
  return { ownedBy: 'library', ...(created !== undefined && { created }) }
}

function secondsOf(time: unknown): number | undefined {
  const ms = Date.parse(text(time) ?? '')
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}

function familyOf(details: unknown): Record<string, string> {
  const given = record(details)
  return Object.fromEntries(
    ['family', 'parameter_size', 'quantization_level'].flatMap((name) => {
      const value = text(given[name])
      return value === undefined || value === '' ? [] : [[name, value]]
    }),
  )
}

/** The key begins with the architecture's name. */
function windowOf(info: Readonly<Record<string, unknown>>): number | undefined {
  const length = info[`${text(info['general.architecture']) ?? ''}.context_length`]
  return typeof length === 'number' ? length : undefined
}
