/** Where the path of an absolute URL starts. */
function startOfPath(url: string): number {
  return url.indexOf('/', url.indexOf('//') + 2)
}

/** The path of a request's URL as it was written. `new URL` would throw on hosts that Bun lets through. */
export function pathOf(url: string): string {
  const start = startOfPath(url)
  const query = url.indexOf('?', start)
  return query === -1 ? url.slice(start) : url.slice(start, query)
}

/** The query of a request's URL, with its `?`, or empty. */
export function queryOf(url: string): string {
  const query = url.indexOf('?', startOfPath(url))
  return query === -1 ? '' : url.slice(query)
}
