import { Histogram, SIZE_BYTES, UPSTREAM_SECONDS } from './histogram.ts'
import { labelText } from './labels.ts'
import { OTHER } from './series.ts'
import { patternOf } from './surfaces.ts'

/** Requests of one route, method and status. */
export interface Route {
  readonly labels: string
  readonly seconds: Histogram
  readonly requestBytes: Histogram
  readonly responseBytes: Histogram
}

const maxRoutes = 2000

/** By the operation, the method and the status. */
type Surface = Map<string, Map<string, Map<number, Route>>>

/** All of them, found without making a text. */
export class Routes {
  readonly #all = new Map<string, Route>()
  readonly #surfaces = new Map<string, Surface>()

  values(): readonly Route[] {
    return [...this.#all.values()]
  }

  /** An operation of the OpenAI API below a prefix, as `surfaceOf` gives them. */
  of(surface: string, endpoint: string, method: string, status: number): Route {
    return (
      this.#surfaces.get(surface)?.get(endpoint)?.get(method)?.get(status) ??
      this.#add(surface, endpoint, method, status)
    )
  }

  /** A route by its pattern. */
  at(path: string, method: string, status: number): Route {
    const labels = labelText([
      ['path', path],
      ['method', method],
      ['status', String(status)],
    ])
    const known = this.#all.get(labels)
    if (known) return known
    const isFull = this.#all.size >= maxRoutes
    return isFull ? this.#made(labelText([['path', OTHER]])) : this.#made(labels)
  }

  #add(surface: string, endpoint: string, method: string, status: number): Route {
    const route = this.at(surface + patternOf(endpoint), method, status)
    if (this.#all.size > maxRoutes) return route
    const endpoints: Surface = this.#surfaces.get(surface) ?? new Map()
    this.#surfaces.set(surface, endpoints)
    const methods = endpoints.get(endpoint) ?? new Map<string, Map<number, Route>>()
    endpoints.set(endpoint, methods)
    const statuses = methods.get(method) ?? new Map<number, Route>()
    methods.set(method, statuses)
    statuses.set(status, route)
    return route
  }

  #made(labels: string): Route {
    const known = this.#all.get(labels)
    if (known) return known
    const route = {
      labels,
      seconds: new Histogram(UPSTREAM_SECONDS),
      requestBytes: new Histogram(SIZE_BYTES),
      responseBytes: new Histogram(SIZE_BYTES),
    }
    this.#all.set(labels, route)
    return route
  }
}
