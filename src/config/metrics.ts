import type { Plugins } from './plugins.ts'
import { below } from './problem.ts'
import type { Report } from './problem.ts'
import type { ConfigFile } from './schema/file.ts'
import type { MetricsSettings, PrometheusLabel } from './snapshot.ts'

/** The `metrics` section with every default filled in. */
export function buildMetrics(
  config: NonNullable<ConfigFile['metrics']>,
  { isTelemetryOff, push }: Plugins,
): MetricsSettings {
  return {
    enabled: config.enabled ?? !isTelemetryOff,
    open: config.open ?? false,
    maxLabelSets: config.max_label_sets ?? 500,
    overheadComponents: config.overhead_components ?? false,
    push,
  }
}

/** Labels that the gateway's own metrics have; a second one of the same name would make the text unreadable. */
const taken = new Set([
  ...['provider', 'model', 'alias', 'method', 'selected_key_id', 'selected_key_name'],
  ...['fallback_index', 'status_code', 'error_type', 'is_success', 'le', 'path', 'status'],
  ...['virtual_key_id', 'virtual_key_name', 'team_id', 'team_name', 'customer_id', 'customer_name'],
  ...['routing_engine_used', 'routing_rule_id', 'routing_rule_name', 'overhead_component'],
])

const listPointer = '/client/prometheus_labels'

/** Labels by the names they have in headers; Prometheus knows fewer characters than headers do. */
export function buildLabels(names: readonly string[], report: Report): PrometheusLabel[] {
  const labels = new Map<string, PrometheusLabel>()
  for (const [i, written] of names.entries()) {
    const header = written.toLowerCase()
    const name = header.replace(/[^a-z0-9_]/g, '_')
    if (!/^[a-z_][\w.-]{0,99}$/.test(header) || name.startsWith('__') || taken.has(name)) {
      report.problem(below(listPointer, i), 'cannot be a label of its own')
      continue
    }
    // Not every client can send underscores.
    const spellings = [...new Set([header, header.replaceAll('_', '-')])]
    labels.set(name, {
      name,
      headers: ['x-bf-dim-', 'x-bf-prom-'].flatMap((prefix) =>
        spellings.map((spelling) => prefix + spelling),
      ),
    })
  }
  return [...labels.values()]
}
