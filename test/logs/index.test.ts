import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLogger } from '#core/log.ts'
import type { LogRow } from '#store/logs-schema.ts'
import { createLogWriter } from '#store/logs-writer.ts'
import type { LogWriter } from '#store/logs-writer.ts'
import { createLogStore } from '#store/logs.ts'

import { row } from './row.ts'
import { numbersWith } from './words.ts'

const limits = { maxAgeMs: 1e12, maxBytes: 1e9, maxBodyChars: 100_000 }

interface Rig extends Disposable {
  readonly path: string
  open(): LogWriter
  /** The rows that the index has for a word. */
  indexed(word: string): string[]
}

function rig(): Rig {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-index-'))
  const path = join(dir, 'logs.db')
  const writers: LogWriter[] = []
  return {
    path,
    open() {
      const writer = createLogWriter({ path, limits, onAside: () => undefined })
      writers.push(writer)
      return writer
    },
    indexed(word) {
      using sqlite = new Database(path, { readonly: true })
      const find = sqlite.query<{ id: string }, [number]>('SELECT id FROM calls WHERE n = ?1')
      return numbersWith(path, word).map((n) => find.get(n)?.id ?? `gone ${n}`)
    },
    [Symbol.dispose]() {
      for (const writer of writers) writer.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function said(id: string, words: string, answer?: string): LogRow {
  const request = JSON.stringify({ messages: [{ role: 'user', content: words }] })
  return row(id, { asked: words, request, ...(answer !== undefined && { answer }) })
}

const answered = (words: string): string =>
  JSON.stringify({ choices: [{ message: { role: 'assistant', content: words } }] })

test('words wait until there are many, until somebody asks, or until the end', () => {
  using own = rig()
  const writer = own.open()
  writer.write([said('a', 'violet')], false)
  expect(own.indexed('violet')).toEqual([])
  expect(writer.change({ kind: 'index' })).toBe(1)
  expect(own.indexed('violet')).toEqual(['a'])
  expect(writer.change({ kind: 'index' })).toBe(0)

  const many = Array.from({ length: 2047 }, (_, i) => said(`many-${i}`, 'crimson'))
  writer.write(many, false)
  expect(own.indexed('crimson')).toEqual([])
  writer.write([said('last', 'crimson')], false)
  expect(own.indexed('crimson')).toHaveLength(2047)
  expect(writer.change({ kind: 'index' })).toBe(1)
  expect(own.indexed('crimson')).toHaveLength(2048)
  expect(own.indexed('violet')).toEqual(['a'])

  writer.write([said('b', 'ochre')], false)
  writer.close()
  expect(own.indexed('ochre')).toEqual(['b'])
})

test('words of an hour ago do not wait for others, or they would go late', () => {
  using own = rig()
  const writer = own.open()
  const atMs = Date.now()
  writer.write([{ ...said('a', 'violet'), atMs }], false)
  writer.write([{ ...said('b', 'ochre'), atMs: atMs + 3_500_000 }], false)
  expect(own.indexed('violet')).toEqual([])
  writer.write([{ ...said('c', 'ochre'), atMs: atMs + 3_700_000 }], false)
  expect(own.indexed('violet')).toEqual(['a'])
  expect(own.indexed('ochre')).toEqual(['b'])
})

test('much that was said does not wait for many rows', () => {
  using own = rig()
  const writer = own.open()
  const long = 'indigo '.repeat(1000)
  writer.write([said('first', long)], false)
  for (let n = 1; own.indexed('indigo').length === 0 && n < 1000; n++) {
    writer.write([said(`long-${n}`, long)], false)
  }
  expect(own.indexed('indigo').length).toBeWithin(100, 999)
})

test('words that waited when the process ended are found again in the rows', () => {
  using own = rig()
  const killed = own.open()
  killed.write(
    [
      said('asked', 'a turquoise question', answered('a magenta answer')),
      row('cut', { asked: 'scarlet', request: '{"messages":[{"role":"user","content":"scar' }),
      row('nothing'),
    ],
    false,
  )
  const next = own.open()
  next.write([said('later', 'turquoise too')], false)
  expect(next.change({ kind: 'index' })).toBe(4)
  expect(own.indexed('turquoise')).toEqual(['asked', 'later'])
  expect(own.indexed('magenta')).toEqual(['asked'])
  expect(own.indexed('scarlet')).toEqual(['cut'])
  // Once.
  expect(own.open().change({ kind: 'index' })).toBe(0)
})

test('a row that is taken out leaves no words behind, also when they were still waiting', () => {
  using own = rig()
  const writer = own.open()
  writer.write([said('a', 'amber jade'), said('b', 'amber')], false)
  expect(writer.change({ kind: 'delete', ids: ['a'] })).toBe(1)
  writer.write([said('c', 'amber')], false)
  writer.change({ kind: 'index' })
  expect(numbersWith(own.path, 'amber')).toEqual([2, 3])
  expect(numbersWith(own.path, 'jade')).toEqual([])
  writer.close()
  expect(readFileSync(own.path).includes('jade')).toBe(false)
})

test('rows that go by their age take their words with them, also those that wait', () => {
  using own = rig()
  const writer = own.open()
  writer.write([said('older', 'sepia')], false)
  writer.change({ kind: 'index' })
  writer.write([said('old', 'sepia')], false)
  writer.setLimits({ ...limits, maxAgeMs: -1 })
  while (writer.tidy());
  expect(numbersWith(own.path, 'sepia')).toEqual([])
  writer.setLimits(limits)
  writer.write([said('new', 'sepia')], false)
  writer.change({ kind: 'index' })
  expect(numbersWith(own.path, 'sepia')).toEqual([3])
})

test('a search finds what was said the moment before', async () => {
  using own = rig()
  const log = createLogger({ level: 'error', style: 'json', write: () => undefined })
  const store = createLogStore({ path: own.path, limits, log })
  try {
    for (let n = 0; n < 5; n++) {
      store.add(said(`now-${n}`, `emerald ${n}`))
      const found = await store.ask({ kind: 'list', filters: { content_search: 'emerald' } })
      expect((JSON.parse(found) as { logs: unknown[] }).logs).toHaveLength(n + 1)
    }
    store.add(said('exported', 'cobalt'))
    const page = await store.export({
      kind: 'export',
      format: 'ndjson',
      filters: { content_search: 'cobalt' },
      after: undefined,
      into: new SharedArrayBuffer(4096),
    })
    expect(new TextDecoder().decode(page.bytes)).toContain('"id":"exported"')
  } finally {
    await store.close()
  }
})
