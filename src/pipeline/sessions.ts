/** Which key a session of a caller was served with, so that the provider's cache and its signatures stay valid. */
export interface Sessions {
  /** The key's id; undefined when the session is new or has been forgotten. */
  get(provider: string, session: string, nowMs: number): string | undefined
  /** The first key that served a session stays its key until it has not been used for `ttlMs`. */
  keep(provider: string, session: string, key: string, nowMs: number, ttlMs: number): void
  /** The key failed the session: another one may take over. */
  forget(provider: string, session: string): void
}

const maxSessions = 50_000

interface Kept {
  readonly key: string
  readonly untilMs: number
}

/** Remembers fifty thousand sessions; the one that was not used longest is forgotten first. */
export function createSessions(): Sessions {
  const kept = new Map<string, Kept>()
  const name = (provider: string, session: string): string => `${provider}\n${session}`
  return {
    get(provider, session, nowMs) {
      const found = kept.get(name(provider, session))
      return found && found.untilMs > nowMs ? found.key : undefined
    },
    keep(provider, session, key, nowMs, ttlMs) {
      const place = name(provider, session)
      kept.delete(place)
      if (kept.size >= maxSessions) kept.delete(kept.keys().next().value!)
      kept.set(place, { key, untilMs: nowMs + ttlMs })
    },
    forget(provider, session) {
      kept.delete(name(provider, session))
    },
  }
}

const defaultTtlMs = 3_600_000
const maxTtlMs = 7 * 24 * 3_600_000
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }

/** What a caller says of its session. */
export interface Session {
  readonly id: string
  readonly ttlMs: number
}

/**
 * Reads `x-bf-session-id` and `x-bf-session-ttl` (seconds, or `30m`); an id of over 255 characters is none, and with
 * `x-bf-session-affinity: off` a session is no reason for a key.
 */
export function readSession(headers: Readonly<Record<string, string>>): Session | undefined {
  const id = headers['x-bf-session-id']
  if (headers['x-bf-session-affinity'] === 'off') return undefined
  if (id === undefined || id === '' || id.length > 255) return undefined
  const [, amount, unit = 's'] = /^(\d{1,9})([smh])?$/.exec(headers['x-bf-session-ttl'] ?? '') ?? []
  const ttlMs = amount === undefined ? 0 : Number(amount) * unitMs[unit]!
  return { id, ttlMs: ttlMs > 0 ? Math.min(ttlMs, maxTtlMs) : defaultTtlMs }
}
