import { isRecord, record, text } from './conversation/fields.ts'
import type { Fields } from './conversation/fields.ts'

// A finished response told once more as a stream, in the order that the helpers of the SDKs insist on.

/**
 * The events of a response that has ended, each whole, beginning after the sequence number `startingAfter`. Each text
 * comes in one piece, so the numbers are those of this telling and not of the stream that first brought it.
 */
export function* replay(response: Fields, startingAfter = -1): Generator<string> {
  let sequence = 0
  for (const { type, members } of tell(response)) {
    const number = sequence++
    if (number <= startingAfter) continue
    const data = JSON.stringify({ type, sequence_number: number, ...members })
    yield `event: ${type}\ndata: ${data}\n\n`
  }
}

interface Told {
  readonly type: string
  readonly members: Fields
}

function* tell(response: Fields): Generator<Told> {
  const begun = {
    ...response,
    status: 'in_progress',
    completed_at: null,
    error: null,
    incomplete_details: null,
    output: [],
    usage: null,
  }
  yield { type: 'response.created', members: { response: begun } }
  yield { type: 'response.in_progress', members: { response: begun } }
  const output = Array.isArray(response['output']) ? (response['output'] as unknown[]) : []
  for (const [index, item] of output.entries()) {
    if (isRecord(item)) yield* tellItem(item, index)
  }
  const status = text(response['status']) ?? 'completed'
  yield { type: `response.${status}`, members: { response } }
}

/** A member that grows while the item is open, with what it is before anything has come. */
interface Growing {
  readonly empty: Fields
  readonly events: Generator<Told>
}

function* tellItem(item: Fields, index: number): Generator<Told> {
  const where = { item_id: item['id'], output_index: index }
  const { empty, events } = growing(item, where)
  const opened = { ...item, status: 'in_progress', ...empty }
  yield { type: 'response.output_item.added', members: { output_index: index, item: opened } }
  yield* events
  yield { type: 'response.output_item.done', members: { output_index: index, item } }
}

function growing(item: Fields, where: Fields): Growing {
  switch (item['type']) {
    case 'message':
      return { empty: { content: [] }, events: tellContent(item, where) }
    case 'reasoning':
      return {
        empty: { summary: [], ...('content' in item && { content: [] }) },
        events: tellReasoning(item, where),
      }
    case 'function_call':
      return {
        empty: { arguments: '' },
        events: tellCall('response.function_call_arguments', 'arguments', item, where, {
          name: item['name'],
        }),
      }
    case 'custom_tool_call':
      return {
        empty: { input: '' },
        events: tellCall('response.custom_tool_call_input', 'input', item, where, {}),
      }
    default:
      return { empty: {}, events: nothing() }
  }
}

function* nothing(): Generator<Told> {}

function* tellCall(
  event: string,
  member: string,
  item: Fields,
  where: Fields,
  named: Fields,
): Generator<Told> {
  const written = text(item[member]) ?? ''
  if (written !== '') yield { type: `${event}.delta`, members: { ...where, delta: written } }
  yield { type: `${event}.done`, members: { ...where, ...named, [member]: written } }
}

function* tellContent(item: Fields, of: Fields): Generator<Told> {
  for (const [index, given] of list(item['content']).entries()) {
    const part = record(given)
    const where = { ...of, content_index: index }
    const kind = part['type']
    const empty =
      kind === 'refusal'
        ? { ...part, refusal: '' }
        : kind === 'output_text'
          ? { ...part, text: '', annotations: [], logprobs: [] }
          : { ...part, text: '' }
    yield { type: 'response.content_part.added', members: { ...where, part: empty } }
    if (kind === 'refusal') {
      const refusal = text(part['refusal']) ?? ''
      yield { type: 'response.refusal.delta', members: { ...where, delta: refusal } }
      yield { type: 'response.refusal.done', members: { ...where, refusal } }
    } else {
      const name = kind === 'reasoning_text' ? 'response.reasoning_text' : 'response.output_text'
      const more = kind === 'output_text' ? { logprobs: list(part['logprobs']) } : {}
      const written = text(part['text']) ?? ''
      yield { type: `${name}.delta`, members: { ...where, delta: written, ...more } }
      for (const [at, annotation] of list(part['annotations']).entries()) {
        yield {
          type: 'response.output_text.annotation.added',
          members: { ...where, annotation_index: at, annotation },
        }
      }
      yield { type: `${name}.done`, members: { ...where, text: written, ...more } }
    }
    yield { type: 'response.content_part.done', members: { ...where, part } }
  }
}

function* tellReasoning(item: Fields, of: Fields): Generator<Told> {
  for (const [index, given] of list(item['summary']).entries()) {
    const part = record(given)
    const where = { ...of, summary_index: index }
    const written = text(part['text']) ?? ''
    const event = 'response.reasoning_summary'
    yield { type: `${event}_part.added`, members: { ...where, part: { ...part, text: '' } } }
    yield { type: `${event}_text.delta`, members: { ...where, delta: written } }
    yield { type: `${event}_text.done`, members: { ...where, text: written } }
    yield { type: `${event}_part.done`, members: { ...where, part } }
  }
  yield* tellContent(item, of)
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
