import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLive } from '#config/live.ts'
import type { Live } from '#config/live.ts'
import type { Problem } from '#config/problem.ts'
import type { Snapshot } from '#config/snapshot.ts'

import { accepted, load } from './rig.ts'

type Event =
  | { readonly changed: Snapshot; readonly previous: Snapshot }
  | { readonly rejected: readonly Problem[] }

let folder: string
let followed: Live[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'live-'))
})
afterEach(async () => {
  for (const live of followed) live.close()
  followed = []
  await rm(folder, { recursive: true })
})

/** A followed file, and its events one after the other. */
async function follow(
  initialText: string | undefined,
  options: { path?: string; pollMs?: number; refuse?: (snapshot: Snapshot) => void } = {},
) {
  const { path = join(folder, 'config.json'), pollMs = 3_600_000, refuse } = options
  if (initialText !== undefined && options.path === undefined) await writeFile(path, initialText)
  const events: Event[] = []
  const waiting: ((event: Event) => void)[] = []
  const tell = (event: Event) => {
    const next = waiting.shift()
    if (next) next(event)
    else events.push(event)
  }
  let generation = 1
  const live = createLive(accepted(initialText, { generation }), {
    path,
    initialText,
    reload: (text) => load(text, { generation: ++generation }),
    onChange: (changed, previous) => {
      refuse?.(changed)
      tell({ changed, previous })
    },
    onRejected: (rejected) => tell({ rejected }),
    lookMs: 5,
    debounceMs: 5,
    pollMs,
  })
  followed.push(live)
  const next = (): Promise<Event> => {
    const event = events.shift()
    return event ? Promise.resolve(event) : new Promise((resolve) => waiting.push(resolve))
  }
  return { live, path, next, events }
}

const withOrigin = (origin: string) => JSON.stringify({ client: { allowed_origins: [origin] } })

async function originAfter(next: () => Promise<Event>): Promise<string> {
  const event = await next()
  if ('rejected' in event) throw new Error(`rejected: ${JSON.stringify(event.rejected)}`)
  return event.changed.client.allowedOrigins.join()
}

async function rejection(next: () => Promise<Event>): Promise<Problem | undefined> {
  const event = await next()
  if ('changed' in event) throw new Error('changed, but should have been rejected')
  return event.rejected[0]
}

