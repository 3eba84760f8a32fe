import { Elysia } from 'elysia'

import { GatewayError, toGatewayError } from '#core/errors.ts'
import { surfaceOf } from '#metrics/surfaces.ts'

import { asyncSurface } from './async.ts'
import { docsSurface } from './docs.ts'
import { explainSurface } from './explain.ts'
import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { requestId } from './intake.ts'
import { logsSurface } from './logs.ts'
import { metricsSurface } from './metrics.ts'
import { addOpenai } from './openai.ts'
import { opsSurface } from './ops.ts'
import type { Lifecycle } from './ops.ts'
import { noteAnswer, noteStray } from './refusal.ts'
import { respondError } from './respond.ts'
import { pathOf } from './target.ts'
import { webhooksSurface } from './webhooks.ts'

/** All surfaces in one Elysia app. What no route answers, and what a route throws, leaves in the error envelope. */
export function composeRoutes(gateway: Gateway, lifecycle: Lifecycle): Elysia {
  const methodsOf = new Map<string, string[]>()
  // Elysia looks for the path from the 12th character on unless told that hosts may be short (`http://gw/`).
  const app = new Elysia({ normalize: false, handler: { standardHostname: false } }).onError(
    ({ code, error, request }) => {
      const own = code === 'NOT_FOUND' ? notFound(request, methodsOf) : toGatewayError(error)
      const context = { provider: undefined, modelRequested: undefined, requestType: 'unknown' }
      const response = respondError(own, context, requestId(headersOf(request)))
      noteStray(gateway, request, own)
      // Of the other surfaces, the server counts all.
      if (surfaceOf(request.url) !== undefined) {
        const arrival = { request, headers: headersOf(request), startedAt: performance.now() }
        noteAnswer(gateway, arrival, 'unknown', own.status)
      }
      const methods = methodsOf.get(pathOf(request.url))
      if (own.kind === 'method_not_allowed' && methods) {
        response.headers.set('allow', methods.join(', '))
      }
      return response
    },
  )
  addOpenai(app as unknown as Elysia, gateway)
  app
    .use(asyncSurface(gateway))
    .use(opsSurface(gateway, lifecycle))
    .use(metricsSurface(gateway))
    .use(explainSurface(gateway))
    .use(logsSurface(gateway))
    .use(webhooksSurface(gateway))
  app.use(docsSurface(app as unknown as Elysia))
  for (const { method, path } of app.routes) {
    methodsOf.set(path, [...(methodsOf.get(path) ?? []), method])
  }
  return app as unknown as Elysia
}

const shownPathLength = 200

function notFound(
  request: Request,
  methodsOf: ReadonlyMap<string, readonly string[]>,
): GatewayError {
  const path = pathOf(request.url)
  const shown = path.length > shownPathLength ? `${path.slice(0, shownPathLength)}…` : path
  const methods = methodsOf.get(path)
  return methods
    ? new GatewayError(
        'method_not_allowed',
        `${shown} takes ${methods.join(', ')}, not ${request.method}.`,
      )
    : new GatewayError(
        'route_not_found',
        `There is no route ${request.method} ${shown}. OpenAI's API is under /openai.`,
      )
}
