import { Elysia } from 'elysia'

import { GatewayError, toGatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'

import { docsSurface } from './docs.ts'
import { openaiSurface } from './openai.ts'
import type { Gateway } from './openai.ts'
import { opsSurface } from './ops.ts'
import type { Lifecycle } from './ops.ts'
import { respondError } from './respond.ts'

/** All surfaces in one Elysia app. What no route answers, and what a route throws, leaves in the error envelope. */
export function composeRoutes(gateway: Gateway, lifecycle: Lifecycle): Elysia {
  const app = new Elysia({ normalize: false })
    .onError(({ code, error, request }) => {
      const own =
        code === 'NOT_FOUND'
          ? new GatewayError(
              'route_not_found',
              `There is no route ${request.method} ${new URL(request.url).pathname}. OpenAI's API is under /openai.`,
            )
          : toGatewayError(error)
      const context = { provider: undefined, modelRequested: undefined, requestType: 'unknown' }
      return respondError(own, context, newId())
    })
    .use(openaiSurface(gateway))
    .use(opsSurface(gateway, lifecycle))
  app.use(docsSurface(app as unknown as Elysia))
  return app as unknown as Elysia
}
