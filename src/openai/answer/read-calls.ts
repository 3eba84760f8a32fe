import { GatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'

import { integer, isRecord, record, text } from '../conversation/fields.ts'
import type { Fields } from '../conversation/fields.ts'
import type { AnswerWriter } from './writer.ts'

/** Reads tool calls, whole or in pieces, as sloppily as servers of the OpenAI-compatible family write them. */
export interface CallReader {
  /** A `tool_calls` list of a message or a delta. */
  calls(list: readonly unknown[]): void
  /** The deprecated `function_call`. */
  oldCall(call: Fields): void
  /** No more pieces come. Throws `upstream_malformed` for a call that never got a name. */
  flush(): void
}

interface Slot {
  readonly kind: 'function' | 'custom'
  readonly index: number | undefined
  id: string
  name: string
  extra: Fields
  /** The writer's number once the name is known. */
  call: number | undefined
  /** Arguments that came before the name. */
  waiting: string
}

const ownMembers = new Set(['id', 'type', 'index', 'function', 'custom'])

export function createCallReader(writer: AnswerWriter): CallReader {
  const slots: Slot[] = []
  let old: Slot | undefined

  /**
   * The call that a piece belongs to. By its index, unless another id shows that the server counts every call as 0;
   * without an index by its id, and without either a piece with a name begins a call and others continue the last.
   */
  function slotOf(piece: Fields, kind: Slot['kind'], isWhole: boolean): Slot {
    const index = integer(piece['index'])
    const id = text(piece['id']) ?? ''
    const named = (text(record(piece[kind])['name']) ?? '') !== ''
    const known = isWhole
      ? undefined
      : index !== undefined
        ? slots.findLast((slot) => slot.index === index)
        : id !== ''
          ? slots.find((slot) => slot.id === id)
          : named
            ? undefined
            : slots.at(-1)
    const isAnother =
      known !== undefined && named && id !== '' && known.id !== '' && id !== known.id
    if (known && !isAnother) return known
    const slot = open(kind, index)
    return slot
  }

  function open(kind: Slot['kind'], index: number | undefined): Slot {
    const slot: Slot = { kind, index, id: '', name: '', extra: {}, call: undefined, waiting: '' }
    slots.push(slot)
    return slot
  }

  function feed(slot: Slot, piece: Fields, body: Fields): void {
    // Some servers repeat id and name with every piece: the first ones stand.
    if (slot.id === '') slot.id = text(piece['id']) ?? ''
    if (slot.name === '') slot.name = text(body['name']) ?? ''
    if (slot.call === undefined) slot.extra = { ...slot.extra, ...beyond(piece) }
    const given = slot.kind === 'custom' ? body['input'] : body['arguments']
    const written = isRecord(given) || Array.isArray(given) ? JSON.stringify(given) : text(given)
    slot.waiting += written ?? ''
    if (slot.call === undefined) {
      if (slot.name === '') return
      slot.id ||= `call_${newId()}`
      slot.call = writer.openCall({
        id: slot.id,
        name: slot.name,
        ...(slot.kind === 'custom' && { kind: 'custom' as const }),
        ...(Object.keys(slot.extra).length > 0 && { extra: slot.extra }),
      })
    }
    if (slot.waiting !== '') writer.callArguments(slot.call, slot.waiting)
    slot.waiting = ''
  }

  return {
    calls(list) {
      for (const given of list) {
        if (!isRecord(given)) continue
        const kind = given['type'] === 'custom' || isRecord(given['custom']) ? 'custom' : 'function'
        // A list whose calls have neither index nor id is in order, one call each.
        const isWhole =
          list.length > 1 && given['index'] === undefined && (text(given['id']) ?? '') === ''
        const slot = slotOf(given, kind, isWhole)
        feed(slot, given, record(given[slot.kind]))
      }
    },
    oldCall(call) {
      old ??= open('function', undefined)
      feed(old, {}, call)
    },
    flush() {
      if (slots.some(({ call }) => call === undefined)) {
        throw new GatewayError(
          'upstream_malformed',
          'The provider sent a tool call without a name.',
        )
      }
    },
  }
}

function beyond(piece: Fields): Fields {
  return Object.fromEntries(
    Object.entries(piece).filter(([name, value]) => !ownMembers.has(name) && value !== null),
  )
}
