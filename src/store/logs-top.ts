// The first so many of many rows, in an order: by a value, and by their number where that is the same.

interface Place {
  readonly value: number
  readonly n: number
}

export interface Top {
  readonly isFull: boolean
  /** No row with a value behind this one is taken. */
  readonly worst: number
  /** Whether a row like this would be among them. */
  takes(value: number, n: number): boolean
  /** Takes a row if it is one of the first, and behind `after` if that is given. */
  add(value: number, n: number, after?: Place): void
  /** In their order. */
  sorted(): readonly Place[]
}

/** A heap whose root is the last of the rows, so that most rows are done with after one comparison. */
export function createTop(size: number, isUp: boolean): Top {
  let values = new Float64Array(Math.min(size, 64))
  let numbers = new Float64Array(values.length)
  let count = 0

  /** Whether the first comes before the second. */
  function isBefore(value: number, n: number, other: number, m: number): boolean {
    if (value !== other) return isUp === value < other
    return isUp ? n < m : n > m
  }

  function put(at: number, value: number, n: number): void {
    values[at] = value
    numbers[at] = n
  }

  function grow(): void {
    const length = Math.min(size, values.length * 2)
    const [wider, more] = [new Float64Array(length), new Float64Array(length)]
    wider.set(values)
    more.set(numbers)
    values = wider
    numbers = more
  }

  function rise(value: number, n: number): void {
    if (count === values.length) grow()
    let at = count++
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(values[above]!, numbers[above]!, value, n)) break
      put(at, values[above]!, numbers[above]!)
      at = above
    }
    put(at, value, n)
  }

  function sink(value: number, n: number): void {
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= count) break
      const next = below + 1
      if (
        next < count &&
        isBefore(values[below]!, numbers[below]!, values[next]!, numbers[next]!)
      ) {
        below = next
      }
      if (!isBefore(value, n, values[below]!, numbers[below]!)) break
      put(at, values[below]!, numbers[below]!)
      at = below
    }
    put(at, value, n)
  }

  const takes = (value: number, n: number): boolean =>
    count < size || (size > 0 && isBefore(value, n, values[0]!, numbers[0]!))

  return {
    get isFull() {
      return count >= size
    },
    get worst() {
      if (count < size) return isUp ? Infinity : -Infinity
      return size === 0 ? (isUp ? -Infinity : Infinity) : values[0]!
    },
    takes,
    add(value, n, after) {
      if (after && !isBefore(after.value, after.n, value, n)) return
      if (!takes(value, n)) return
      if (count < size) rise(value, n)
      else sink(value, n)
    },
    sorted() {
      const places = Array.from({ length: count }, (_, i) => ({
        value: values[i]!,
        n: numbers[i]!,
      }))
      return places.toSorted((a, b) => (isBefore(a.value, a.n, b.value, b.n) ? -1 : 1))
    },
  }
}
