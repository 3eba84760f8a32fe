import type { Database } from 'bun:sqlite'
import { existsSync } from 'node:fs'

import type { AppRule } from '#config/apps.ts'

import { createApps } from './logs-apps.ts'
import { Batch } from './logs-batch.ts'
import { applyChange } from './logs-change.ts'
import type { Change } from './logs-change.ts'
import {
  bytesOfRow,
  emptyJournal,
  isDamage,
  isPassing,
  layAside,
  OldLayout,
  openLog,
  sizeOf,
} from './logs-file.ts'
import { openInsertion } from './logs-insert.ts'
import type { Insertion } from './logs-insert.ts'
import { ParcelReader } from './logs-parcel.ts'
import type { Parcel } from './logs-parcel.ts'
import { removeOldest, removeRows } from './logs-remove.ts'
import type { LogLimits, LogRow } from './logs-schema.ts'
import { secretsOf } from './logs-secrets.ts'
import type { Secrets } from './logs-secrets.ts'
import { refreshCosts } from './logs-segments.ts'

// Writes `logs.db` and keeps it within bounds. Runs in a thread of its own, where waiting for a disk hurts nobody.

export interface LogWriter {
  /** Writes rows in one transaction. Throws when the file cannot be used; then none of them is there. */
  take(parcel: Parcel, isTold: boolean): readonly string[]
  /** The same for rows that come from no other thread. */
  write(rows: readonly LogRow[], isTold: boolean): readonly string[]
  /** Changes rows that are there and returns how many. Throws when the file cannot be used. */
  change(change: Change): number
  setLimits(limits: LogLimits): void
  setSecrets(secrets: readonly string[]): void
  /** Which programs callers are, before the built-in rules. */
  setApps(rules: readonly AppRule[]): void
  /** Removes one slice of what is too old or too much; whether there may be more. */
  tidy(): boolean
  /** Whether more is too old or too much than there was time for when rows were written last. */
  readonly isBehind: boolean
  /** Whether what was deleted is still in the journal, because somebody reads that. Tidying tries again. */
  readonly hasTraces: boolean
  /** Looks at the file itself, past all that is remembered of it; one that is damaged is moved aside. */
  inspect(): void
  close(): void
}

export interface LogWriterOptions {
  readonly path: string
  readonly limits: LogLimits
  /** The file could not be gone on with; it lies at `path` now and a new one is in its place. */
  readonly onAside: (path: string, why: string) => void
  readonly now?: () => number
  /** Called every few rows of what is not urgent, so that other threads may have this one's core. */
  readonly pause?: () => void
}

const maxKnownSecrets = 200
/** A millisecond's work: threads that wake up meanwhile may have to wait for it. */
const rowsInSlice = 50
const pagesInSlice = 500
const segmentsInSlice = 2
/** More than a batch adds goes before it, so that a file that is full does not grow, however busy the times are. */
const roomShare = 1.6
const slicesPerShrinking = 16
/** So much of a file may be free before it gets smaller. */
const looseShare = 0.2
/** Rows that stand behind younger ones wait for these, unless they are older by so much. */
const disorderMs = 3_600_000
/** Of what was tidied away, so many bytes are remembered for the rows that come. */
const maxRoom = 16 * 1024 * 1024
/** A batch of so many is urgent: whoever lets others go first gets little of a core that is always wanted. */
const manyRows = 500
/** After room was made there is some left, so that it need not be made for every batch. */
const roomFactor = 0.95
/** So much of what a file may take is used at most when there is nothing to tidy; the rest is for its journal. */
const usualShare = roomFactor * 0.9
/** With its words and its places in the indexes: more than any row takes beside what was said in it. */
const mostBytesOfRow = 8192
/** In UTF-8, and once more as words. */
const mostBytesOfChar = 6

interface Tidied {
  readonly hasMore: boolean
  readonly freed: number
}

const never = (): void => undefined

const oldest = `SELECT n, at_ms FROM calls ORDER BY n LIMIT ?1`