/** As editors and deployment tools save. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

describe('a changed file', () => {
  test('takes effect, and the one before is handed over', async () => {
    const { live, path, next } = await follow(withOrigin('a'))
    const first = live.current()
    await writeFile(path, withOrigin('b'))
    let event = await next()
    // Written in place, the file is empty for a moment, and a reader may come just then.
    if ('rejected' in event) event = await next()
    expect(event).toEqual({ changed: live.current(), previous: first })
    expect(live.current().client.allowedOrigins).toEqual(['b'])
    expect(live.current().generation).toBe(2)
  })

  test('is followed through one atomic rename after the other', async () => {
    const { path, next } = await follow(withOrigin('a'))
    for (const origin of ['b', 'c', 'd']) {
      await replaceFile(path, withOrigin(origin))
      expect(await originAfter(next)).toBe(origin)
    }
  })

  test('is followed when the folder behind it is swapped', async () => {
    for (const version of ['1', '2']) {
      await mkdir(join(folder, `..${version}`))
      await writeFile(join(folder, `..${version}`, 'config.json'), withOrigin(version))
    }
    await symlink('..1', join(folder, '..data'))
    const path = join(folder, 'config.json')
    await symlink(join('..data', 'config.json'), path)
    const { next } = await follow(withOrigin('1'), { path })
    await symlink('..2', join(folder, '..data_new'))
    await rename(join(folder, '..data_new'), join(folder, '..data'))
    expect(await originAfter(next)).toBe('2')
  })

  test('may appear later', async () => {
    const { path, next } = await follow(undefined)
    await replaceFile(path, withOrigin('new'))
    expect(await originAfter(next)).toBe('new')
  })

  test('may appear later together with its folder', async () => {
    const path = join(folder, 'sub', 'config.json')
    const { next } = await follow(undefined, { path })
    await mkdir(join(folder, 'sub'))
    await replaceFile(path, withOrigin('new'))
    expect(await originAfter(next)).toBe('new')
  })

  test('says nothing when its text is the same', async () => {
    const { path, next, events } = await follow(withOrigin('a'))
    await replaceFile(path, withOrigin('a'))
    await writeFile(join(folder, 'other.txt'), 'x')
    await replaceFile(path, withOrigin('b'))
    expect(await originAfter(next)).toBe('b')
    expect(events).toEqual([])
  })
})

describe('a broken file', () => {
  test('changes nothing and says what is wrong, until it is mended', async () => {
    const { live, path, next } = await follow(withOrigin('a'))
    const first = live.current()
    await replaceFile(path, '{\n  "clinet": {} }')
    expect(await rejection(next)).toEqual({
      pointer: '/clinet',
      line: 2,
      column: 3,
      message: 'unknown key "clinet". Did you mean "client"?',
    })
    expect(live.current()).toBe(first)
    await replaceFile(path, withOrigin('b'))
    expect(await originAfter(next)).toBe('b')
  })

  test('that is put back as it was changes nothing', async () => {
    const { live, path, next, events } = await follow(withOrigin('a'))
    const first = live.current()
    await replaceFile(path, '{')
    await rejection(next)
    // Another follower tells when the file that was put back has been seen.
    const other = await follow(withOrigin('other'), { path })
    await replaceFile(path, withOrigin('a'))
    await other.next()
    await replaceFile(path, '[')
    expect((await rejection(next))?.message).toContain('expected')
    expect([live.current(), events.length]).toEqual([first, 0])
  })

  test('an emptied file does not count as an empty configuration', async () => {
    const { path, next } = await follow(withOrigin('a'))
    await replaceFile(path, '')
    expect((await rejection(next))?.message).toBe('the file is empty')
  })

  test('a deleted file leaves the last good configuration, and may come back', async () => {
    const { live, path, next } = await follow(withOrigin('a'))
    await unlink(path)
    expect((await rejection(next))?.message).toContain('the file is gone')
    expect(live.current().client.allowedOrigins).toEqual(['a'])
    await replaceFile(path, withOrigin('b'))
    expect(await originAfter(next)).toBe('b')
  })

  test('what cannot be applied is taken back', async () => {
    const { live, path, next } = await follow(withOrigin('a'), {
      refuse: ({ client }) => {
        if (client.allowedOrigins[0] === 'b') throw new Error('no room')
      },
    })
    const first = live.current()
    await replaceFile(path, withOrigin('b'))
    expect((await rejection(next))?.message).toBe('the configuration could not be applied: no room')
    expect(live.current()).toBe(first)
  })
})

describe('on demand', () => {
  test('the file is read again, changed or not', async () => {
    const { live, path, next } = await follow(withOrigin('a'))
    const outcome = await live.reloadNow()
    expect(outcome).toMatchObject({ kind: 'changed', snapshot: { generation: 2 } })
    await next()
    await writeFile(path, '{')
    expect((await live.reloadNow()).kind).toBe('rejected')
  })

  test('without a file there is still the environment', async () => {
    let generation = 1
    const started = createLive(accepted(undefined), {
      path: undefined,
      initialText: undefined,
      reload: (text) => load(text, { generation: ++generation, env: { GROQ_API_KEY: 'gsk' } }),
      onChange: () => undefined,
      onRejected: () => undefined,
    })
    await started.reloadNow()
    expect([...started.current().providers.keys()]).toEqual(['groq', 'mock'])
    started.close()
  })

  test('a snapshot from elsewhere can be put in its place', async () => {
    const { live, next } = await follow(withOrigin('a'))
    const first = live.current()
    const other = accepted(withOrigin('z'), { generation: 9 })
    live.replace(other)
    expect(live.current()).toBe(other)
    expect(await next()).toEqual({ changed: other, previous: first })
  })
})

test('after close nothing happens any more', async () => {
  const { live, path, events } = await follow(withOrigin('a'), { pollMs: 1 })
  const first = live.current()
  live.close()
  await replaceFile(path, withOrigin('b'))
  // A second follower of the same file sees the change; by then the first would have seen it too.
  const second = await follow(withOrigin('a'), { path })
  await replaceFile(path, withOrigin('c'))
  await second.next()
  expect([live.current(), events.length]).toEqual([first, 0])
})
