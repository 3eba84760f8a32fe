import { GatewayError } from '#core/errors.ts'
import { hurry, standingOf } from '#lib/threads.ts'
import type { Standing } from '#lib/threads.ts'

import type { ExportQuestion, FromThread, Question } from './logs-schema.ts'
import { thread } from './logs-thread.ts'
import type { LogThread } from './logs-thread.ts'

// The threads that read the log. Calls go first: the usual one works only while a core has nothing else to do, and
// whoever it interrupts it lets go at once. Where no core ever has nothing to do, another one takes over its questions,
// which has its share of the time like everybody else.

export interface Answer {
  readonly text: string
  readonly bytes: Uint8Array<ArrayBuffer> | undefined
}

export interface Readers {
  ask(question: Question | ExportQuestion): Promise<Answer>
  /** The file is another one now. */
  restart(): void
  close(): Promise<void>
}

export const maxAsked = 32
export const askMs = 20_000
/** An idle reader gives its memory back. */
const readerIdleMs = 60_000

/** How often a reader with a question is looked at. */
const lookMs = 100
/** It starves when it wanted a core and had one for less of the time than this, at so many looks in a row. */
const leastShare = 0.2
const starvedLooks = 3
/** For how long nobody tries again whether there is time left over. */
const busyMs = 30_000

export function createReaders(path: string, onDamage: () => void): Readers {
  const patient = createReader(path, true, onDamage)
  const prompt = createReader(path, false, onDamage)
  let busyUntil = -Infinity
  let watching: ReturnType<typeof setInterval> | undefined

  const isBusy = (): boolean => performance.now() < busyUntil

  function watch(): void {
    if (watching !== undefined) return
    let at = performance.now()
    let before = patient.standing()
    let hungry = 0
    watching = setInterval(() => {
      const now = performance.now()
      const standing = patient.standing()
      const isHungry =
        standing?.isRunnable && before && standing.ranMs - before.ranMs < (now - at) * leastShare
      hungry = isHungry ? hungry + 1 : 0
      at = now
      before = standing
      if (hungry >= starvedLooks) {
        busyUntil = now + busyMs
        patient.restart()
      }
      if (patient.asked === 0) rest()
    }, lookMs)
    watching.unref()
  }

  function rest(): void {
    clearInterval(watching)
    watching = undefined
  }

  return {
    async ask(question) {
      if (isBusy()) return await prompt.ask(question)
      watch()
      try {
        return await patient.ask(question)
      } catch (thrown) {
        if (!isBusy()) throw thrown
        return await prompt.ask(question)
      }
    },
    restart() {
      patient.restart()
      prompt.restart()
    },
    async close() {
      rest()
      await Promise.all([patient.close(), prompt.close()])
    },
  }
}

interface Reader extends Readers {
  /** How many questions it has. */
  readonly asked: number
  /** How its thread is getting on; undefined while there is none. */
  standing(): Standing | undefined
}

/** One thread, which is there as long as there is something to ask. */
function createReader(path: string, isPatient: boolean, onDamage: () => void): Reader {
  type Asked = { resolve(answer: Answer): void; reject(error: GatewayError): void }
  const asked = new Map<number, Asked>()
  let worker: LogThread | undefined
  /** Its number, once it has said it. */
  let own: number | undefined
  let seq = 0
  let idle: ReturnType<typeof setTimeout> | undefined

  function answered(message: FromThread): void {
    if (message.kind === 'reading') own = message.thread
    if (message.kind !== 'answer') return
    const asker = asked.get(message.seq)
    asked.delete(message.seq)
    const { text, bytes, failure = '', fault } = message
    if (text !== undefined) asker?.resolve({ text, bytes })
    else if (fault === 'asker') {
      const param = /^'([\w-]+)'/.exec(failure)?.[1]
      asker?.reject(new GatewayError('invalid_request', failure, { param }))
    } else asker?.reject(unavailable(failure))
    if (fault === 'damage') onDamage()
  }

  function drop(why: string): void {
    const last = worker
    worker = undefined
    // What it is at has to come to an end: as long as it reads, the journal of the file grows.
    if (own !== undefined) hurry(own)
    own = undefined
    last?.end()
    for (const asker of asked.values()) asker.reject(unavailable(why))
    asked.clear()
  }

  function rest(): void {
    clearTimeout(idle)
    idle = setTimeout(() => {
      if (asked.size === 0) drop('')
    }, readerIdleMs)
    idle.unref()
  }

  return {
    get asked() {
      return asked.size
    },
    standing: () => (own === undefined ? undefined : standingOf(own)),
    async ask(question) {
      if (asked.size >= maxAsked) throw unavailable('too many questions are waiting')
      worker ??= thread(answered, (why) => {
        worker = undefined
        drop(why)
      })
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      const turn = ++seq
      asked.set(turn, { resolve, reject })
      worker.tell({ kind: 'ask', seq: turn, path, isPatient, question })
      // A question that takes this long is not worth a thread; the next one gets a new one.
      const limit = setTimeout(() => drop('the question took too long'), askMs)
      try {
        return await promise
      } finally {
        clearTimeout(limit)
        rest()
      }
    },
    restart: () => drop('the log began anew'),
    async close() {
      clearTimeout(idle)
      const last = worker
      worker = undefined
      drop('the gateway is shutting down')
      await last?.close()
    },
  }
}

export function unavailable(why: string): GatewayError {
  return new GatewayError(
    'store_unavailable',
    `The log cannot be used at the moment: ${why.slice(0, 200)}.`,
  )
}
