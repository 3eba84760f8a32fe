import { Elysia } from 'elysia'
import script from 'swagger-ui-dist/swagger-ui-bundle.js' with { type: 'file' }

import { ENDPOINTS } from '#core/endpoint.ts'
import type { EndpointFacts, KnownEndpoint } from '#core/endpoint.ts'
import { VERSION } from '#core/version.ts'

import { describeOperation } from './document.ts'

import css from 'swagger-ui-dist/swagger-ui.css' with { type: 'file' }

// The OpenAPI document and a page for it. The page is part of the executable: it loads nothing from elsewhere.

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Asbru API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`
const start = `SwaggerUIBundle({ url: '/docs/json', dom_id: '#reference', deepLinking: true, validatorUrl: null })\n`
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

/** `/docs` and what it loads. The document is made by `@elysiajs/swagger` from `routes` when first asked for. */
export function docsSurface(routes: Elysia): Elysia {
  let document: Promise<string> | undefined
  const serve = (body: string | Blob, type: string): Response =>
    new Response(body, {
      headers: {
        'content-type': `${type}; charset=utf-8`,
        'content-security-policy': policy,
        'x-content-type-options': 'nosniff',
      },
    })
  const detail = { hide: true }
  return new Elysia({ name: 'docs', normalize: false })
    .get('/docs', () => serve(page, 'text/html'), { detail })
    .get('/docs/start.js', () => serve(start, 'text/javascript'), { detail })
    .get('/docs/swagger-ui.css', () => serve(Bun.file(css), 'text/css'), { detail })
    .get('/docs/swagger-ui.js', () => serve(Bun.file(script), 'text/javascript'), {
      detail,
    })
    .get(
      '/docs/json',
      async () => {
        document ??= describe(routes)
        return serve(await document, 'application/json')
      },
      { detail },
    ) as unknown as Elysia
}

/** Loaded on demand: nothing that serves requests needs the generator. */
async function describe(routes: Elysia): Promise<string> {
  const { swagger } = await import('@elysiajs/swagger')
  const host = new Elysia({ normalize: false }).use(routes).use(
    swagger({
      path: '/generated',
      documentation: {
        info: {
          title: 'Asbru',
          version: VERSION,
          description:
            'The OpenAI API in front of every provider. Each path also answers without `/v1`. Unknown fields travel unchanged.',
        },
        paths: openEndedPaths(),
      },
    }),
  )
  const response = await host.handle(new Request('http://localhost/generated/json'))
  return await response.text()
}

/** Paths whose last parameter may hold slashes, which the generator leaves out because OpenAPI cannot say so. */
function openEndedPaths(): Record<string, Record<string, object>> {
  const paths: Record<string, Record<string, object>> = {}
  for (const [name, facts] of Object.entries<EndpointFacts>(ENDPOINTS)) {
    const parameter = /\{(\w+)\.\.\.\}/.exec(facts.path)?.[1]
    if (parameter === undefined) continue
    const path = `/openai/v1${facts.path.replace('...', '')}`
    paths[path] = {
      ...paths[path],
      [facts.method.toLowerCase()]: {
        ...describeOperation(name as KnownEndpoint, facts, false),
        parameters: [{ name: parameter, in: 'path', required: true, schema: { type: 'string' } }],
      },
    }
  }
  return paths
}
