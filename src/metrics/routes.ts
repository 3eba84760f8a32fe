import { ENDPOINTS } from '#core/endpoint.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'

import { Histogram, SIZE_BYTES, UPSTREAM_SECONDS } from './histogram.ts'
import { labelText } from './labels.ts'
import { OTHER } from './series.ts'

/** Requests of one route, method and status. */
export interface Route {
  readonly labels: string
  readonly seconds: Histogram
  readonly requestBytes: Histogram
  readonly responseBytes: Histogram
}

const maxRoutes = 2000

/** All of them, found without making a text. */
export class Routes {
  readonly #all: Route[] = []
  readonly #known = new Map<string, Map<string, Map<number, Route>>>()
  #rest: Route | undefined

  values(): readonly Route[] {
    return this.#all
  }

  of(endpoint: string, method: string, status: number): Route {
    return (
      this.#known.get(endpoint)?.get(method)?.get(status) ?? this.#add(endpoint, method, status)
    )
  }

  #add(endpoint: string, method: string, status: number): Route {
    if (this.#all.length >= maxRoutes) return (this.#rest ??= this.#push([['path', OTHER]]))
    const known = (ENDPOINTS as Partial<typeof ENDPOINTS>)[endpoint as KnownEndpoint]
    const route = this.#push([
      ['path', `/openai${known?.path ?? '/*'}`],
      ['method', method],
      ['status', String(status)],
    ])
    let methods = this.#known.get(endpoint)
    if (!methods) this.#known.set(endpoint, (methods = new Map()))
    let statuses = methods.get(method)
    if (!statuses) methods.set(method, (statuses = new Map()))
    statuses.set(status, route)
    return route
  }

  #push(labels: Parameters<typeof labelText>[0]): Route {
    const route = {
      labels: labelText(labels),
      seconds: new Histogram(UPSTREAM_SECONDS),
      requestBytes: new Histogram(SIZE_BYTES),
      responseBytes: new Histogram(SIZE_BYTES),
    }
    this.#all.push(route)
    return route
  }
}
