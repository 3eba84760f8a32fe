import { record } from '#openai/conversation/fields.ts'

import type { Target } from '../provider.ts'

export const BASE_URL = 'http://localhost:11434'

/** The URL of a path such as `/api/chat`: on the key's own server, the configured one or this machine. */
export function addressOf(path: string, { key, settings }: Target): string {
  const { url } = record(key?.vendor['ollama_key_config'])
  const own = typeof url === 'string' && url !== '' ? url : undefined
  const base = own ?? settings.network.baseUrl ?? BASE_URL
  return base.replace(/\/+$/, '').replace(/\/(?:v1|api)$/, '') + path
}
