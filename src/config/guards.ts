import type { ASTNode } from '@marcbachmann/cel-js'

import type { Facts } from './facts.ts'

/**
 * A part of a condition without which it cannot be true, and that costs next to nothing to look at. Most conditions
 * begin with one, so that most rules are passed over without evaluating anything.
 */
export interface Guard {
  readonly fact: 'model' | 'provider' | 'request_type' | 'headers' | 'params'
  /** Of a header or a parameter; otherwise empty. */
  readonly name: string
  /** What the text must be or begin with; or that there is one at all. */
  readonly test: 'one of' | 'begins with' | 'is there'
  readonly texts: readonly string[]
}

/** Whether the condition that this guard was taken from may still be true. */
export function holds(guard: Guard, facts: Facts): boolean {
  const { fact, test, texts } = guard
  const value: string | undefined =
    fact === 'headers' || fact === 'params' ? facts[fact][guard.name] : facts[fact]
  // What every object inherits is no text and so begins with nothing.
  if (typeof value !== 'string') return false
  if (test === 'one of') return texts.length === 1 ? texts[0] === value : texts.includes(value)
  return test === 'is there' || value.startsWith(texts[0]!)
}

/**
 * The guards in a checked expression: what stands between the outermost `&&`. In CEL, false and an error are false, so
 * one guard that does not hold decides, whatever the rest would do.
 */
export function guardsOf(ast: ASTNode): Guard[] {
  if (ast.op === '&&') return ast.args.flatMap(guardsOf)
  const guard = guardOf(ast)
  return guard ? [guard] : neededBy(ast)
}

/** Headers and parameters without which evaluating ends in an error: what is looked at in any case. */
function neededBy(ast: ASTNode): Guard[] {
  const place = placeOf(ast)
  if (place) return place.name === '' ? [] : [{ ...place, test: 'is there', texts: [] }]
  if (ast.op === '!_') return neededBy(ast.args)
  if (ast.op === 'rcall') return neededBy(ast.args[1])
  return isStrict(ast) ? ast.args.flatMap(neededBy) : []
}

/** Whether both sides are looked at whatever either is. */
function isStrict(ast: ASTNode): ast is ASTNode & { readonly op: '==' } {
  return strict.has(ast.op)
}

const strict: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=', '+', 'in'])

function guardOf(ast: ASTNode): Guard | undefined {
  if (ast.op === '==') {
    const [left, right] = ast.args
    return oneOf(left, [right]) ?? oneOf(right, [left])
  }
  if (ast.op === 'in') {
    const [left, right] = ast.args
    return right.op === 'list' ? oneOf(left, right.args) : undefined
  }
  if (ast.op === '||') {
    const [left, right] = ast.args.map(guardOf)
    if (left?.test !== 'one of' || right?.test !== 'one of') return undefined
    if (left.fact !== right.fact || left.name !== right.name) return undefined
    return { ...left, texts: [...left.texts, ...right.texts] }
  }
  if (ast.op !== 'rcall') return undefined
  const [method, receiver, given] = ast.args
  const place = placeOf(receiver)
  const text = textOf(given[0])
  if (method !== 'startsWith' || !place || text === undefined) return undefined
  return { ...place, test: 'begins with', texts: [text] }
}

function oneOf(what: ASTNode, values: readonly ASTNode[]): Guard | undefined {
  const place = placeOf(what)
  const texts = values.map(textOf)
  if (!place || !texts.every((text) => text !== undefined)) return undefined
  return { ...place, test: 'one of', texts }
}

function placeOf(ast: ASTNode): Pick<Guard, 'fact' | 'name'> | undefined {
  if (ast.op === 'id') {
    const fact = ast.args
    const isPlain = fact === 'model' || fact === 'provider' || fact === 'request_type'
    return isPlain ? { fact, name: '' } : undefined
  }
  if (ast.op !== '[]' && ast.op !== '.') return undefined
  const [owner, key] = ast.args
  if (owner.op !== 'id' || (owner.args !== 'headers' && owner.args !== 'params')) return undefined
  const name = typeof key === 'string' ? key : textOf(key)
  return name === undefined ? undefined : { fact: owner.args, name }
}

function textOf(ast: ASTNode | undefined): string | undefined {
  return ast?.op === 'value' && typeof ast.args === 'string' ? ast.args : undefined
}
