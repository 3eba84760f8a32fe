/** One thing that is wrong with a configuration, and where. */
export interface Problem {
  /** RFC 6901; empty for the file as a whole. */
  readonly pointer: string
  /** From 1; 1 when there is no text to point into. */
  readonly line: number
  /** From 1, in UTF-16 units. */
  readonly column: number
  readonly message: string
}

/** A pointer one level deeper. */
export function below(pointer: string, ...names: readonly (string | number)[]): string {
  let result = pointer
  for (const name of names) {
    result += `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`
  }
  return result
}

/** The pointer of the containing value. */
export function above(pointer: string): string {
  return pointer.slice(0, Math.max(0, pointer.lastIndexOf('/')))
}

/** The names in a pointer, unescaped. */
export function stepsOf(pointer: string): string[] {
  const steps = pointer.split('/').slice(1)
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The last name in a pointer, unescaped. */
export function lastName(pointer: string): string {
  return stepsOf(pointer).at(-1) ?? ''
}

/** Collects what is wrong and what is worth saying while a configuration is read. */
export interface Report {
  readonly problems: Problem[]
  readonly warnings: string[]
  /** `at` chooses between the name of an entry and its value, where they differ. */
  problem(pointer: string, message: string, at?: 'name' | 'value'): void
  warn(pointer: string, message: string): void
  /** Whether something at or under this place was already found to be wrong. */
  has(pointer: string): boolean
}

export type Locate = (
  pointer: string,
  at: 'name' | 'value',
) => { readonly line: number; readonly column: number }

/** A report whose places come from `locate`; the same thing is never said twice. */
export function createReport(locate: Locate): Report {
  const problems: Problem[] = []
  const warnings: string[] = []
  const said = new Set<string>()
  return {
    problems,
    warnings,
    problem(pointer, message, at = 'value') {
      const id = `${pointer}\n${message}`
      if (said.has(id)) return
      said.add(id)
      problems.push({ pointer, ...locate(pointer, at), message })
    },
    warn(pointer, message) {
      const place = pointer === '' ? '' : `${pointer} (line ${locate(pointer, 'name').line}): `
      if (!warnings.includes(place + message)) warnings.push(place + message)
    },
    has: (place) =>
      problems.some(({ pointer }) => pointer === place || pointer.startsWith(`${place}/`)),
  }
}
