import { expect, test } from 'bun:test'

import type { Snapshot } from '#config/snapshot.ts'
import { detectLocal } from '#pipeline/detect.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { refusedUrl } from '../helpers/raw.ts'

// Servers on this machine that are used unasked.

const knowing = (...names: string[]): Snapshot =>
  ({ providers: new Map(names.map((name) => [name, {}])) }) as unknown as Snapshot

test('what answers is found, what does not or is configured is not', async () => {
  const asked: string[] = []
  using server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url)
      asked.push(pathname)
      if (pathname === '/moved') return Response.redirect('/there')
      return new Response(null, { status: pathname === '/there' ? 200 : 404 })
    },
  })
  const baseUrl = server.url.origin
  const candidates = [
    { name: 'here', baseUrl, detectPath: '/there' },
    { name: 'other', baseUrl, detectPath: '/missing' },
    { name: 'moved', baseUrl, detectPath: '/moved' },
    { name: 'known', baseUrl, detectPath: '/known' },
    { name: 'gone', baseUrl: refusedUrl(), detectPath: '/there' },
    { name: 'remote', baseUrl, detectPath: undefined },
  ]
  expect(await detectLocal(candidates, knowing('known'))).toEqual(['here'])
  expect(asked.toSorted()).toEqual(['/missing', '/moved', '/there'])
})

test('only a server on this machine is ever looked for', () => {
  const looked = [...PROVIDERS.values()].filter(({ detectPath }) => detectPath !== undefined)
  expect(looked.length).toBeGreaterThan(0)
  for (const { baseUrl, keyless } of looked) {
    expect(new URL(baseUrl!).hostname).toBe('localhost')
    expect(keyless).toBeTrue()
  }
})
