import { afterAll, beforeAll, describe, expect, test } from 'bun:test'

import { configJsonSchema } from '#config/schema-document.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts } from '#core/endpoint.ts'
import { FORM_FIELDS, REQUEST_SCHEMAS } from '#openai/schemas.ts'

import { startRig } from './rig.ts'
import type { Rig } from './rig.ts'
import { openRaw } from './wire.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const get = (path: string): Promise<Response> => fetch(rig.url + path)

describe('health', () => {
  test.each(['/health', '/health/ready'])('%s says that new requests are taken', async (path) => {
    const response = await get(path)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({
      status: 'ok',
      components: { providers: ['openai', 'groq', 'mock'], config_generation: 1, in_flight: 0 },
    })
  })

  test('/health/live says that the process answers', async () => {
    expect(await (await get('/health/live')).json()).toEqual({ status: 'ok' })
  })

  test('nothing shown there is a secret', async () => {
    for (const path of ['/', '/health', '/api/version', '/docs/json', '/schema/config.json']) {
      expect(await (await get(path)).text()).not.toContain('0123456789')
    }
  })

  test('while draining, the ready check fails, the live one does not, and nothing new is taken', async () => {
    const own = await startRig()
    const release = Promise.withResolvers<void>()
    own.upstream.reply(async () => {
      await release.promise
      return Response.json({ id: 'x', object: 'chat.completion', choices: [] })
    })
    const call = fetch(`${own.url}/openai/v1/chat/completions`, {
      method: 'POST',
      body: '{"model":"openai/slow","messages":[{"role":"user","content":"Hi"}]}',
      headers: { 'content-type': 'application/json' },
    })
    await own.upstream.waitFor(1)
    const kept = await openRaw(own.url)
    kept.send('GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await kept.until('"ok"')
    const drained = own.gateway.drain()
    // A signal reaches another process when it does; the line says that it has.
    if (own.gateway.pid !== undefined) {
      await own.gateway.logged(({ message }) => String(message).startsWith('SIGTERM: '))
    }
    const ask = async (path: string, sign: string): Promise<void> => {
      kept.send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
      await kept.until(sign)
    }
    await ask('/health/ready', '"draining"')
    expect(kept.received).toContain('HTTP/1.1 503')
    await ask('/health/live', '{"status":"ok"}')
    await ask('/openai/v1/files', 'shutting_down')
    expect(own.upstream.requests.length).toBe(1)
    release.resolve()
    expect((await call).status).toBe(200)
    await drained
    await own.upstream.stop()
  })
})

describe('the reference', () => {
  test('the page and what it loads come from here alone', async () => {
    const page = await get('/docs')
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toStartWith('text/html')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    const html = await page.text()
    expect(html).not.toMatch(/(?:https?:)?\/\/[a-z]/i)
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!)
    expect(loaded.length).toBeGreaterThanOrEqual(3)
    for (const url of loaded) {
      const response = await get(url)
      expect(response.status).toBe(200)
      expect((await response.text()).length).toBeGreaterThan(10)
    }
    const start = await (await get('/docs/start.js')).text()
    expect(start).not.toContain('http')
    // Otherwise Swagger UI asks a service for a badge, and tells it where the document is.
    expect(start).toContain('validatorUrl: null')
  })

  test('the document holds every endpoint with its schemas', async () => {
    const document = (await (await get('/docs/json')).json()) as OpenApi
    expect(document.openapi).toMatch(/^3\.\d+\.\d+$/)
    expect(document.info).toMatchObject({ title: 'Asbru' })
    for (const [name, facts] of Object.entries<EndpointFacts>(ENDPOINTS)) {
      const path = `/openai/v1${facts.path.replaceAll('...', '')}`
      const operation = document.paths[path]?.[facts.method.toLowerCase()]
      expect(operation, `${facts.method} ${path}`).toMatchObject({
        operationId: name,
        summary: facts.summary,
      })
      const content = operation?.requestBody?.content ?? {}
      expect('application/json' in content).toBe(name in REQUEST_SCHEMAS)
      expect('multipart/form-data' in content).toBe(name in FORM_FIELDS)
      const parameters = operation?.parameters?.map((parameter) => parameter.name) ?? []
      const named = [...facts.path.matchAll(/\{(\w+)/g)].map(([, parameter]) => parameter!)
      expect(parameters.toSorted()).toEqual(named.toSorted())
    }
    const chat = document.paths['/openai/v1/chat/completions']?.['post']
    expect(chat?.requestBody?.content['application/json']?.schema).toMatchObject({
      type: 'object',
      required: ['model', 'messages'],
    })
  })

  test('jobs and the log are in it, with what they take', async () => {
    const { paths } = (await (await get('/docs/json')).json()) as OpenApi
    const of = (path: string): Record<string, Operation> => {
      const found = paths[path]
      expect(found, path).toBeDefined()
      for (const operation of Object.values(found!)) expect(operation.summary).toBeString()
      return found!
    }
    const names = (operation: Operation | undefined): string[] =>
      operation?.parameters?.map(({ name }) => name) ?? []
    const submit = of('/v1/async/chat/completions')['post']
    expect(submit?.requestBody?.content['application/json']?.schema).toMatchObject({
      required: ['model', 'messages'],
    })
    expect(names(submit)).toContain('idempotency-key')
    expect(names(of('/v1/async/jobs')['get'])).toEqual(['limit', 'after', 'status'])
    expect(names(of('/v1/async/jobs/{id}/stream')['get']).toSorted()).toEqual([
      'id',
      'last-event-id',
    ])
    for (const path of [
      ...['/v1/async/responses/{id}', '/v1/async/jobs/{id}/cancel', '/api/logs/{id}'],
      ...['/api/logs/stats', '/api/logs/rankings', '/api/logs/sessions/{id}/summary'],
      ...['/api/logs/histogram/latency/by-provider', '/api/logs/recalculate-cost/cancel'],
    ]) {
      of(path)
    }
    const logs = of('/api/logs')
    expect(names(logs['get'])).toContain('content_search')
    expect(logs['delete']?.requestBody?.content['application/json']?.schema).toMatchObject({
      required: ['ids'],
    })
    expect(names(of('/api/logs/filterdata')['get'])).toEqual(['dimensions'])
  })

  test('every operation is there once', async () => {
    const document = (await (await get('/docs/json')).json()) as OpenApi
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    )
    expect(ids.length).toBe(new Set(ids).size)
    expect(Object.keys(document.paths).filter((path) => path.includes('*'))).toEqual([])
  })
})

interface OpenApi {
  readonly openapi: string
  readonly info: object
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: unknown }>>
  }
}

test('the schema of the configuration is the one that validates', async () => {
  expect(await (await get('/schema/config.json')).json()).toEqual(
    JSON.parse(JSON.stringify(configJsonSchema())),
  )
})

test('the version', async () => {
  expect(await (await get('/api/version')).json()).toMatch(/^\d+\.\d+\.\d+/)
})
