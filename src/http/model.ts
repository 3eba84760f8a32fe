import { GatewayError } from '#core/errors.ts'

export interface ModelChoice {
  readonly provider: string
  readonly model: string
}

/**
 * Splits `provider/model` at the first slash, but only when the left part is a known provider; any other
 * prefix belongs to the model's own name (`meta-llama/Llama-3.1-8B`). Throws when nothing follows the provider.
 */
export function parseModel(
  model: string,
  isProvider: (name: string) => boolean,
  fallback: string,
): ModelChoice {
  const slash = model.indexOf('/')
  if (slash > 0) {
    const prefix = model.slice(0, slash)
    if (isProvider(prefix)) {
      if (slash === model.length - 1) {
        throw new GatewayError('invalid_request', `No model follows the provider in '${model}'.`, {
          param: 'model',
        })
      }
      return { provider: prefix, model: model.slice(slash + 1) }
    }
  }
  return { provider: fallback, model }
}
