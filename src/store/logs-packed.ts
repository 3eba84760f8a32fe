// The words of one bucket of a piece of the index (`logs-piece.ts`) as bytes, and how they are found there:
//
// - two numbers of four bytes: how long the first and the second part are;
// - the words in UTF-8, a line feed before each and behind the last, so that one is found as bytes among bytes;
// - for each word, in the same order, how many bytes its rows take, times two, plus one if these are a bit for each row;
// - the rows of each word, rising: the first, and how far it is to each of the others; or the bits.
//
// Numbers of the last two parts have seven bits to a byte, the lower ones first, and the upper bit set but in their last.

export const buckets = 64
/** Rows of a piece: their places are smaller than this. */
export const rowsInPiece = 2048
export const bytesOfRows = rowsInPiece / 8

const headBytes = 8
const lineFeed = 10

/** The bucket of a word, which is not empty. */
export const bucketOf = (word: string): number => word.charCodeAt(0) % buckets

const encoder = new TextEncoder()
let scratch = new Uint8Array(65_536)

/** Rows of words: those of a word begin where the ones of the word before end, rising. */
export interface Sorted {
  readonly rows: Uint16Array
  readonly ends: Int32Array
}

/** The words of these numbers, with their rows; those without any are left out. Undefined if nothing is left. */
export function packWords(
  numbers: readonly number[],
  words: readonly string[],
  { rows, ends }: Sorted,
): Uint8Array | undefined {
  const lengths: number[] = []
  let end = 0
  let text = ''
  for (const number of numbers) {
    const from = number === 0 ? 0 : ends[number - 1]!
    const until = ends[number]!
    if (from === until) continue
    text += `\n${words[number]!}`
    if (end + 2 * bytesOfRows > scratch.length) {
      const longer = new Uint8Array(scratch.length * 2)
      longer.set(scratch)
      scratch = longer
    }
    const bytes = scratch
    const start = end
    let last = 0
    for (let at = from; at < until && end - start < bytesOfRows; at++) {
      const row = rows[at]!
      const step = row - last
      last = row
      if (step > 127) {
        bytes[end++] = step | 128
        bytes[end++] = step >> 7
      } else bytes[end++] = step
    }
    const areBits = end - start >= bytesOfRows
    if (areBits) {
      bytes.fill(0, start, start + bytesOfRows)
      for (let at = from; at < until; at++) {
        bytes[start + (rows[at]! >> 3)]! |= 1 << (rows[at]! & 7)
      }
      end = start + bytesOfRows
    }
    const length = (end - start) * 2 + (areBits ? 1 : 0)
    if (length > 127) lengths.push((length & 127) | 128, length >> 7)
    else lengths.push(length)
  }
  if (text === '') return undefined
  const said = encoder.encode(`${text}\n`)
  const packed = new Uint8Array(headBytes + said.length + lengths.length + end)
  const head = new DataView(packed.buffer)
  head.setUint32(0, said.length, true)
  head.setUint32(4, lengths.length, true)
  packed.set(said, headBytes)
  packed.set(lengths, headBytes + said.length)
  packed.set(scratch.subarray(0, end), headBytes + said.length + lengths.length)
  return packed
}

/** The rows that have a word, or one that begins so, are set in `bits`; whether there are any. */
export function findPacked(
  packed: Uint8Array,
  word: string,
  isBegun: boolean,
  bits: Uint8Array,
): boolean {
  const [saidEnd, lengthsEnd] = partsOf(packed)
  const said = Buffer.from(packed.buffer, packed.byteOffset + headBytes, saidEnd - headBytes)
  const wanted = Buffer.from(isBegun ? `\n${word}` : `\n${word}\n`)
  let found = said.indexOf(wanted)
  if (found < 0) return false
  let [seen, lengthAt, rowsAt] = [0, saidEnd, lengthsEnd]
  while (found >= 0) {
    // Past the words before it.
    for (; seen < found; seen++) {
      if (said[seen] !== lineFeed) continue
      const low = packed[lengthAt++]!
      rowsAt += (low > 127 ? (low & 127) | (packed[lengthAt++]! << 7) : low) >> 1
    }
    const low = packed[lengthAt]!
    const length = low > 127 ? (low & 127) | (packed[lengthAt + 1]! << 7) : low
    setRows(packed, rowsAt, length, bits)
    found = isBegun ? said.indexOf(wanted, found + 1) : -1
  }
  return true
}

function setRows(packed: Uint8Array, from: number, length: number, bits: Uint8Array): void {
  if ((length & 1) === 1) {
    for (let i = 0; i < bytesOfRows; i++) bits[i]! |= packed[from + i]!
    return
  }
  const until = from + (length >> 1)
  let row = 0
  for (let at = from; at < until;) {
    const low = packed[at++]!
    row += low > 127 ? (low & 127) | (packed[at++]! << 7) : low
    bits[row >> 3]! |= 1 << (row & 7)
  }
}

/** The same without some rows: the same bytes if none of these is in there, undefined if nothing is left. */
export function withoutRows(packed: Uint8Array, gone: readonly number[]): Uint8Array | undefined {
  const [saidEnd, lengthsEnd] = partsOf(packed)
  const said = Buffer.from(packed.buffer, packed.byteOffset + headBytes, saidEnd - headBytes)
  const words = said.toString().split('\n').slice(1, -1)
  let [lengthAt, rowsAt, isChanged] = [saidEnd, lengthsEnd, false]
  const bits = new Uint8Array(bytesOfRows)
  const rows: number[] = []
  const ends = words.map(() => {
    const low = packed[lengthAt++]!
    const length = low > 127 ? (low & 127) | (packed[lengthAt++]! << 7) : low
    bits.fill(0)
    setRows(packed, rowsAt, length, bits)
    rowsAt += length >> 1
    for (const row of gone) {
      if (hasRow(bits, row)) isChanged = true
      bits[row >> 3]! &= ~(1 << (row & 7))
    }
    for (let row = 0; row < rowsInPiece; row++) if (hasRow(bits, row)) rows.push(row)
    return rows.length
  })
  if (!isChanged) return packed
  const sorted = { rows: Uint16Array.from(rows), ends: Int32Array.from(ends) }
  return packWords([...words.keys()], words, sorted)
}

function hasRow(bits: Uint8Array, row: number): boolean {
  return (bits[row >> 3]! & (1 << (row & 7))) !== 0
}

/** Where the words end, and where the lengths do. */
function partsOf(packed: Uint8Array): [said: number, lengths: number] {
  const head = new DataView(packed.buffer, packed.byteOffset)
  const saidEnd = headBytes + head.getUint32(0, true)
  return [saidEnd, saidEnd + head.getUint32(4, true)]
}
