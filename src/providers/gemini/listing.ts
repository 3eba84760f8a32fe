import { GatewayError } from '#core/errors.ts'
import type { ListedModel } from '#openai/answer/models.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'

const usable = new Set(['generateContent', 'embedContent', 'batchEmbedContents'])

/** Reads `GET /models` ("Models", as read in November 2026), without what can only be used in other ways. */
export function readModels(answer: unknown): readonly ListedModel[] {
  const { models } = record(answer)
  if (!Array.isArray(models)) {
    throw new GatewayError('upstream_malformed', 'The provider answered without a list of models.')
  }
  return (models as unknown[]).filter(isRecord).filter(isUsable).map(readModel)
}

/** Reads one model. */
export function readModel(answer: unknown): ListedModel {
  const { name, displayName, inputTokenLimit, outputTokenLimit } = record(answer)
  const id = text(name)
  if (id === undefined) {
    throw new GatewayError(
      'upstream_malformed',
      'The provider answered with a model that has no name.',
    )
  }
  const [input, output] = [integer(inputTokenLimit), integer(outputTokenLimit)]
  const title = text(displayName)
  return {
    id: id.replace(/^models\//, ''),
    ownedBy: 'google',
    extra: {
      ...(title !== undefined && { display_name: title }),
      ...(input !== undefined && { context_window: input }),
      ...(output !== undefined && { max_output_tokens: output }),
    },
  }
}

function isUsable({
  supportedGenerationMethods: methods,
}: Readonly<Record<string, unknown>>): boolean {
  if (!Array.isArray(methods)) return true
  return methods.some((method) => usable.has(String(method)))
}
