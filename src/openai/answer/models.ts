/** A model as a provider lists it. */
export interface ListedModel {
  readonly id: string
  /** Seconds since 1970; 0 where the provider does not say. */
  readonly created?: number
  readonly ownedBy?: string
  /** Further members, such as `context_window`. */
  readonly extra?: Readonly<Record<string, unknown>>
}

/** OpenAI's model object. */
export function modelObject(model: ListedModel, provider: string): Record<string, unknown> {
  const { id, created = 0, ownedBy = provider, extra } = model
  return { id, object: 'model', created, owned_by: ownedBy, ...extra }
}

/** The JSON text of a model list. */
export function modelsAnswer(models: readonly ListedModel[], provider: string): string {
  return JSON.stringify({
    object: 'list',
    data: models.map((model) => modelObject(model, provider)),
  })
}
