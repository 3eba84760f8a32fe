export interface ModelChoice {
  readonly provider: string
  readonly model: string
}

/**
 * Splits `provider/model` at the first slash, but only when the left part is a known provider; any other
 * prefix belongs to the model's own name (`meta-llama/Llama-3.1-8B`).
 */
export function parseModel(
  model: string,
  isProvider: (name: string) => boolean,
  fallback: string,
): ModelChoice {
  const slash = model.indexOf('/')
  if (slash > 0) {
    const prefix = model.slice(0, slash)
    if (isProvider(prefix)) return { provider: prefix, model: model.slice(slash + 1) }
  }
  return { provider: fallback, model }
}
