import { isRecord } from '#openai/conversation/fields.ts'

import type { ChoiceState, Facts, Loose } from './choice.ts'

/**
 * Mends a list of tool calls in place: an integer index for each piece, id, type and name once, arguments as text.
 * Returns whether anything was changed.
 */
export function mendCalls(
  calls: unknown[],
  holder: 'delta' | 'message',
  state: ChoiceState,
  facts: Facts,
): boolean {
  let isChanged = false
  calls.forEach((call, at) => {
    if (!isRecord(call)) return
    const own = call as Loose
    if (mendArguments(own)) isChanged = true
    const changed = holder === 'message' ? whole(own, state, facts) : piece(own, at, state, facts)
    if (changed) isChanged = true
  })
  return isChanged
}

function mendArguments(call: Loose): boolean {
  const fn = call['function']
  if (!isRecord(fn)) return false
  const given = fn['arguments']
  if (typeof given === 'string' || given === undefined) return false
  const own = fn as Loose
  if (given === null) delete own['arguments']
  else own['arguments'] = JSON.stringify(given)
  return true
}

function whole(call: Loose, state: ChoiceState, facts: Facts): boolean {
  const isChanged = complete(call, state.count++, facts)
  // Only pieces of a stream are numbered.
  if (!('index' in call)) return isChanged
  delete call['index']
  return true
}

/** Some servers leave out what can be guessed, or write `null` as text. */
function complete(call: Loose, index: number, facts: Facts): boolean {
  let isChanged = false
  if (!hasId(call)) {
    call['id'] = `call_${facts.id.slice('chatcmpl-'.length)}_${index}`
    isChanged = true
  }
  if (typeof call['type'] !== 'string') {
    call['type'] = 'function'
    isChanged = true
  }
  return isChanged
}

function hasId({ id }: Loose): boolean {
  return typeof id === 'string' && id !== '' && id !== 'null'
}

function piece(call: Loose, at: number, state: ChoiceState, facts: Facts): boolean {
  const given = call['index']
  const id = hasId(call) ? String(call['id']) : undefined
  const theirs = Number.isInteger(given) ? (given as number) : implied(id, at, state)
  const known = state.calls.get(theirs)
  // Servers that number every call 0 tell them apart by their ids.
  if (!known || (id !== undefined && id !== known.id && startsCall(call))) {
    const index = state.count++
    state.last = theirs
    const isChanged = complete(call, index, facts)
    if (state.calls.size < maxCalls) state.calls.set(theirs, { index, id: String(call['id']) })
    if (given === index) return isChanged
    call['index'] = index
    return true
  }
  state.last = theirs
  let isChanged = false
  if (given !== known.index) {
    call['index'] = known.index
    isChanged = true
  }
  for (const name of ['id', 'type']) {
    if (!(name in call)) continue
    delete call[name]
    isChanged = true
  }
  const fn = call['function']
  if (isRecord(fn) && 'name' in fn) {
    delete (fn as Loose)['name']
    isChanged = true
  }
  return isChanged
}

/** No answer calls that many tools at once. */
const maxCalls = 10_000

/** Without an index, a new id is a new call, and a piece without an id continues the call before it. */
function implied(id: string | undefined, at: number, state: ChoiceState): number {
  if (id !== undefined) {
    for (const [theirs, call] of state.calls) if (call.id === id) return theirs
    return state.count
  }
  return state.last === -1 ? at : state.last
}

function startsCall(call: Loose): boolean {
  const fn = call['function']
  return isRecord(fn) && typeof fn['name'] === 'string' && fn['name'] !== ''
}
