import type { Secret } from '#lib/secret.ts'

/** Shorter ones are words, and no secrets of anybody: where a provider takes any key at all, people write one. */
export const minSecretChars = 8

/** The text without the credential: providers like to repeat the key they refused. */
export function redact(text: string, credential: Secret | undefined): string {
  const key = credential?.reveal()
  if (!key || key.length < minSecretChars) return text
  const plain = text.replaceAll(key, '[redacted]')
  // Some serialisers escape the slashes of a key.
  return key.includes('/') ? plain.replaceAll(key.replaceAll('/', '\\/'), '[redacted]') : plain
}
