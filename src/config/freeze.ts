import { inspect } from 'node:util'

/** Freezes plain objects, arrays, maps and sets through and through; returns what it was given. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (value instanceof Map) {
    for (const [key, item] of value) {
      deepFreeze(key)
      deepFreeze(item)
    }
    seal(value, 'set', 'delete', 'clear')
  } else if (value instanceof Set) {
    for (const item of value) deepFreeze(item)
    seal(value, 'add', 'delete', 'clear')
  } else {
    for (const item of Object.values(value)) deepFreeze(item)
  }
  return Object.freeze(value)
}

/** `Object.freeze` does not reach what a map or set holds. */
function seal(collection: object, ...methods: readonly string[]): void {
  for (const method of methods) {
    Object.defineProperty(collection, method, {
      value: () => {
        throw new TypeError('a configuration cannot be changed, only replaced')
      },
    })
  }
}

/**
 * Values that are read one by one but never printed: JSON and `inspect` show the names only. For headers,
 * which often carry a key.
 */
export function withHiddenValues(record: Record<string, string>): Record<string, string> {
  const names = () =>
    Object.fromEntries(Object.keys(record).map((name) => [name, '[redacted]'] as const))
  Object.defineProperty(record, 'toJSON', { value: names })
  Object.defineProperty(record, inspect.custom, { value: names })
  return record
}
