import type { Call } from '#core/call.ts'

import type { FailureClass } from './failure.ts'

/** Which key a session of a caller was served with, so that the provider's cache and its signatures stay valid. */
export interface Sessions {
  /** The key's id; undefined when the session is new or has been forgotten. */
  get(provider: string, session: string, nowMs: number): string | undefined
  /** The key that served a session stays its key until it has not been used for `ttlMs`. */
  keep(provider: string, session: string, key: string, nowMs: number, ttlMs: number): void
  /** The key failed the session: another one may take over. Without `key`, whichever it has. */
  forget(provider: string, session: string, key?: string): void
  /** The provider that took a session over from the one it would go to first; undefined when none did. */
  home(session: string, nowMs: number): string | undefined
  /** That provider served the session; undefined: the one it goes to first did. */
  settle(provider: string | undefined, session: string, nowMs: number, ttlMs: number): void
}

const maxSessions = 50_000

interface Kept {
  readonly what: string
  readonly untilMs: number
}

/** Remembers fifty thousand bindings; the one that was not used longest is forgotten first. */
export function createSessions(): Sessions {
  const kept = new Map<string, Kept>()
  const name = (provider: string, session: string): string => `${provider}\n${session}`

  function find(place: string, nowMs: number): string | undefined {
    const found = kept.get(place)
    return found && found.untilMs > nowMs ? found.what : undefined
  }

  function put(place: string, what: string, untilMs: number): void {
    kept.delete(place)
    if (kept.size >= maxSessions) kept.delete(kept.keys().next().value!)
    kept.set(place, { what, untilMs })
  }

  return {
    get: (provider, session, nowMs) => find(name(provider, session), nowMs),
    keep: (provider, session, key, nowMs, ttlMs) =>
      put(name(provider, session), key, nowMs + ttlMs),
    forget(provider, session, key) {
      const place = name(provider, session)
      if (key === undefined || kept.get(place)?.what === key) kept.delete(place)
    },
    // No provider has an empty name.
    home: (session, nowMs) => find(name('', session), nowMs),
    settle(provider, session, nowMs, ttlMs) {
      const place = name('', session)
      if (provider === undefined) kept.delete(place)
      else put(place, provider, nowMs + ttlMs)
    },
  }
}

const defaultTtlMs = 3_600_000
const maxTtlMs = 7 * 24 * 3_600_000
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }
const maxIdLength = 255

/** What a caller says of its session. */
export interface Session {
  /** Of this caller: what another one calls by the same name is another session. */
  readonly id: string
  readonly ttlMs: number
}

/**
 * Headers in which coding agents name the conversation that a request belongs to, as they send them in November 2026:
 * Claude Code ("LLM gateway protocol" of its documentation), Codex (`session_id` until May 2026), opencode for its own
 * service and for others, and Amp.
 */
const agentHeaders = [
  'x-claude-code-session-id',
  'session-id',
  'session_id',
  'x-session-affinity',
  'x-session-id',
  'x-opencode-session',
  'x-amp-thread-id',
] as const

/**
 * Reads `x-bf-session-id` and `x-bf-session-ttl` (seconds, or `30m`). Without the first, what a coding agent calls its
 * session is one. An id of over 255 characters is none, and with `x-bf-session-affinity: off` a session is no reason
 * for a key.
 */
export function readSession({
  headers,
  caller,
}: Pick<Call, 'headers' | 'caller'>): Session | undefined {
  const id = headers['x-bf-session-id'] ?? agentsOwn(headers)
  if (id === undefined || id === '' || id.length > maxIdLength) return undefined
  if (headers['x-bf-session-affinity'] === 'off') return undefined
  const [, amount, unit = 's'] = /^(\d{1,9})([smh])?$/.exec(headers['x-bf-session-ttl'] ?? '') ?? []
  const ttlMs = amount === undefined ? 0 : Number(amount) * unitMs[unit]!
  return {
    id: `${caller.owner?.virtualKeyId ?? ''}\n${id}`,
    ttlMs: ttlMs > 0 ? Math.min(ttlMs, maxTtlMs) : defaultTtlMs,
  }
}

function agentsOwn(headers: Readonly<Record<string, string>>): string | undefined {
  for (const name of agentHeaders) {
    const id = headers[name]
    if (id !== undefined && id !== '' && id.length <= maxIdLength) return id
  }
  return undefined
}

/**
 * The session whose provider may change: that of a call which names a model and no provider, and which no routing rule
 * has sent somewhere. What the caller or the operator decides is not for a session to change.
 */
export function roamingSession(call: Call): Session | undefined {
  const { modelRequested, provider, rule } = call
  if (rule || modelRequested === undefined || modelRequested.startsWith(`${provider}/`)) {
    return undefined
  }
  return readSession(call)
}

/** Whether a failure of this class says that the session had better be served with another key. */
export function endsSession(what: FailureClass): boolean {
  switch (what) {
    case 'auth':
    case 'permission':
    case 'quota':
    case 'rate_limit':
    case 'overloaded':
    case 'server':
    case 'timeout':
    case 'network':
    case 'malformed':
      return true
    case 'caller':
    case 'context_length':
    case 'content_policy':
    case 'unsupported':
    case 'not_found':
    case 'cancelled':
    case 'gateway':
      return false
  }
}
