const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// What `fetch` accepts: tab, printable ASCII and the upper half of Latin-1.
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

const refused: ReadonlySet<string> = new Set(
  (
    'connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer ' +
    'transfer-encoding upgrade authorization host content-length'
  ).split(' '),
)

export function isHeaderName(name: string): boolean {
  return token.test(name)
}

export function isHeaderValue(value: string): boolean {
  return fieldValue.test(value)
}

/** Why a header may not be added to calls, or undefined when it may. Never repeats the value. */
export function refuseHeader(name: string, value: string): string | undefined {
  if (!isHeaderName(name)) return 'is not a valid header name'
  if (refused.has(name.toLowerCase())) return 'is set by the gateway itself and cannot be given'
  return isHeaderValue(value) ? undefined : 'has a value with characters a header cannot carry'
}
