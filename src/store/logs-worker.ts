import { giveWay, yieldTurn } from '#lib/threads.ts'

import type { WrittenPage } from './logs-export.ts'
import { isDamage } from './logs-file.ts'
import { BadFilter } from './logs-filter.ts'
import { createLogReader } from './logs-query.ts'
import type { FromThread, ToThread } from './logs-schema.ts'
import { createLogWriter } from './logs-writer.ts'
import type { LogWriter } from './logs-writer.ts'

// The thread that writes the log, and the threads that read it: one file, which the executable holds beside its entry.

declare const self: Worker

const tidyEveryMs = 60_000
const pauseMs = 10
/** Until it is tried again to leave nothing of what was deleted. */
const tracesMs = 1000
/** The part of a core that tidying takes when there is much to tidy. What has to make room for rows does not wait for it. */
const tidyShare = 0.05

let writer: LogWriter | undefined
let reader: ReturnType<typeof createLogReader> | undefined
let rounds: ReturnType<typeof setInterval> | undefined

function say(message: FromThread): void {
  self.postMessage(message, [])
}

function why(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

let next: ReturnType<typeof setTimeout> | undefined

/** Goes on until nothing is too old or too much, and lets rows be written between. */
function tidy(): void {
  next = undefined
  try {
    const from = performance.now()
    if (!writer?.tidy()) {
      if (writer?.hasTraces) next = setTimeout(tidy, tracesMs)
      return
    }
    const tookMs = performance.now() - from
    next = setTimeout(tidy, Math.max(pauseMs, tookMs / tidyShare))
  } catch {
    // What is too much now is still too much later, and a file that cannot be used is found out by the next batch.
  }
}

self.onmessage = ({ data }: MessageEvent<ToThread>): void => {
  switch (data.kind) {
    case 'write':
      if (writer) writer.setLimits(data.limits)
      else {
        const { path, limits } = data
        writer = createLogWriter({
          path,
          limits,
          pause: yieldTurn,
          onAside: (aside, reason) => say({ kind: 'aside', path: aside, why: reason }),
        })
        rounds = setInterval(() => (next ??= setTimeout(tidy)), tidyEveryMs)
      }
      return
    case 'secrets':
      writer?.setSecrets(data.secrets)
      return
    case 'apps':
      writer?.setApps(data.rules)
      return
    case 'batch': {
      const { seq } = data
      try {
        const told = writer?.take(data, data.told) ?? []
        say({ kind: 'batch', seq, written: data.count, told, failure: undefined })
        if (writer?.isBehind) next ??= setTimeout(tidy, pauseMs)
      } catch (thrown) {
        say({ kind: 'batch', seq, written: 0, told: [], failure: why(thrown) })
      }
      return
    }
    case 'change': {
      const { seq, change } = data
      try {
        const count = writer?.change(change) ?? 0
        say({ kind: 'changed', seq, count, failure: undefined })
        if (writer?.hasTraces) next ??= setTimeout(tidy, tracesMs)
      } catch (thrown) {
        say({ kind: 'changed', seq, count: 0, failure: why(thrown) })
      }
      return
    }
    case 'inspect':
      try {
        writer?.inspect()
      } catch {
        // What cannot be looked at cannot be written either, as the next batch finds out.
      }
      return
    case 'ask': {
      const { seq } = data
      try {
        if (!reader) {
          const thread = giveWay(data.isPatient)
          if (thread !== undefined) say({ kind: 'reading', thread })
          reader = createLogReader(data.path)
        }
        const found = reader.ask(data.question)
        const fine = { kind: 'answer', seq, failure: undefined, fault: undefined } as const
        if (data.question.kind === 'export') {
          const { alone: bytes, ...page } = found as WrittenPage
          const text = JSON.stringify(page)
          self.postMessage({ ...fine, text, bytes }, bytes ? [bytes.buffer] : [])
        } else say({ ...fine, text: JSON.stringify(found) })
      } catch (thrown) {
        const isAskers = thrown instanceof BadFilter
        const fault = isAskers ? 'asker' : isDamage(thrown) ? 'damage' : 'store'
        // Opened anew next time: the file may have been replaced.
        if (!isAskers) {
          reader?.close()
          reader = undefined
        }
        say({ kind: 'answer', seq, text: undefined, failure: why(thrown), fault })
      }
      return
    }
    case 'close':
      clearInterval(rounds)
      clearTimeout(next)
      try {
        writer?.close()
        reader?.close()
      } catch {
        // Whoever opens the file next finds its journal beside it, which is as good.
      }
      say({ kind: 'closed' })
      self.onmessage = null
  }
}
