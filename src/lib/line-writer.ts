/** Beyond this much unread output, lines are dropped: a stuck terminal must not fill the memory. */
const maxPendingBytes = 8 * 1024 * 1024

export interface LineWriter {
  /** Takes a finished line; it leaves with the others of this turn of the event loop. */
  readonly write: (line: string) => void
  /** Writes one record whatever the log level. */
  always(record: Readonly<Record<string, unknown>>, style: 'json' | 'pretty'): void
  /** Resolves when all that was taken has been handed to the system. */
  flush(): Promise<void>
}

/** Where lines go; both may fail at once or later. */
export interface LineSink {
  write(text: string): number | Promise<number>
  flush(): number | Promise<number>
}

/** Collects lines for standard output and writes them once per turn. Never throws, whoever has closed the pipe. */
export function createLineWriter(sink: LineSink = Bun.stdout.writer()): LineWriter {
  let pending: string[] = []
  /** Of the lines that wait for this turn's end. */
  let waitingBytes = 0
  /** Of all lines that have not left. */
  let pendingBytes = 0
  let dropped = 0
  let scheduled = false
  let writing: Promise<unknown> = Promise.resolve()

  const drain = (): void => {
    scheduled = false
    if (pending.length === 0) return
    const lines = pending.join('')
    pending = []
    const size = waitingBytes
    waitingBytes = 0
    try {
      writing = Promise.all([sink.write(lines), sink.flush()]).then(
        () => (pendingBytes -= size),
        () => (pendingBytes -= size),
      )
    } catch {
      // The reader of our output has gone; there is nobody to tell.
      pendingBytes -= size
    }
  }
  const write = (line: string): void => {
    if (pendingBytes > maxPendingBytes) {
      dropped++
      return
    }
    if (dropped > 0) {
      pending.push(
        `${JSON.stringify({ level: 'warn', message: `${dropped} log lines dropped` })}\n`,
      )
      dropped = 0
    }
    pending.push(line)
    waitingBytes += line.length
    pendingBytes += line.length
    if (!scheduled) {
      scheduled = true
      setImmediate(drain)
    }
  }
  return {
    write,
    always(record, style) {
      if (style === 'json') {
        write(`${JSON.stringify(record)}\n`)
        return
      }
      const { message, time: _, level: __, ...rest } = record
      const lines = Object.entries(rest).map(
        ([key, value]) => `  ${key.padEnd(10)} ${show(value)}\n`,
      )
      write(`${String(message)}\n${lines.join('')}`)
    },
    async flush() {
      drain()
      await writing
    },
  }
}

function show(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([key, own]) => `${key} (${String(own)})`)
    .join(', ')
}
