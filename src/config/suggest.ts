/** The candidate most likely meant by a misspelt name, or undefined when none is near. */
export function suggest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > 64) return undefined
  const wanted = plain(name)
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const other = plain(candidate)
    const distance = isPart(wanted, other) ? 1 : editDistance(wanted, other, bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** ` Did you mean "x"?` with its leading space, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const found = suggest(name, candidates)
  return found === undefined ? '' : ` Did you mean "${found}"?`
}

/** `baseUrl`, `base-url` and `base_url` are one name to somebody who misremembers it. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_\-. ]/g, '')
}

/** One is the beginning of the other: half a name was remembered. */
function isPart(a: string, b: string): boolean {
  return Math.min(a.length, b.length) > 2 && (a.startsWith(b) || b.startsWith(a))
}

/** Insertions, deletions, substitutions and swapped neighbours; gives up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1)
      }
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
