import type { Target } from '../provider.ts'

export const BASE_URL = 'https://generativelanguage.googleapis.com'

const usualVersion = '/v1beta'

/** A URL below the API's version, which a configured base may name. */
export function addressOf(path: string, { settings }: Target): string {
  const base = (settings.network.baseUrl ?? BASE_URL).replace(/(?:\/openai)?\/*$/, '')
  const version = /\/v\d+(?:alpha|beta)?\d*$/.test(base) ? '' : usualVersion
  return `${base}${version}${path}`
}

/** `models/x`, or `tunedModels/x` as it is. */
export function resourceName(model: string): string {
  const [, kind = 'models', name = model] = /^(models|tunedModels)\/(.*)$/s.exec(model) ?? []
  return `${kind}/${encodeURIComponent(name)}`
}
