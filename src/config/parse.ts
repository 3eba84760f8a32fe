import { createScanner, parseTree, printParseErrorCode, stripComments } from 'jsonc-parser'
import type { Node, ParseError } from 'jsonc-parser'

import { above, below, createReport } from './problem.ts'
import type { Locate, Problem } from './problem.ts'

export interface Parsed {
  readonly value: unknown
  readonly locate: Locate
  /** Syntax errors and duplicate keys. After a syntax error `value` is undefined. */
  readonly problems: readonly Problem[]
}

// The parser recurses; no configuration needs more, and beyond some thousands it would overflow the stack.
const maxDepth = 200

/** Reads JSON with comments and trailing commas, remembering where everything stands. Never throws. */
export function parseConfig(source: string): Parsed {
  const text = source.startsWith('\uFEFF') ? source.slice(1) : source
  const place = placesIn(text)
  const tooDeep = offsetBeyondDepth(text)
  if (tooDeep !== undefined) {
    const message = `nested deeper than ${maxDepth} levels`
    return broken(place, [{ pointer: '', ...place(tooDeep), message }])
  }

  const errors: ParseError[] = []
  const root = parseTree(text, errors, { allowTrailingComma: true })
  if (root === undefined || errors.length > 0) {
    if (stripComments(text).trim() === '') {
      return broken(place, [{ pointer: '', ...place(0), message: 'the file is empty' }])
    }
    // Further errors on the same line are nearly always consequences of the first.
    const lines = new Map<number, Problem>()
    for (const { error, offset } of errors) {
      const at = place(offset)
      if (!lines.has(at.line)) lines.set(at.line, { pointer: '', ...at, message: explain(error) })
    }
    return broken(place, [...lines.values()])
  }

  const offsets = new Map<string, { name: number; value: number }>()
  const locate: Locate = (pointer, at) => {
    // What is missing is reported where it should stand.
    const found = offsets.get(pointer)
    return found || pointer === '' ? place(found?.[at] ?? root.offset) : locate(above(pointer), at)
  }
  const report = createReport(locate)
  const value = read(root, '', root.offset)
  return { value, locate, problems: report.problems }

  function read(node: Node, pointer: string, nameOffset: number): unknown {
    offsets.set(pointer, { name: nameOffset, value: node.offset })
    if (node.type === 'array') {
      return (node.children ?? []).map((child, i) => read(child, below(pointer, i), child.offset))
    }
    if (node.type !== 'object') return node.value
    const object: Record<string, unknown> = {}
    for (const property of node.children ?? []) {
      const [name, child] = property.children ?? []
      if (name === undefined || child === undefined) continue
      const key = String(name.value)
      const here = below(pointer, key)
      const first = offsets.get(here)
      if (first !== undefined) {
        const duplicate = `duplicate key ${JSON.stringify(key)}; the first one is on line ${place(first.name).line}`
        report.problems.push({ pointer: here, ...place(name.offset), message: duplicate })
        continue
      }
      // Assigned like any other, this name would change the object's prototype instead.
      if (key === '__proto__') {
        offsets.set(here, { name: name.offset, value: child.offset })
        report.problem(here, 'unknown key "__proto__"', 'name')
        continue
      }
      object[key] = read(child, here, name.offset)
    }
    return object
  }
}

function broken(place: ReturnType<typeof placesIn>, problems: readonly Problem[]): Parsed {
  return { value: undefined, locate: () => place(0), problems }
}

/** Offset → line and column, both from 1. */
function placesIn(text: string): (offset: number) => { line: number; column: number } {
  const starts = [0]
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) starts.push(i + 1)
  return (offset) => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - starts[low]! + 1 }
  }
}

function offsetBeyondDepth(text: string): number | undefined {
  const scanner = createScanner(text, true)
  let depth = 0
  let position = -1
  for (;;) {
    scanner.scan()
    const offset = scanner.getTokenOffset()
    if (offset >= text.length || scanner.getPosition() === position) return undefined
    position = scanner.getPosition()
    const first = text.charAt(offset)
    if (first === '{' || first === '[') depth++
    else if (first === '}' || first === ']') depth--
    if (depth > maxDepth) return offset
  }
}

const explanations: Readonly<Record<string, string>> = {
  InvalidSymbol: 'this is not a JSON value; strings need double quotes',
  InvalidNumberFormat: 'this is not a JSON number',
  PropertyNameExpected: 'expected a key in double quotes',
  ValueExpected: 'expected a value',
  ColonExpected: 'expected ":"',
  CommaExpected: 'expected ","',
  CloseBraceExpected: 'expected "}"',
  CloseBracketExpected: 'expected "]"',
  EndOfFileExpected: 'expected the end of the file',
  UnexpectedEndOfComment: 'this comment has no end',
  UnexpectedEndOfString: 'this string has no closing quote',
  UnexpectedEndOfNumber: 'this number is incomplete',
  InvalidUnicode: 'this \\u escape is invalid',
  InvalidEscapeCharacter: 'this escape is invalid',
  InvalidCharacter: 'a string must not contain control characters; write them as escapes',
}

function explain(code: ParseError['error']): string {
  const name = printParseErrorCode(code)
  return explanations[name] ?? `syntax error (${name})`
}
