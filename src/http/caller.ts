import type { ClientSettings } from '#config/snapshot.ts'
import type { Caller } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { Secret } from '#lib/secret.ts'

const nobody: Caller = { directKey: undefined, azureEndpoint: undefined }

/** Virtual keys look like this; they are never sent to a provider. */
const virtualKeyPrefix = 'sk-bf-'

/**
 * Who calls. Without `allow_direct_keys` whatever key an SDK sends is ignored, so that `dummy-key` works.
 * Throws 400 when a header that the configuration requires is missing.
 */
export function readCaller(
  headers: Readonly<Record<string, string>>,
  client: ClientSettings,
  apiVersion?: string,
): Caller {
  for (const name of client.requiredHeaders) {
    if (headers[name.toLowerCase()] === undefined) {
      throw new GatewayError('header_required', `Header '${name}' is required.`)
    }
  }
  if (!client.allowDirectKeys) return nobody
  const key =
    bearer(headers['authorization']) ??
    direct(headers['x-api-key']) ??
    direct(headers['x-goog-api-key']) ??
    direct(headers['api-key'])
  return {
    directKey: key === undefined ? undefined : new Secret(key),
    azureEndpoint: headers['x-bf-azure-endpoint'],
    azureApiVersion: apiVersion,
  }
}

function bearer(value: string | undefined): string | undefined {
  return direct(value?.replace(/^bearer(?:\s+|$)/i, ''))
}

function direct(value: string | undefined): string | undefined {
  const key = value?.trim()
  if (key === undefined || key === '' || key.toLowerCase().startsWith(virtualKeyPrefix)) {
    return undefined
  }
  return key
}
