// Names have numbers, as large as there ever were names. Those that occur in some rows get small ones here, so that
// what is known of them can stand side by side in arrays.

export interface Slots {
  /** 0, 1, 2 … in the order in which names came; NaN, which is none, counts as a name. -1 when there are too many. */
  of(k: number): number
  /** The numbers of names by their slots; 0 stands for none. */
  readonly names: readonly number[]
}

/** Larger numbers are looked up in a map, which is slower and as good. */
const maxTable = 2 ** 20

export function createSlots(max: number): Slots {
  /** One more than the slot, so that 0 is not known. */
  let table = new Int32Array(1024)
  const far = new Map<number, number>()
  const names: number[] = []

  function learn(k: number): number {
    const known = far.get(k)
    if (known !== undefined) return known
    if (names.length >= max) return -1
    const slot = names.push(k) - 1
    if (k >= maxTable) far.set(k, slot)
    else {
      if (k >= table.length) {
        const wider = new Int32Array(Math.min(maxTable, 2 ** Math.ceil(Math.log2(k + 1))))
        wider.set(table)
        table = wider
      }
      table[k] = slot + 1
    }
    return slot
  }

  return {
    names,
    of(k) {
      const key = k === k ? k : 0
      const slot = key < table.length ? table[key]! : 0
      return slot > 0 ? slot - 1 : learn(key)
    },
  }
}
