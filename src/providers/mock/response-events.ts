// The event stream of a finished response. Everything follows from the response itself, so a stored one
// can be streamed again from any sequence number.

import { typedFrame } from './answer.ts'
import { type Item, type Part, type ResponseObject, unfinished } from './response-object.ts'
import { words } from './text.ts'

/** Frames in the order the SDK's stream helper insists on; `pieces` are the deltas of the answer's text, words when absent. */
export function responseFrames(response: ResponseObject, pieces?: readonly string[]): string[] {
  const frames: string[] = []
  function emit(type: string, fields: object): void {
    frames.push(typedFrame({ type, sequence_number: frames.length, ...fields }))
  }
  const opening = { response: unfinished(response, 'in_progress') }
  emit('response.created', opening)
  emit('response.in_progress', opening)
  response.output.forEach((item, output_index) => {
    emit('response.output_item.added', { output_index, item: opened(item) })
    emitItem(item, output_index, { emit, frames, pieces })
    emit('response.output_item.done', { output_index, item })
  })
  emit(`response.${response.status}`, { response })
  return frames
}

interface Sink {
  readonly emit: (type: string, fields: object) => void
  readonly frames: string[]
  readonly pieces: readonly string[] | undefined
}

/** An item as it is announced: everything but its content. */
function opened(item: Item): Item {
  switch (item.type) {
    case 'message':
      return { ...item, status: 'in_progress', content: [] }
    case 'reasoning':
      return { ...item, summary: [] }
    case 'function_call':
      return { ...item, status: 'in_progress', arguments: '' }
    default:
      return { ...item, status: 'in_progress', input: '' }
  }
}

function emitItem(item: Item, output_index: number, sink: Sink): void {
  const { emit } = sink
  const place = { item_id: item.id, output_index }
  switch (item.type) {
    case 'message':
      emitPart(item.content![0]!, { ...place, content_index: 0 }, sink)
      return
    case 'reasoning':
      for (const [summary_index, part] of item.summary!.entries()) {
        const at = { ...place, summary_index }
        const text = part.text!
        emit('response.reasoning_summary_part.added', { ...at, part: { ...part, text: '' } })
        for (const delta of words(text))
          emit('response.reasoning_summary_text.delta', { ...at, delta })
        emit('response.reasoning_summary_text.done', { ...at, text })
        emit('response.reasoning_summary_part.done', { ...at, part })
      }
      return
    case 'function_call': {
      const text = item.arguments!
      for (const delta of halves(text))
        emit('response.function_call_arguments.delta', { ...place, delta })
      emit('response.function_call_arguments.done', { ...place, name: item.name, arguments: text })
      return
    }
    default: {
      const text = item.input!
      for (const delta of halves(text))
        emit('response.custom_tool_call_input.delta', { ...place, delta })
      emit('response.custom_tool_call_input.done', { ...place, input: text })
    }
  }
}

interface PartPlace {
  readonly item_id: string
  readonly output_index: number
  readonly content_index: number
}

function emitPart(part: Part, place: PartPlace, { emit, frames, pieces }: Sink): void {
  const refused = part.type === 'refusal'
  const kind = refused ? 'refusal' : 'output_text'
  const text = (refused ? part.refusal : part.text)!
  const rest = refused ? {} : { logprobs: [] }
  const empty = refused ? { ...part, refusal: '' } : { ...part, text: '' }
  emit('response.content_part.added', { ...place, part: empty })
  // The one event that load tests ask for by the hundred: everything that repeats is rendered once.
  const type = `response.${kind}.delta`
  const before = `event: ${type}\ndata: {"type":"${type}","sequence_number":`
  const after = `,"item_id":"${place.item_id}","output_index":${place.output_index},"content_index":0,${refused ? '' : '"logprobs":[],'}"delta":`
  for (const delta of pieces ?? words(text)) {
    frames.push(`${before}${frames.length}${after}${JSON.stringify(delta)}}\n\n`)
  }
  emit(`response.${kind}.done`, { ...place, ...rest, [refused ? 'refusal' : 'text']: text })
  emit('response.content_part.done', { ...place, part })
}

function halves(text: string): string[] {
  const middle = text.length >> 1
  return [text.slice(0, middle), text.slice(middle)]
}
