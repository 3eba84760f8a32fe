import type { ASTNode, Environment, ParseResult } from '@marcbachmann/cel-js'
import type { RE2JS } from 're2js'

import { FACT_TYPES, UNKNOWN_FACTS } from './facts.ts'
import type { Facts } from './facts.ts'
import { guardsOf } from './guards.ts'
import type { Guard } from './guards.ts'

/** A condition in CEL, ready to be asked. */
export interface Condition {
  /** When one of them does not hold, the condition is not true. */
  readonly guards: readonly Guard[]
  /** It speaks of nothing but the provider, the model and the operation: the same for all such calls. */
  readonly isFixed: boolean
  /** Whether it is true, or why that cannot be said. Never throws. */
  readonly test: (facts: Facts) => boolean | Failure
}

/** Why a condition could not be evaluated. */
export interface Failure {
  readonly why: string
}

export type Compiled =
  | { readonly condition: Condition; readonly warnings: readonly string[] }
  | { readonly problem: string }

/** More is no condition but a program; also bounds how deep parsing recurs. */
const limits = {
  maxAstNodes: 500,
  maxDepth: 50,
  maxListElements: 500,
  maxMapEntries: 100,
  maxCallArguments: 8,
}
const maxPatternLength = 500

/** Compiles the conditions of one configuration. */
export type Compiler = (expression: string) => Compiled

/**
 * What stands in expressions for two functions of the library: its `matches` is that of JavaScript, which for some
 * patterns takes longer than anybody waits, and its `split` makes lists as long as a caller likes.
 */
const ours: ReadonlyMap<string, string> = new Map([
  ['matches', 'matches_in_linear_time'],
  ['split', 'split_in_bounds'],
])

/** How many entries a loop may go over: pieces of a text, headers, parameters. */
const maxLooped = 1000

/**
 * A compiler that takes a condition or says in one sentence what is wrong with it: it does not parse, speaks of
 * something that no call has, is no condition, or could take long. What it takes needs time in proportion to the
 * request: regular expressions are RE2's and written in the expression itself, and loops are short and never within
 * a loop.
 */
export function createCompiler(): Compiler {
  // Loaded with the first rule: a start without rules does not pay for it.
  const { Environment } = require('@marcbachmann/cel-js') as typeof import('@marcbachmann/cel-js')
  const environment = new Environment({ limits })
  for (const [name, type] of Object.entries(FACT_TYPES)) environment.registerVariable(name, type)
  const patterns = new Map<string, RE2JS>()
  const matches = (text: string, pattern: string): boolean => patterns.get(pattern)!.test(text)
  environment.registerFunction('string.matches_in_linear_time(string): bool', matches)
  environment.registerFunction('matches_in_linear_time(string, string): bool', matches)
  environment.registerFunction('string.split_in_bounds(string): list<string>', split)
  environment.registerFunction('string.split_in_bounds(string, int): list<string>', split)
  return (expression) => compile(expression, environment, patterns)
}

function split(text: string, separator: string, limit = -1n): string[] {
  if (limit === 0n) return []
  const pieces = text.split(separator, maxLooped + 1)
  if (pieces.length > maxLooped) throw new Error(`split() makes more than ${maxLooped} pieces`)
  if (limit < 0n || BigInt(pieces.length) <= limit) return pieces
  const whole = pieces.slice(0, Number(limit) - 1)
  return [...whole, pieces.slice(whole.length).join(separator)]
}

/** Why a loop is not begun; its other lists are written out, or have been counted when they were made. */
function tooMany({ headers, params }: Facts): Failure | undefined {
  const isLong = [headers, params].some((map) => Object.keys(map).length > maxLooped)
  return isLong
    ? { why: `more than ${maxLooped} headers or parameters to look through` }
    : undefined
}

function compile(
  expression: string,
  environment: Environment,
  patterns: Map<string, RE2JS>,
): Compiled {
  let parsed: ParseResult
  try {
    parsed = environment.parse(expression)
  } catch (thrown) {
    return { problem: explain(thrown, expression) }
  }
  const survey: Survey = { problem: undefined, names: new Set(), warnings: [], hasLoop: false }
  look(parsed.ast, false, survey, patterns)
  if (survey.problem !== undefined) return { problem: survey.problem }
  const checked = parsed.check()
  if (!checked.valid) return { problem: explain(checked.error, expression) }
  if (checked.type !== 'bool') {
    return { problem: `must be true or false (bool), and this is of type ${checked.type}` }
  }
  for (const name of survey.names) {
    if (UNKNOWN_FACTS.has(name)) {
      survey.warnings.push(`"${name}" is always ${emptyOf(name)} in this version`)
    }
  }
  const test: Condition['test'] = (facts) => {
    const refused = survey.hasLoop ? tooMany(facts) : undefined
    if (refused) return refused
    try {
      return parsed(facts) === true
    } catch (thrown) {
      return { why: summary(thrown) }
    }
  }
  const guards = guardsOf(parsed.ast)
  const isStreamType = (text: string): boolean => text.endsWith('_stream')
  if (guards.some(({ fact, texts }) => fact === 'request_type' && texts.some(isStreamType))) {
    survey.warnings.push('request types are the same for streams; ask for "stream" as well')
  }
  const isFixed = [...survey.names].every((name) => fixedFacts.has(name))
  return { condition: { guards, isFixed, test }, warnings: survey.warnings }
}

