import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { requireLocal } from '#http/admin.ts'

import { logRig } from './rig.ts'
import type { LogRig } from './rig.ts'

let rig: LogRig
beforeAll(async () => {
  rig = await logRig()
  await rig.chat({}, { 'x-request-id': 'known' })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const routes = [
  ['GET', '/api/logs'],
  ['GET', '/api/logs/known'],
  ['GET', '/api/logs/stats'],
  ['GET', '/api/logs/histogram'],
  ['GET', '/api/logs/dropped'],
  ['GET', '/api/logs/export'],
  ['POST', '/api/logs/sql'],
  ['DELETE', '/api/logs'],
  ['GET', '/api/logs/filterdata'],
  ['GET', '/api/logs/dashboard'],
  ['GET', '/api/logs?status=processing'],
  ['GET', '/api/logs/user-agent-mappings'],
  ['POST', '/api/logs/user-agent-mappings'],
  ['PUT', '/api/logs/user-agent-mappings/known'],
  ['DELETE', '/api/logs/user-agent-mappings/known'],
  ['GET', '/api/logs/rankings'],
  ['GET', '/api/logs/rankings/by-dimension'],
  ['GET', '/api/logs/sessions/known'],
  ['GET', '/api/logs/sessions/known/summary'],
  ['GET', '/api/logs/histogram/tokens'],
  ['GET', '/api/logs/histogram/cost/by-provider'],
  ['POST', '/api/logs/recalculate-cost'],
  ['GET', '/api/logs/recalculate-cost/status'],
  ['POST', '/api/logs/recalculate-cost/cancel'],
  ['GET', '/ws'],
] as const

const fromElsewhere: Record<string, string>[] = [
  { 'x-forwarded-for': '127.0.0.1' },
  { forwarded: 'for=127.0.0.1' },
  { 'x-real-ip': '127.0.0.1' },
  { via: '1.1 proxy' },
  { host: 'gateway.example.com' },
  { origin: 'https://evil.example.com' },
  { 'sec-fetch-site': 'cross-site' },
]

describe.each(routes)('%s %s', (method, path) => {
  test.each(fromElsewhere)('does not answer %j', async (headers) => {
    const upgrade: Record<string, string> =
      path === '/ws'
        ? {
            upgrade: 'websocket',
            connection: 'Upgrade',
            'sec-websocket-version': '13',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          }
        : {}
    const answer = await fetch(rig.gateway.url + path, {
      method,
      headers: { 'content-type': 'application/json', ...upgrade, ...headers },
      ...(method === 'POST' && { body: '{"sql":"SELECT 1"}' }),
    })
    expect(answer.status).toBe(403)
    expect(await answer.text()).not.toContain('Hello there')
  })
})

describe('a peer', () => {
  const from = (peer: string | undefined, host = 'localhost:8080'): (() => void) => {
    const request = new Request('http://localhost:8080/api/logs', { headers: { host } })
    return () => requireLocal(request, { peer: () => peer })
  }

  test.each(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'])('%s is here', (peer) => {
    expect(from(peer)).not.toThrow()
    expect(from(peer, '[::1]:8080')).not.toThrow()
    expect(from(peer, '127.0.0.1')).not.toThrow()
  })

  test.each(['10.0.0.1', '192.168.1.1', '::2', '::ffff:10.0.0.1', '1127.0.0.1', '', undefined])(
    '%s is not',
    (peer) => {
      expect(from(peer)).toThrow('only programs on the machine')
    },
  )

  test.each(['127.0.0.1.example.com', 'localhost.example.com', ''])(
    'that names %j is not',
    (host) => {
      expect(from('127.0.0.1', host)).toThrow('only programs on the machine')
    },
  )
})
