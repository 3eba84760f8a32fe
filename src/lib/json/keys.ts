import { endOfString, keyText } from './scan.ts'

// Duplicate keys. `JSON.parse` keeps the last one silently while the text that travels on still holds both, so what
// was checked and what is sent could differ. Comparing two counts finds that cheaply; naming the key is the slow path.

/**
 * Number of own keys in all objects of a parsed document, or -1 when it is nested more than `maxDepth` levels deep, which
 * has to be no more than the stack bears. More colons than keys in its text mean duplicate keys.
 */
export function countKeys(value: unknown, maxDepth: number): number {
  return isContainer(value) ? countIn(value, maxDepth) : 0
}

function countIn(container: object, levels: number): number {
  if (levels === 0) return -1
  let count = 0
  if (Array.isArray(container)) {
    for (const item of container as unknown[]) {
      if (!isContainer(item)) continue
      const inside = countIn(item, levels - 1)
      if (inside === -1) return -1
      count += inside
    }
    return count
  }
  const object = container as Readonly<Record<string, unknown>>
  for (const key in object) {
    count++
    const item = object[key]
    if (!isContainer(item)) continue
    const inside = countIn(item, levels - 1)
    if (inside === -1) return -1
    count += inside
  }
  return count
}

interface Level {
  /** Keys seen so far; undefined inside an array. */
  readonly keys: Set<string> | undefined
  /** Where the walk stands: the key or the index. */
  step: string | number
  expectsKey: boolean
}

/**
 * Path of the first key that repeats within its object, such as `messages[0].role`; undefined when all are unique.
 * Keys that are no plain names are written as `["the key"]`. The text must be valid JSON.
 */
export function findDuplicateKey(text: string): string | undefined {
  const levels: Level[] = []
  let level: Level | undefined
  for (let at = 0; at < text.length; at++) {
    switch (text.charAt(at)) {
      case '"': {
        const end = endOfString(text, at)
        if (level?.expectsKey && level.keys !== undefined) {
          const key = keyText(text, at, end)
          level.step = key
          level.expectsKey = false
          if (level.keys.has(key)) return levels.map(pathStep).join('')
          level.keys.add(key)
        }
        at = end
        break
      }
      case '{':
        level = { keys: new Set(), step: '', expectsKey: true }
        levels.push(level)
        break
      case '[':
        level = { keys: undefined, step: 0, expectsKey: false }
        levels.push(level)
        break
      case '}':
      case ']':
        levels.pop()
        level = levels.at(-1)
        break
      case ',':
        if (typeof level?.step === 'number') level.step++
        else if (level !== undefined) level.expectsKey = true
        break
    }
  }
  return undefined
}

function pathStep({ step }: Level, index: number): string {
  if (typeof step === 'number') return `[${step}]`
  if (!/^[\w$-]+$/.test(step)) return `[${JSON.stringify(step)}]`
  return index === 0 ? step : `.${step}`
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
