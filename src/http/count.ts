import type { Elysia } from 'elysia'

import { ELSEWHERE, surfaceOf } from '#metrics/surfaces.ts'

import type { Gateway } from './gateway.ts'
import { headersOf } from './headers.ts'
import { pathOf } from './target.ts'

/** Counts requests that are no operations of the OpenAI API; those count themselves, once they have ended. */
export interface RequestCounter {
  /** Answers a request by `handle`. */
  counted(
    request: Request,
    handle: (request: Request) => Response | Promise<Response>,
  ): Response | Promise<Response>
  /** Takes note of a request that has been answered. */
  note(request: Request, status: number, startedAt: number): void
}

export function createRequestCounter(app: Elysia, gateway: () => Gateway): RequestCounter {
  const patternOf = patternsIn(app)

  function note(request: Request, status: number, startedAt: number): void {
    const { metrics } = gateway()
    if (!metrics?.calls.isListening) return
    const bytes = Number(headersOf(request)['content-length'] ?? 0)
    const pattern = patternOf(pathOf(request.url))
    const ms = performance.now() - startedAt
    metrics.calls.answered(pattern, request.method, status, ms, bytes)
  }

  return {
    note,
    counted(request, handle) {
      if (surfaceOf(request.url) !== undefined) return handle(request)
      const startedAt = performance.now()
      const answer = handle(request)
      const noted = (response: Response): Response => {
        note(request, response.status, startedAt)
        return response
      }
      return answer instanceof Promise ? answer.then(noted) : noted(answer)
    },
  }
}

/** Finds the pattern of the route that a path belongs to. What callers make up is all the same pattern. */
function patternsIn({ routes }: Elysia): (path: string) => string {
  const plain = new Set<string>()
  const others = new Map<string, RegExp>()
  for (const { path } of routes) {
    if (!/[:*]/.test(path)) plain.add(path)
    else others.set(path.replace(/:(\w+)/g, '{$1}'), expressionOf(path))
  }
  // Those with a rest of any form come last, the shorter ones after the longer.
  const isOpen = (path: string): number => Number(path.endsWith('*'))
  const ordered = [...others].toSorted(
    ([a], [b]) => isOpen(a) - isOpen(b) || b.length - a.length || 0,
  )
  return (path) =>
    plain.has(path) ? path : (ordered.find(([, form]) => form.test(path))?.[0] ?? ELSEWHERE)
}

function expressionOf(path: string): RegExp {
  const form = path
    .replace(/[.+?^$()[\]\\|{}]/g, String.raw`\$&`)
    .replace(/:\w+/g, '[^/]+')
    .replace('*', '.*')
  return new RegExp(`^${form}$`)
}
