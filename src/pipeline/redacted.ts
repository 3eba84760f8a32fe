import type { Call } from '#core/call.ts'
import { Secret } from '#lib/secret.ts'
import type { Outbound, Target } from '#providers/provider.ts'

import { minSecretChars } from './redact.ts'

// Requests as they may be shown to somebody who must not learn what they are sent with.

/** Stands where a credential would. */
export const placeholder = '[redacted]'

/** A request without its secrets. */
export interface Shown {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Text; absent where there is none, or where it is none. */
  readonly body?: string
  readonly body_bytes?: number
  /** Only the beginning of the body is shown. */
  readonly body_truncated?: true
}

const maxBodyChars = 256 * 1024
const maxSecretChars = 16 * 1024

const secretName = /auth|key|token|secret|cookie|signature|credential|password|session/i
const secretParameter =
  /(?<=[?&](?:[\w.-]*(?:key|token|secret|sig|signature|credential|password)))=[^&#]*/gi

/** Hides what a request to the target could give away: its credential, the configuration's headers, the caller's key. */
export function withoutSecrets(
  target: Target,
  call: Call,
): { url(url: string): string; request(request: Omit<Outbound, 'dropped'>): Shown } {
  const secrets = secretsOf(target, call)
  const own = new Set(
    Object.keys(target.settings.network.extraHeaders).map((name) => name.toLowerCase()),
  )
  const hide = (text: string): string =>
    secrets.reduce((shown, secret) => shown.replaceAll(secret, placeholder), text)
  const hideUrl = (url: string): string =>
    hide(url)
      .replace(/^([a-z][\w+.-]*:\/\/)[^/?#]*@/i, '$1')
      .replaceAll(secretParameter, `=${placeholder}`)
  return {
    url: hideUrl,
    request({ method, url, headers, body }) {
      const shown: Record<string, string> = {}
      for (const name in headers) {
        const isSecret = own.has(name) || secretName.test(name)
        shown[name] = isSecret ? placeholder : hide(headers[name]!)
      }
      return { method, url: hideUrl(url), headers: shown, ...bodyOf(body, hide) }
    },
  }
}

function bodyOf(
  body: Outbound['body'],
  hide: (text: string) => string,
): Pick<Shown, 'body' | 'body_bytes' | 'body_truncated'> {
  if (body === undefined || body instanceof ReadableStream) return {}
  const size = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
  const text = typeof body === 'string' ? body : decoded(body)
  if (text === undefined) return { body_bytes: size }
  if (text.length <= maxBodyChars) return { body: hide(text), body_bytes: size }
  // A little more than is shown: a secret that begins before the cut has to be recognised.
  const shown = hide(text.slice(0, maxBodyChars + maxSecretChars)).slice(0, maxBodyChars)
  return { body: shown.toWellFormed(), body_bytes: size, body_truncated: true }
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    // Pictures and sound have nothing to read in them.
    return undefined
  }
}

/** Every secret that the target's settings hold, the longest first: one may be the beginning of another. */
function secretsOf({ key, settings }: Target, { caller }: Call): readonly string[] {
  const found = new Set<string>()
  const collect = (value: unknown): void => {
    if (value instanceof Secret) found.add(value.reveal())
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect)
  }
  collect([caller.directKey, caller.virtualKey, settings.proxyUrl, key?.value, key?.vendor])
  for (const value of Object.values(settings.network.extraHeaders)) found.add(value)
  return [...found]
    .filter((secret) => secret.length >= minSecretChars)
    .toSorted((a, b) => b.length - a.length)
}
