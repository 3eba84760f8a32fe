import type { Target } from '../provider.ts'

export const BASE_URL = 'https://api.cohere.com'

/** The URL of a path such as `/v2/chat`; a configured base may name a version or the compatible surface. */
export function addressOf(path: string, { settings }: Target): string {
  const base = settings.network.baseUrl ?? BASE_URL
  return base.replace(/(?:\/compatibility)?(?:\/v[12])?\/*$/, '') + path
}
