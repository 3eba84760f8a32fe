import { linearPattern } from '#lib/linear.ts'

import { below } from './problem.ts'
import type { Report } from './problem.ts'
import { USER_AGENT_MATCHES } from './schema/client.ts'
import type { ClientConfig } from './schema/client.ts'

// Which programs callers are: what their user agents look like.

/** How a pattern stands in a user agent; only in regular expressions the case of letters counts. */
export type UserAgentMatch = (typeof USER_AGENT_MATCHES)[number]

/** Callers whose user agent is like this are this program. */
export interface AppRule {
  readonly pattern: string
  readonly match: UserAgentMatch
  readonly app: string
}

/** The rules of `client.user_agent_mappings` that are in use. */
export function buildApps(config: ClientConfig, report: Report): readonly AppRule[] {
  const list = '/client/user_agent_mappings'
  return (config.user_agent_mappings ?? []).flatMap((given, i) => {
    const { pattern, match_type: match = 'contains', app, is_active: isActive = true } = given
    const problem = patternProblem(pattern, match)
    if (problem !== undefined) report.problem(below(list, i, 'pattern'), problem)
    return isActive ? [{ pattern, match, app }] : []
  })
}

/** What is wrong with a pattern; undefined when nothing is. */
export function patternProblem(pattern: string, match: UserAgentMatch): string | undefined {
  if (match !== 'regex') return undefined
  try {
    linearPattern(pattern)
    return undefined
  } catch (thrown) {
    return (thrown as Error).message
  }
}
