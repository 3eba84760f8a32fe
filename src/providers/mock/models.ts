import { newId } from '#lib/id.ts'

import { type Answer, invalid, json, missing } from './answer.ts'
import type { MockRequest } from './request.ts'
import { record, textOf } from './wire.ts'

/** The models that `GET /models` names; any other name but `missing` works as well and echoes. */
// prettier-ignore
export const MODELS = [
  'echo', 'reverse', 'tools', 'reason', 'json', 'refuse', 'length',
  'embed', 'speech', 'whisper', 'image', 'video', 'moderation',
] as const

const created = 1_700_000_000

/** `GET /models` */
export function listModels(): Answer {
  return json({ object: 'list', data: MODELS.map(modelObject) })
}

/** `GET /models/{model}` */
export function retrieveModel({ params }: MockRequest): Answer {
  return json(modelObject(params.model!))
}

/** `DELETE /models/{model}`; nothing is really deleted. */
export function deleteModel({ params }: MockRequest): Answer {
  return json({ id: params.model, object: 'model', deleted: true })
}

function modelObject(id: string) {
  return { id, object: 'model', created, owned_by: 'mock' }
}

// prettier-ignore
const CATEGORIES = [
  'harassment', 'harassment/threatening', 'hate', 'hate/threatening', 'illicit', 'illicit/violent', 'self-harm',
  'self-harm/instructions', 'self-harm/intent', 'sexual', 'sexual/minors', 'violence', 'violence/graphic',
]

/** `POST /moderations`: an input that contains the word "violence" is flagged. */
export function moderate({ body, model }: MockRequest): Answer {
  const { input } = body
  if (input === undefined || input === null) throw missing('input')
  if (typeof input !== 'string' && !Array.isArray(input))
    throw invalid('input', 'a string or an array')
  // A list of parts is one input; a list of strings is many.
  const parts = Array.isArray(input) && input.some((part) => typeof record(part).type === 'string')
  const inputs = parts ? [textOf(input)] : [input].flat().map(String)
  const results = inputs.map((text) => {
    const flagged = /\bviolence\b/i.test(text)
    const per = <T>(found: T, otherwise: T) =>
      Object.fromEntries(
        CATEGORIES.map((name) => [name, flagged && name === 'violence' ? found : otherwise]),
      )
    return {
      flagged,
      categories: per(true, false),
      category_scores: per(0.99, 0.0001),
      category_applied_input_types: per<string[]>(['text'], ['text']),
    }
  })
  return json({ id: `modr-${newId()}`, model, results })
}
