import type { ProviderSettings } from '#config/snapshot.ts'
import { Secret } from '#lib/secret.ts'
import type {
  CredentialAnswer,
  CredentialRequest,
  CredentialSource,
  Obtained,
} from '#providers/credential.ts'

import { runErrand } from './errand.ts'
import { authoritiesOf } from './fetch-session.ts'
import { assertReachable } from './reach.ts'
import { fetchProxy } from './tunnel.ts'

/** Credentials that had to be obtained, kept until shortly before they expire. */
export interface Credentials {
  /** Throws `GatewayError` when the source cannot give one. Callers who come together wait for the same request. */
  get(source: CredentialSource, settings: ProviderSettings): Promise<Secret>
  /** The provider refused it: the next `get` obtains a new one. */
  forget(source: CredentialSource, refused: Secret): void
}

/** A credential is renewed this long before it expires, or at half its life if that is shorter. */
const earlyMs = 5 * 60_000
/** After a renewal that failed, while the old credential still holds. */
const againMs = 30_000
const timeoutMs = 10_000
const maxAnswerBytes = 256 * 1024
const maxFileBytes = 256 * 1024
const maxKept = 1000

interface Kept {
  readonly secret: Secret
  readonly expiresAtMs: number
  renewAtMs: number
}

/** `now` gives milliseconds since 1970. */
export function createCredentials(now: () => number = Date.now): Credentials {
  const kept = new Map<string, Kept>()
  const pending = new Map<string, Promise<Secret>>()

  async function obtain(source: CredentialSource, settings: ProviderSettings): Promise<Secret> {
    const nowMs = now()
    const obtained = await source.obtain({
      nowMs,
      send: (request) => sendFor(request, settings),
      readFile,
    })
    const secret = new Secret(obtained.credential)
    const { expiresAtMs } = obtained
    kept.delete(source.cacheKey)
    const [oldest] = kept.keys()
    if (oldest !== undefined && kept.size >= maxKept) kept.delete(oldest)
    kept.set(source.cacheKey, { secret, expiresAtMs, renewAtMs: renewAt(obtained, nowMs) })
    return secret
  }

  function obtaining(source: CredentialSource, settings: ProviderSettings): Promise<Secret> {
    const { cacheKey } = source
    const waiting = pending.get(cacheKey)
    if (waiting) return waiting
    const started = obtain(source, settings).finally(() => pending.delete(cacheKey))
    pending.set(cacheKey, started)
    return started
  }

  return {
    async get(source, settings) {
      const known = kept.get(source.cacheKey)
      if (!known || known.expiresAtMs <= now()) return await obtaining(source, settings)
      if (known.renewAtMs <= now()) {
        // Nobody waits for the next one while this one holds, and a server that is down for a moment harms nobody.
        known.renewAtMs = now() + againMs
        obtaining(source, settings).catch(() => undefined)
      }
      return known.secret
    },
    forget(source, refused) {
      if (kept.get(source.cacheKey)?.secret === refused) kept.delete(source.cacheKey)
    },
  }
}

function renewAt({ expiresAtMs }: Obtained, nowMs: number): number {
  return expiresAtMs - Math.min(earlyMs, (expiresAtMs - nowMs) / 2)
}

async function sendFor(
  request: CredentialRequest,
  settings: ProviderSettings,
): Promise<CredentialAnswer> {
  const { url, method, headers, body, isMetadataService } = request
  const { network, proxyUrl, name } = settings
  // The metadata service is on this very machine: no proxy leads there, and no rule for the outside applies.
  const proxy = isMetadataService ? undefined : fetchProxy(proxyUrl)
  // Who need not be checked for the calls themselves must be for what they are paid with.
  const ca = authoritiesOf(network)
  if (!isMetadataService && proxy === undefined && !network.allowPrivateNetwork) {
    await assertReachable(url, name)
  }
  const answer = await runErrand(
    {
      url,
      method,
      timeoutMs,
      maxBytes: maxAnswerBytes,
      ...(headers && { headers }),
      ...(body !== undefined && { body }),
      proxy,
      ...(ca !== undefined && { tls: { ca } }),
    },
    `The server that gives provider '${name}' its credentials`,
  )
  return {
    status: answer.status,
    headers: answer.headers,
    text: new TextDecoder().decode(answer.bytes),
  }
}

async function readFile(path: string): Promise<string | undefined> {
  const file = Bun.file(path)
  try {
    return file.size > maxFileBytes ? undefined : await file.text()
  } catch {
    // The vendor's code says what is missing.
    return undefined
  }
}
