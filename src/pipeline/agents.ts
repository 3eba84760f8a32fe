import type { AppRule } from '#config/apps.ts'
import type { Logger } from '#core/log.ts'
import { createApps } from '#store/logs-apps.ts'
import type { AppOf } from '#store/logs-apps.ts'
import type { LogStore } from '#store/logs.ts'
import type { MappingStore } from '#store/user-agents.ts'

// Which programs callers are: what operators said at run time comes first, then the configuration, and last what the
// log knows by itself. The log is told, and finds out where rows are written.

export interface Agents {
  readonly mappings: MappingStore
  configured(): readonly AppRule[]
  /** Which program a user agent is, as far as the log has been told. */
  readonly appOf: AppOf
  /** Tells the log what holds now. Never throws. */
  refresh(): void
}

export interface AgentsOptions {
  readonly mappings: MappingStore
  readonly configured: () => readonly AppRule[]
  readonly logs: Pick<LogStore, 'setApps'>
  readonly log: Logger
}

export function createAgents({ mappings, configured, logs, log }: AgentsOptions): Agents {
  const rules = (): readonly AppRule[] => {
    const own = mappings.all().filter(({ isActive }) => isActive)
    return [...own.map(({ pattern, match, app }) => ({ pattern, match, app })), ...configured()]
  }
  let current: readonly AppRule[] = []
  let appOf: AppOf | undefined
  return {
    mappings,
    configured,
    appOf: (userAgent) => (appOf ??= createApps(current))(userAgent),
    refresh() {
      try {
        current = rules()
      } catch (thrown) {
        log.warn('the mappings of user agents cannot be read; only those of the file count', {
          cause: thrown,
        })
        current = configured()
      }
      appOf = undefined
      logs.setApps(current)
    },
  }
}
