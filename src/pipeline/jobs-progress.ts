/** The events of a job that runs here, for those who follow it. */
export interface Progress {
  /** Which start of the job they are of. */
  readonly run: number
  /** Each without the empty line at its end. */
  readonly events: readonly string[]
  readonly isOver: boolean
  add(event: string): void
  end(): void
  /** Resolves at the next event or at the end, or after `ms`. */
  changed(ms: number): Promise<void>
}

export function createProgress(run: number): Progress {
  const events: string[] = []
  const followers = new Set<() => void>()
  let isOver = false
  const tell = (): void => {
    for (const follower of followers) follower()
  }
  return {
    run,
    events,
    get isOver() {
      return isOver
    },
    add(event) {
      events.push(event)
      tell()
    },
    end() {
      isOver = true
      tell()
    },
    changed(ms) {
      if (isOver) return Promise.resolve()
      const { promise, resolve } = Promise.withResolvers<void>()
      const done = (): void => {
        clearTimeout(timer)
        followers.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      followers.add(done)
      return promise
    },
  }
}

/** The events of a text that may end in the middle of one, and what is left over. Comments are none. */
export function splitEvents(text: string): { readonly events: string[]; readonly rest: string } {
  const parts = text.split(/\r?\n\r?\n/)
  const rest = parts.pop() ?? ''
  return { events: parts.map(plain).filter((event) => event !== ''), rest }
}

function plain(event: string): string {
  if (!/^(?::|id\b)|\r/m.test(event)) return event
  return event
    .split(/\r?\n/)
    .filter((line) => !/^(?::|id\b)/.test(line))
    .join('\n')
}
