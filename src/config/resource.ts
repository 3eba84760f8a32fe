import type { Context } from './context.ts'

const variable = 'OTEL_RESOURCE_ATTRIBUTES'

/**
 * What the environment says of the process in whose name traces and metrics are sent: `key=value,…`, values
 * percent-encoded. The service has its name from the configuration. A text that is not so counts as none at all, as OpenTelemetry's specification of the variable has it.
 */
export function resourceAttributes({ env, report }: Context): Readonly<Record<string, string>> {
  const attributes: Record<string, string> = {}
  for (const pair of (env[variable] ?? '').split(',')) {
    if (pair.trim() === '') continue
    const at = pair.indexOf('=')
    const [key, value] = at < 1 ? [] : [decoded(pair.slice(0, at)), decoded(pair.slice(at + 1))]
    if (!key || value === undefined) {
      report.warn(
        '',
        `environment variable ${variable} is not "key=value,key=value"; it has no effect`,
      )
      return {}
    }
    if (key !== 'service.name') attributes[key] = value
  }
  return attributes
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.trim())
  } catch {
    return undefined
  }
}
