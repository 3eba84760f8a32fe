import type { PushSettings } from '#config/snapshot.ts'
import type { Logger } from '#core/log.ts'
import { runErrand } from '#pipeline/errand.ts'

/** Tells somebody the metrics again and again, while the configuration names somebody. */
export interface Push {
  /** Takes up what the configuration says now. */
  refresh(): void
  /** Tells them once more, as far as that takes no longer than a moment, and stops. */
  close(): Promise<void>
}

/** Who is told, how often and how. */
export interface Pushing {
  readonly everyMs: number
  /** Undefined when it was taken, else why it was not. */
  push(): Promise<string | undefined>
}

const closeMs = 2000
const silenceMs = 60_000

export function createPush(settings: () => Pushing | undefined, name: string, log: Logger): Push {
  let timer: ReturnType<typeof setTimeout> | undefined
  let everyMs: number | undefined
  let pushing: Promise<void> | undefined
  let complainedAt = -Infinity
  let isClosed = false

  function plan(): void {
    clearTimeout(timer)
    timer = undefined
    if (everyMs === undefined || isClosed) return
    timer = setTimeout(() => {
      // The next turn is counted from the end of this one, so that a slow gateway gets no second visitor.
      void tell().finally(plan)
    }, everyMs)
    timer.unref()
  }

  function tell(): Promise<void> {
    pushing ??= once().finally(() => {
      pushing = undefined
    })
    return pushing
  }

  async function once(): Promise<void> {
    const why = await settings()?.push()
    if (why === undefined) return
    const now = performance.now()
    if (now - complainedAt < silenceMs) return
    complainedAt = now
    log.warn(`${name} did not take the metrics`, { why })
  }

  return {
    refresh() {
      const next = settings()?.everyMs
      if (next === everyMs) return
      everyMs = next
      plan()
    },
    async close() {
      isClosed = true
      clearTimeout(timer)
      if (everyMs === undefined) return
      await Promise.race([pushing, Bun.sleep(closeMs)])
      await Promise.race([tell(), Bun.sleep(closeMs)])
    },
  }
}

const timeoutMs = 10_000
const maxAnswerBytes = 64 * 1024

/** Replaces what a Prometheus push gateway has of this instance. */
export async function toGateway(to: PushSettings, text: string): Promise<string | undefined> {
  const path = `/metrics/job${segment(to.jobName)}/instance${segment(to.instance)}`
  const headers: Record<string, string> = { 'content-type': 'text/plain; version=0.0.4' }
  if (to.login) {
    const login = `${to.login.username.reveal()}:${to.login.password.reveal()}`
    headers['authorization'] = `Basic ${Buffer.from(login).toString('base64')}`
  }
  try {
    const { status } = await runErrand(
      {
        ...{ url: to.url + path, method: 'PUT', headers, body: text },
        ...{ timeoutMs, maxBytes: maxAnswerBytes },
      },
      'The push gateway',
    )
    return status >= 200 && status < 300 ? undefined : `it answered with status ${status}`
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
}

/** A value that a path cannot hold is written in another alphabet, as the push gateway has it. */
function segment(value: string): string {
  if (!value.includes('/') && value !== '.' && value !== '..')
    return `/${encodeURIComponent(value)}`
  return `@base64/${Buffer.from(value).toString('base64url')}`
}