export function createLogWriter(options: LogWriterOptions): LogWriter {
  const { path, onAside, now = Date.now, pause = never } = options
  let { limits } = options
  let open: Database | undefined
  let insertion: Insertion | undefined
  let version = 0
  let configured: readonly string[] = []
  let appOf = createApps([])
  const known = new Map<string, Secrets>()
  let slicesSince = 0
  let isBehind = false
  let hasTraces = false
  /** Bytes that came free in the file, and nothing was written in their place. */
  let room = 0
  /** Bytes that can be written before it has to be looked whether that is too much. */
  let slack = 0

  function ready(): Database {
    if (open) return open
    try {
      open = openLog(path, limits.maxBytes)
    } catch (thrown) {
      if (!isDamage(thrown) && !(thrown instanceof OldLayout)) throw thrown
      moveAside(thrown)
      open = openLog(path, limits.maxBytes)
    }
    return open
  }

  function shut(): void {
    forget()
    room = 0
    slack = 0
    open?.close()
    open = undefined
  }

  /** What is remembered of the file may not be true any more. */
  function forget(): void {
    insertion?.close()
    insertion = undefined
  }

  /** In a transaction: another process may have the same folder, and nobody else writes from here to the end. */
  function inserting(sqlite: Database): Insertion {
    const seen = versionOf(sqlite)
    if (seen !== version) forget()
    version = seen
    return (insertion ??= openInsertion(sqlite))
  }

  function moveAside(thrown: unknown): void {
    shut()
    const aside = layAside(path, thrown instanceof OldLayout ? 'old' : 'damaged')
    onAside(aside, thrown instanceof Error ? thrown.message : String(thrown))
  }

  /** The configured secrets and these: callers come with the same keys again and again. */
  function knownSecrets(secrets: readonly string[]): Secrets {
    const name = secrets.join('\n')
    let found = known.get(name)
    if (!found) {
      if (known.size >= maxKnownSecrets) known.clear()
      found = secretsOf([...configured, ...secrets])
      known.set(name, found)
    }
    return found
  }

  /** Removes one slice; whether there may be more, and how many bytes came free in the file. */
  function tidy(pauses: () => void): Tidied {
    const sqlite = ready()
    const size = sizeOf(sqlite, path)
    const excess = size.used - limits.maxBytes * usualShare
    const isLarge = size.file > limits.maxBytes && excess > 0
    const before = now() - limits.maxAgeMs
    const tooMany = isLarge ? Math.ceil(excess / bytesOfRow(sqlite, size.used)) : 0
    const rows = sqlite
      .query<{ n: number; at_ms: number }, [number]>(oldest)
      .all(isLarge ? Math.min(tooMany, rowsInSlice) : rowsInSlice)
    const isDoomed = (row: { at_ms: number }): boolean => isLarge || row.at_ms < before
    // Numbers rise with time, but for calls that took long, and unless the clock was wrong for a while.
    const firstKept = rows.findIndex((row) => !isDoomed(row))
    const first = rows.slice(0, firstKept < 0 ? rows.length : firstKept)
    const others = rows.slice(first.length).filter(({ at_ms }) => at_ms < before - disorderMs)
    const doomed = first.length + others.length
    if (doomed > 0) {
      sqlite
        .transaction(() => {
          takeOut(
            sqlite,
            others.map(({ n }) => n),
          )
          const isSegment = removeOldest(
            sqlite,
            first.map(({ n }) => n),
            pauses,
          )
          if (isSegment) inserting(sqlite).prune(first.at(-1)!.n)
          // What was to be written of the last piece of the index went with its rows.
          if (insertion && first.at(-1)?.n === insertion.last) forget()
        })
        .immediate()
    }
    const hasStale = sqlite.query('SELECT 1 FROM stale LIMIT 1').get() !== null
    if (hasStale) sqlite.transaction(() => refreshCosts(sqlite, segmentsInSlice)).immediate()
    const hasMore = doomed > 0 && (isLarge || doomed === rowsInSlice)
    return { hasMore, freed: Math.max(0, size.used - sizeOf(sqlite, path).used) }
  }

  /** In a transaction: rows that are not the oldest go, and their words, which must not come into the index later. */
  function takeOut(sqlite: Database, numbers: readonly number[]): void {
    if (numbers.length === 0) return
    inserting(sqlite).index()
    forget()
    removeRows(sqlite, numbers)
  }

  /**
   * Makes the file smaller. What is free in it is mostly left there, for the rows that come next. Returns whether there
   * is more to give back.
   */
  function shrink(): boolean {
    const sqlite = ready()
    const size = sizeOf(sqlite, path)
    const isLarge = size.file > limits.maxBytes
    if (!isLarge && size.file - size.used < size.file * looseShare) return false
    sqlite.run(`PRAGMA incremental_vacuum(${pagesInSlice})`)
    // Pages given back leave the file only when the journal is written into it.
    if (isLarge) sqlite.run('PRAGMA wal_checkpoint(TRUNCATE)')
    const left = sizeOf(sqlite, path)
    return left.file > limits.maxBytes && left.free > 0
  }

  /** Makes room for what is written next. What else is too much goes later: somebody may wait for these rows. */
  function makeRoom({ count, chars }: ParcelReader, pauses: () => void): void {
    const most = count * mostBytesOfRow + chars * mostBytesOfChar
    slack -= most
    if (slack > 0) return
    const sqlite = ready()
    const { used } = sizeOf(sqlite, path)
    const least = Math.max(count * bytesOfRow(sqlite, used), chars) * roomShare
    while (room < least) {
      const { hasMore, freed } = tidy(pauses)
      isBehind = hasMore
      if (!isBehind) {
        room = 0
        shrink()
        // Mostly there is a lot, and looking takes as long as to write some rows.
        slack = Math.max(0, limits.maxBytes * usualShare - used - most)
        return
      }
      // Of what lies in a block with younger rows nothing does, and large rows are fewer than a slice.
      room += freed
    }
    // The rows take the place of those that went, so the file can shrink later as well.
    room -= least
  }

  /** Makes everything that is written findable by its words. */
  function index(): number {
    const sqlite = ready()
    try {
      return sqlite.transaction(() => inserting(sqlite).index()).immediate()
    } catch (thrown) {
      forget()
      throw thrown
    }
  }

  function failed(thrown: unknown): void {
    forget()
    if (isDamage(thrown)) moveAside(thrown)
    else if (!isPassing(thrown)) shut()
  }

  /** Whether nothing that is to be taken out is in any text, streams apart: nearly always, and found out at once. */
  function isClean(
    { names, texts, textBytes }: Parcel,
    lists: ParcelReader['secretLists'],
  ): boolean {
    const secrets = knownSecrets(lists.flat())
    return !secrets.isIn(names) && !secrets.isInBytes(Buffer.from(texts), textBytes)
  }

  function take(parcel: Parcel, isTold: boolean): readonly string[] {
    const rows = new ParcelReader(parcel)
    const pauses = rows.count < manyRows ? pause : never
    const areClean = isClean(parcel, rows.secretLists)
    try {
      // First, so that the file is never larger than its bound and one batch.
      makeRoom(rows, pauses)
      const sqlite = ready()
      let lines: readonly string[] = []
      sqlite
        .transaction(() => {
          lines = inserting(sqlite).insert(rows, {
            told: isTold,
            pause: pauses,
            maxBodyChars: limits.maxBodyChars,
            appOf,
            secretsFor: (own, isStream) => (areClean && !isStream ? undefined : knownSecrets(own)),
          })
        })
        .immediate()
      return lines
    } catch (thrown) {
      failed(thrown)
      throw thrown
    }
  }

  return {
    take,
    write(rows, isTold) {
      const batch = new Batch(rows.length)
      for (const row of rows) batch.add(row)
      return take(batch.parcel(), isTold)
    },
    change(change) {
      try {
        if (change.kind !== 'cost') {
          const indexed = index()
          if (change.kind === 'index') return indexed
          forget()
        }
        const count = applyChange(ready(), change)
        // Whoever reads for long is waited for once.
        if (change.kind === 'delete' && count > 0) {
          hasTraces = hasTraces || !emptyJournal(ready(), true)
        }
        return count
      } catch (thrown) {
        if (isDamage(thrown)) moveAside(thrown)
        throw thrown
      }
    },
    setLimits(next) {
      limits = next
      slack = 0
    },
    setSecrets(secrets) {
      configured = secrets
      known.clear()
    },
    setApps(rules) {
      appOf = createApps(rules)
    },
    tidy() {
      try {
        // Somebody has deleted it: what is written to it goes nowhere.
        if (open && !existsSync(path)) shut()
        hasTraces &&= !emptyJournal(ready(), false)
        const { hasMore, freed } = tidy(pause)
        room = hasMore ? Math.min(maxRoom, room + freed) : 0
        isBehind &&= hasMore
        if (hasMore && ++slicesSince < slicesPerShrinking) return true
        slicesSince = 0
        const isLarge = shrink()
        return hasMore || isLarge
      } catch (thrown) {
        failed(thrown)
        throw thrown
      }
    },
    get isBehind() {
      return isBehind
    },
    get hasTraces() {
      return hasTraces
    },
    inspect() {
      shut()
      try {
        const row = ready().query<Record<string, string>, []>('PRAGMA quick_check(1)').get()
        const [found] = Object.values(row ?? {})
        if (found !== 'ok') moveAside(new Error(`it is damaged (${found})`))
        ready()
      } catch (thrown) {
        failed(thrown)
        throw thrown
      }
    },
    close() {
      try {
        if (insertion) index()
      } catch {
        // Whoever opens the file next finds in the rows what was not indexed.
      }
      open?.run('PRAGMA wal_checkpoint(TRUNCATE)')
      shut()
    },
  }
}

/** Another number than before when somebody else has written in the meantime. */
function versionOf(sqlite: Database): number {
  const row = sqlite.query<{ data_version: number }, []>('PRAGMA data_version').get()
  return row?.data_version ?? 0
}
