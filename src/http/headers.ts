import { plainHeaders } from '#pipeline/forward.ts'

let lastRequest: Request | undefined
let lastHeaders: Readonly<Record<string, string>> = {}

/**
 * The headers of a request as a plain object. The server and the route both look at them in the same turn of the
 * event loop, so remembering the last answer saves the second reading.
 */
export function headersOf(request: Request): Readonly<Record<string, string>> {
  if (request !== lastRequest) {
    lastHeaders = plainHeaders(request.headers)
    lastRequest = request
  }
  return lastHeaders
}
