import { buildApps } from './apps.ts'
import { isHeaderName } from './headers.ts'
import { below } from './problem.ts'
import type { Report } from './problem.ts'
import type { ConfigFile } from './schema/file.ts'
import type { LogSettings } from './snapshot.ts'

const dayMs = 86_400_000

/** What is kept of calls, from `client` and `logs_store`, with every default filled in. */
export function buildLogs(
  { client = {}, logs_store: store = {} }: ConfigFile,
  report: Report,
): LogSettings {
  const list = '/client/logging_headers'
  const headers = (client.logging_headers ?? []).map((name, i) => {
    if (!isHeaderName(name)) report.problem(below(list, i), 'is not a valid header name')
    return name.toLowerCase()
  })
  // In Bifrost 0 switches the store's own number off, and the client's counts.
  const days = store.retention_days || client.log_retention_days || 365
  return {
    enabled: (client.enable_logging ?? true) && (store.enabled ?? true),
    keepsContent: !(client.disable_content_logging ?? false),
    allowContentOverride: client.allow_per_request_content_storage_override ?? false,
    headers,
    apps: buildApps(client, report),
    maxAgeMs: days * dayMs,
    maxBytes: Math.floor((store.max_size_mb ?? 1024) * 1024 ** 2),
    maxBodyChars: Math.floor((store.max_body_kb ?? 256) * 1024),
  }
}
