import type { Call } from '#core/call.ts'
import type { Secret } from '#lib/secret.ts'
import type { CredentialSource } from '#providers/credential.ts'
import type { Outbound, Target } from '#providers/provider.ts'

import type { Services } from './services.ts'

/** What a request was authorized with. */
export interface Authorized {
  /** To be kept out of everything that comes back; undefined where no key is needed. */
  readonly credential: Secret | undefined
  /** Where it came from, when it was obtained and can be obtained anew. */
  readonly source: CredentialSource | undefined
}

/**
 * Adds the credential of the caller, the key or the key's source to `headers`. A promise only where something has to
 * be waited for; it rejects with `GatewayError`.
 */
export function authorize(
  call: Call,
  target: Target,
  outbound: Outbound,
  headers: Record<string, string>,
  services: Services,
): Authorized | Promise<Authorized> {
  const source = target.provider.credential?.(call, target)
  if (source) return obtained(source, target, outbound, headers, services)
  const credential = call.caller.directKey ?? target.key?.value
  const adding = add(credential, target, outbound, headers)
  const authorized: Authorized = { credential, source: undefined }
  return adding ? adding.then(() => authorized) : authorized
}

async function obtained(
  source: CredentialSource,
  target: Target,
  outbound: Outbound,
  headers: Record<string, string>,
  services: Services,
): Promise<Authorized> {
  const credential = await services.credentials.get(source, target.settings)
  await add(credential, target, outbound, headers)
  return { credential, source }
}

function add(
  credential: Secret | undefined,
  target: Target,
  { method, url, body }: Outbound,
  headers: Record<string, string>,
): void | Promise<void> {
  if (!credential || credential.isEmpty) return undefined
  const { provider } = target
  return provider.authorize({ method, url, body, headers }, credential.reveal(), Date.now())
}
