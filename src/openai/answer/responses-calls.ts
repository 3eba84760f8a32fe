import { isRecord } from '../conversation/fields.ts'
import type { Item, KnownTool } from './responses-object.ts'
import type { OpenedCall } from './writer.ts'

/** Writes one event; `members` is the JSON text of its members after type and sequence number. */
export type WriteEvent = (type: string, members: string) => void

/** A tool call that is being written. */
export interface OpenItemOfCall {
  readonly item: Item
  /** Takes a piece of what the model writes. */
  add(piece: string): void
  /** What came so far is a whole JSON object: more cannot follow. */
  isWhole(): boolean
  /** Says the rest and closes the item. */
  close(status: string): void
}

/** Opens the item of a call: a `function_call`, or a `custom_tool_call` for tools that take free text. */
export function openCallItem(
  { id: callId, name, kind, extra }: OpenedCall,
  known: KnownTool | undefined,
  place: { readonly id: (prefix: string) => string; readonly index: number },
  write: WriteEvent,
): OpenItemOfCall {
  const isCustom = kind === 'custom' || known?.isCustom === true
  /** The model writes JSON around the text, which is only taken off once it is whole. */
  const isPacked = isCustom && kind !== 'custom'
  const member = isCustom ? 'input' : 'arguments'
  const event = isCustom ? 'response.custom_tool_call_input' : 'response.function_call_arguments'
  let written = ''

  const item: Item = {
    ...extra,
    id: place.id(isCustom ? 'ctc' : 'fc'),
    type: isCustom ? 'custom_tool_call' : 'function_call',
    status: 'in_progress',
    call_id: callId,
    name: known?.name ?? name,
    ...(known?.namespace !== undefined && { namespace: known.namespace }),
    [member]: '',
  }
  const where = `"item_id":${JSON.stringify(item.id)},"output_index":${place.index}`
  write(
    'response.output_item.added',
    `"output_index":${place.index},"item":${JSON.stringify(item)}`,
  )
  const delta = (piece: string): void =>
    write(`${event}.delta`, `${where},"delta":${JSON.stringify(piece)}`)

  return {
    item,
    add(piece) {
      if (piece === '') return
      written += piece
      if (!isPacked) {
        item[member] = written
        delta(piece)
      }
    },
    isWhole: () => (isCustom && !isPacked ? false : parsed(written) !== undefined),
    close(status) {
      if (isPacked) {
        const text = unpacked(written)
        item[member] = text
        if (text !== '') delta(text)
      } else if (!isCustom && written === '') {
        item[member] = '{}'
      }
      item.status = status
      const named = isCustom ? '' : `,"name":${JSON.stringify(item['name'])}`
      write(`${event}.done`, `${where}${named},"${member}":${JSON.stringify(item[member])}`)
      write(
        'response.output_item.done',
        `"output_index":${place.index},"item":${JSON.stringify(item)}`,
      )
    },
  }
}

function parsed(written: string): Readonly<Record<string, unknown>> | undefined {
  if (!written.trimEnd().endsWith('}')) return undefined
  try {
    const value: unknown = JSON.parse(written)
    return isRecord(value) ? value : undefined
  } catch {
    // Not whole yet, or never going to be; both are passed on as they are.
    return undefined
  }
}

/** The free text in `{"input": "…"}`; what is something else is the text itself. */
function unpacked(written: string): string {
  const input = parsed(written)?.['input']
  return typeof input === 'string' ? input : written
}
