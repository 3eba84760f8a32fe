import type { Elysia } from 'elysia'

import { patternProblem } from '#config/apps.ts'
import type { AppRule, UserAgentMatch } from '#config/apps.ts'
import { USER_AGENT_MATCHES } from '#config/schema/client.ts'
import { GatewayError } from '#core/errors.ts'
import type { Agents } from '#pipeline/agents.ts'
import { BUILT_IN_APPS } from '#store/logs-apps.ts'
import type { Mapping, MappingFacts } from '#store/user-agents.ts'

import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { described } from './logs-document.ts'
import { decoded, JSON_HEADERS, logRoutes, notInLog } from './logs-routes.ts'
import { parseJson, readText, requireJson } from './read.ts'

// Which programs callers are, by their user agents. Routes and members are those of Bifrost (as read in November 2026);
// what is configured and built in stands beside what can be changed here.

const maxBodyBytes = 16 * 1024
const maxMappings = 500
const maxPatternChars = 300
const maxAppChars = 60

const path = '/api/logs/user-agent-mappings'
const inPath = /\/user-agent-mappings\/([^/?]+)/
const members = {
  pattern: { type: 'string', minLength: 1, maxLength: maxPatternChars },
  match_type: { type: 'string', enum: USER_AGENT_MATCHES, default: 'contains' },
  app: { type: 'string', minLength: 1, maxLength: maxAppChars },
  is_active: { type: 'boolean', default: true },
}

export function addAgents(app: Elysia, gateway: Gateway): void {
  const { guarded } = logRoutes(gateway)
  const answered = (answer: (agents: Agents, request: Request) => unknown, status = 200) =>
    guarded(async (_, request) => {
      const { agents } = gateway
      // Where a log is kept, these are known.
      if (!agents) throw notInLog('There are no mappings of user agents here.')
      const body = JSON.stringify(await answer(agents, request))
      return new Response(body, { status, headers: JSON_HEADERS })
    })
  app.get(
    path,
    answered((agents) => ({
      mappings: agents.mappings.all().map(shown),
      configured: agents.configured().map(ruleShown),
      built_in: BUILT_IN_APPS.map(ruleShown),
    })),
    described('Which programs callers are, by their user agents, in the order in which it counts'),
  )
  app.post(
    path,
    answered(async (agents, request) => {
      const facts = factsIn(await bodyOf(request))
      const all = agents.mappings.all()
      if (all.length >= maxMappings) {
        const message = `There are ${maxMappings} mappings already, which is as many as there may be.`
        throw new GatewayError('invalid_request', message)
      }
      refuseDouble(all, facts)
      return changed(agents, agents.mappings.add(facts))
    }, 201),
    {
      parse: 'none',
      ...described('Say which program a user agent means; calls from now on have it', [], members),
    },
  )
  app.put(
    `${path}/:id`,
    answered(async (agents, request) => {
      const id = idOf(request)
      const all = agents.mappings.all()
      const last = all.find((one) => one.id === id)
      const facts = factsIn(await bodyOf(request), last)
      refuseDouble(
        all.filter((one) => one !== last),
        facts,
      )
      return changed(agents, agents.mappings.change(id, facts))
    }),
    { parse: 'none', ...described('Change a mapping of a user agent', [], members) },
  )
  app.delete(
    `${path}/:id`,
    answered((agents, request) => {
      if (!agents.mappings.remove(idOf(request))) throw noMapping()
      agents.refresh()
      return { message: 'User agent mapping deleted successfully' }
    }),
    { parse: 'none', ...described('Take a mapping of a user agent out') },
  )
}

function changed(agents: Agents, mapping: Mapping | undefined): object {
  if (!mapping) throw noMapping()
  agents.refresh()
  return shown(mapping)
}

function noMapping(): GatewayError {
  return new GatewayError('route_not_found', 'There is no such mapping of a user agent.', {
    code: 'mapping_not_found',
  })
}

function refuseDouble(others: readonly Mapping[], { pattern, match }: MappingFacts): void {
  if (!others.some((one) => one.pattern === pattern && one.match === match)) return
  throw new GatewayError('idempotency_conflict', 'There is a mapping of this pattern already.', {
    code: 'mapping_exists',
    param: 'pattern',
  })
}

function idOf(request: Request): string {
  return decoded(inPath.exec(request.url)?.[1] ?? '') ?? ''
}

function shown({ id, pattern, match, app, isActive, createdAtMs, updatedAtMs }: Mapping): object {
  return {
    id,
    pattern,
    match_type: match,
    app,
    is_active: isActive,
    created_at: new Date(createdAtMs).toISOString(),
    updated_at: new Date(updatedAtMs).toISOString(),
  }
}

function ruleShown({ pattern, match, app }: AppRule): object {
  return { pattern, match_type: match, app }
}

async function bodyOf(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const headers = headersOf(request)
  requireJson(headers['content-type'])
  return parseJson(await readText(request, headers, maxBodyBytes)).value
}

/** What a body says, the rest as it was. Throws `GatewayError`. */
function factsIn(body: Readonly<Record<string, unknown>>, last?: MappingFacts): MappingFacts {
  const {
    pattern = last?.pattern,
    match_type: match = last?.match ?? 'contains',
    app = last?.app,
    is_active: isActive = last?.isActive ?? true,
  } = body
  for (const name of ['logo', 'logo_mime']) {
    if (body[name]) throw wrong(name, 'cannot be kept here')
  }
  const isMatch = (given: unknown): given is UserAgentMatch =>
    (USER_AGENT_MATCHES as readonly unknown[]).includes(given)
  if (!isText(pattern, maxPatternChars)) {
    throw wrong('pattern', `must be a text of 1 to ${maxPatternChars} characters`)
  }
  if (!isMatch(match)) throw wrong('match_type', `must be one of ${USER_AGENT_MATCHES.join(', ')}`)
  const problem = patternProblem(pattern, match)
  if (problem !== undefined) throw wrong('pattern', `cannot be used: ${problem}`)
  if (!isText(app, maxAppChars)) {
    throw wrong('app', `must be a text of 1 to ${maxAppChars} characters`)
  }
  if (typeof isActive !== 'boolean') throw wrong('is_active', 'must be true or false')
  return { pattern, match, app, isActive }
}

function isText(value: unknown, maxChars: number): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= maxChars
}

function wrong(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `'${param}' ${what}.`, { param })
}
