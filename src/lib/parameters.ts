const parameter =
  /[ \t]*;[ \t]*([!#$%&'*+.^`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"\\]*))/y

/**
 * The `; name=value` that follow the main part of a header value, names in lower case, quoted values as they stand
 * between their quotes. Undefined where two readers could find different ones: something else among them, or a name
 * that stands twice.
 */
export function readParameters(text: string): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>()
  let at = 0
  parameter.lastIndex = 0
  for (let match = parameter.exec(text); match; match = parameter.exec(text)) {
    const name = match[1]!.toLowerCase()
    if (found.has(name)) return undefined
    found.set(name, match[2] ?? match[3]!)
    at = parameter.lastIndex
  }
  const rest = text.slice(at).trim()
  return rest === '' || rest === ';' ? found : undefined
}