interface Survey {
  problem: string | undefined
  readonly names: Set<string>
  readonly warnings: string[]
  hasLoop: boolean
}

const fixedFacts: ReadonlySet<string> = new Set(['model', 'provider', 'request_type', 'stream'])
const loops = new Set(['all', 'exists', 'exists_one', 'filter', 'map'])

/** Looks through a parsed expression, and puts our `matches` in place of the library's. */
function look(ast: ASTNode, isInLoop: boolean, survey: Survey, patterns: Map<string, RE2JS>): void {
  if (ast.op === 'id') survey.names.add(ast.args)
  if (ast.op === '[]') warnCase(ast.args, survey)
  if (ast.op === 'call' || ast.op === 'rcall') {
    const [name] = ast.args
    if ([...ours.values()].includes(name)) survey.problem ??= `there is no function "${name}"`
    if (name === 'matches') {
      survey.problem ??= keepPattern(ast.op === 'call' ? ast.args[1][1] : ast.args[2][0], patterns)
    }
    ast.args[0] = ours.get(name) ?? name
  }
  if (ast.op === 'rcall') {
    const [name, receiver, given] = ast.args
    if (name === 'bind' && receiver.op === 'id' && receiver.args === 'cel') {
      survey.problem ??= '"cel.bind" cannot be used in a condition'
    }
    const isLoop = loops.has(name)
    survey.hasLoop ||= isLoop
    if (isLoop && isInLoop) {
      survey.problem ??= `"${name}" stands inside another loop, which could take long`
    }
    look(receiver, isInLoop, survey, patterns)
    for (const node of given) look(node, isInLoop || isLoop, survey, patterns)
  } else for (const node of childrenOf(ast)) look(node, isInLoop, survey, patterns)
}

function childrenOf({ op, args }: ASTNode): ASTNode[] {
  if (op === 'value' || op === 'id') return []
  const parts: readonly unknown[] = [args]
  return parts.flat(3).filter(isNode)
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value
}

/** Compiles a pattern; says what is wrong with one that cannot be. */
function keepPattern(node: ASTNode | undefined, patterns: Map<string, RE2JS>): string | undefined {
  if (node?.op !== 'value' || typeof node.args !== 'string') {
    return 'the pattern of "matches" must be written out, not computed'
  }
  const pattern = node.args
  if (pattern.length > maxPatternLength) {
    return `a pattern of "matches" has at most ${maxPatternLength} characters`
  }
  if (patterns.has(pattern)) return undefined
  const { RE2JS: Maker } = require('re2js') as typeof import('re2js')
  try {
    patterns.set(pattern, Maker.compile(pattern))
  } catch (thrown) {
    return `${JSON.stringify(pattern)} is not a valid RE2 pattern: ${summary(thrown)}`
  }
  return undefined
}

function warnCase([owner, key]: [ASTNode, ASTNode], survey: Survey): void {
  if (owner.op !== 'id' || owner.args !== 'headers' || key.op !== 'value') return
  if (typeof key.args === 'string' && key.args !== key.args.toLowerCase()) {
    survey.warnings.push(`"${key.args}" is never there: names of headers are in lower case`)
  }
}

function emptyOf(name: string): string {
  return FACT_TYPES[name as keyof Facts] === 'double' ? '0' : 'empty'
}

/** What is wrong with an expression and where in it, without the library's picture of the place. */
function explain(thrown: unknown, expression: string): string {
  const why = summary(thrown)
  const range = (thrown as { range?: { start?: unknown } } | undefined)?.range
  const start = typeof range?.start === 'number' ? Math.min(range.start, expression.length) : 0
  const known = why.startsWith('Unknown variable')
    ? ` Known are ${Object.keys(FACT_TYPES).join(', ')}.`
    : ''
  return `is not a valid expression: ${why} at character ${start + 1}.${known}`
}

/** The message without what follows its first line; bounded, since a request may have had a part in it. */
function summary(thrown: unknown): string {
  const { summary: short } = thrown as { summary?: unknown }
  const text = typeof short === 'string' ? short : thrown instanceof Error ? thrown.message : ''
  let line = text.split('\n', 1)[0]!
  for (const [theirs, own] of ours) line = line.replaceAll(own, theirs)
  return line.slice(0, 200).toWellFormed() || 'it failed'
}
