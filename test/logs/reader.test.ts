import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createReaders } from '#store/logs-reader.ts'
import { createLogWriter } from '#store/logs-writer.ts'

import { row } from './row.ts'

test('the end of a reader is not that of the one that takes its place', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'asbru-readers-'))
  const path = join(dir, 'logs.db')
  createWritten(path)
  const readers = createReaders(path, () => undefined)
  const question = { kind: 'one', id: 'a' } as const
  try {
    await readers.ask(question)
    for (let n = 0; n < 10; n++) {
      const cut = readers.ask(question)
      readers.restart()
      // The old thread says that it has ended while the new one starts.
      const next = readers.ask(question)
      expect(await cut.then(String, String)).toContain('the log began anew')
      expect((await next).text).toContain('"a"')
    }
  } finally {
    await readers.close()
    rmSync(dir, { recursive: true, force: true })
  }
})

function createWritten(path: string): void {
  const limits = { maxAgeMs: 1e12, maxBytes: 1e9, maxBodyChars: 100_000 }
  const writer = createLogWriter({ path, limits, onAside: () => undefined })
  writer.write([row('a')], false)
  writer.close()
}
