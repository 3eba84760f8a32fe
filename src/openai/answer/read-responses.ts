import { GatewayError } from '#core/errors.ts'

import { integer, isRecord, record, text } from '../conversation/fields.ts'
import type { Fields } from '../conversation/fields.ts'
import { annotate } from './read-chat.ts'
import { countsOf } from './read-counts.ts'
import type { AnswerWriter, TokenCounts } from './writer.ts'

// Response objects and the events of streamed responses, said to an `AnswerWriter`.

export interface ResponsesReadOptions {
  /** The failure that `{error: …}` reports; undefined when it reports none. */
  readonly failure?: ((value: Fields) => GatewayError | undefined) | undefined
  /** Reads `usage` where the vendor counts otherwise than OpenAI. */
  readonly counts?: ((usage: Fields) => Partial<TokenCounts>) | undefined
}

/** Takes the events of one stream, which is whole with its terminal event. Throws `GatewayError`. */
export interface ResponseEventReader {
  event(value: Fields): void
}

/** Marks reasoning as OpenAI's own; nobody else can read what is encrypted in it. */
export const OPENAI_REASONING = 'openai-responses-v1'

/** Says a whole response. Throws `upstream_malformed` when it is none, or is not finished. */
export function readResponse(
  value: unknown,
  writer: AnswerWriter,
  options: ResponsesReadOptions = {},
): void {
  const response = record(value)
  const failure = options.failure?.(response)
  if (failure) throw failure
  if (!Array.isArray(response['output'])) {
    throw new GatewayError('upstream_malformed', 'The provider sent a response without an output.')
  }
  const reader = createReader(writer, options)
  reader.start(response)
  reader.finish(response)
}

export function responseEventReader(
  writer: AnswerWriter,
  options: ResponsesReadOptions = {},
): ResponseEventReader {
  const reader = createReader(writer, options)
  let ended = false
  return {
    event(value) {
      if (ended) return
      const type = text(value['type'])
      switch (type) {
        case 'response.created':
        case 'response.in_progress':
        case 'response.queued':
          reader.start(record(value['response']))
          return
        case 'response.completed':
        case 'response.incomplete':
          reader.finish(record(value['response']))
          ended = true
          return
        case 'response.failed':
          throw failed(record(value['response']), options)
        case 'error':
          throw failed({ error: isRecord(value['error']) ? value['error'] : flat(value) }, options)
        case undefined: {
          const failure = options.failure?.(value)
          if (failure) throw failure
          return
        }
        default:
          reader.piece(type, value)
      }
    },
  }
}

/** In a flat error event `type` is the event's name and not the error's type. */
function flat(event: Fields): Fields {
  const { type: _, sequence_number: __, ...error } = event
  return error
}

function failed(response: Fields, { failure }: ResponsesReadOptions): GatewayError {
  return (
    failure?.(response) ??
    new GatewayError(
      'upstream_malformed',
      `The provider ended its response as '${(text(response['status']) ?? 'failed').slice(0, 50)}'.`,
    )
  )
}

/** What has been said of one item. */
interface ItemState {
  /** The writer's number of a call. */
  call: number | undefined
  /** Length of what was said of a call's input, or of a summary. */
  said: number
  /** Content index → length of its text, or of its refusal. */
  readonly parts: Map<number, number>
  /** Text of the answer before this part's, by content index. */
  readonly before: Map<number, number>
  notes: number
  hasLogprobs: boolean
  /** Number of the reasoning block. */
  readonly thought: number
  /** Parts of the summary so far. */
  summaries: number
  isDone: boolean
}

interface Reader {
  start(response: Fields): void
  piece(type: string, event: Fields): void
  finish(response: Fields): void
}

function createReader(writer: AnswerWriter, options: ResponsesReadOptions): Reader {
  const items = new Map<number, ItemState>()
  let started = false
  let thoughts = 0
  let length = 0

  function stateOf(index: number): ItemState {
    let state = items.get(index)
    if (!state) {
      state = {
        call: undefined,
        said: 0,
        parts: new Map(),
        before: new Map(),
        notes: 0,
        hasLogprobs: false,
        thought: thoughts,
        summaries: 0,
        isDone: false,
      }
      items.set(index, state)
    }
    return state
  }

  function say(state: ItemState, part: number, piece: string, isRefusal = false): void {
    if (piece === '') return
    if (!state.before.has(part)) state.before.set(part, length)
    state.parts.set(part, (state.parts.get(part) ?? 0) + piece.length)
    if (isRefusal) writer.refusal(piece)
    else {
      length += piece.length
      writer.text(piece)
    }
  }

  /** The whole text is known; what of it has not been said yet is. */
  function complete(state: ItemState, part: number, whole: unknown, isRefusal = false): void {
    if (typeof whole === 'string') {
      say(state, part, whole.slice(state.parts.get(part) ?? 0), isRefusal)
    }
  }

  function logprobs(state: ItemState, tokens: unknown): void {
    if (!Array.isArray(tokens) || tokens.length === 0) return
    state.hasLogprobs = true
    writer.logprobs(tokens)
  }

  function note(state: ItemState, part: number, annotation: unknown): void {
    state.notes++
    const given = record(annotation)
    const before = state.before.get(part) ?? length
    const start = integer(given['start_index'])
    const end = integer(given['end_index'])
    annotate(
      {
        ...given,
        ...(start !== undefined && { start_index: start + before }),
        ...(end !== undefined && { end_index: end + before }),
      },
      writer,
    )
  }

  function think(state: ItemState, type: 'text' | 'summary', piece: string, id: unknown): void {
    if (piece === '') return
    thoughts = Math.max(thoughts, state.thought + 1)
    state.said += piece.length
    writer.reasoning({
      type: type === 'text' ? 'reasoning.text' : 'reasoning.summary',
      index: state.thought,
      ...(typeof id === 'string' && { id }),
      [type]: piece,
      format: OPENAI_REASONING,
    })
  }

  function openCall(state: ItemState, item: Fields): void {
    if (state.call !== undefined) return
    const isCustom = item['type'] === 'custom_tool_call'
    state.call = writer.openCall({
      id: text(item['call_id']) ?? text(item['id']) ?? '',
      name: text(item['name']) ?? '',
      ...(isCustom && { kind: 'custom' as const }),
    })
  }

  function callPiece(state: ItemState, piece: unknown): void {
    if (typeof piece !== 'string' || piece === '' || state.call === undefined) return
    state.said += piece.length
    writer.callArguments(state.call, piece)
  }

  /** Says of a finished item what has not been said of it. */
  function settle(index: number, item: Fields): void {
    const state = stateOf(index)
    if (state.isDone) return
    state.isDone = true
    switch (item['type']) {
      case 'function_call':
      case 'custom_tool_call': {
        openCall(state, item)
        const whole = text(item['type'] === 'function_call' ? item['arguments'] : item['input'])
        callPiece(state, whole?.slice(state.said))
        return
      }
      case 'message':
        settleMessage(state, item)
        return
      case 'reasoning':
        settleReasoning(state, item)
        return
      case 'search_results':
        writer.extra({ search_results: item['results'] })
    }
  }

  function settleMessage(state: ItemState, item: Fields): void {
    const content = Array.isArray(item['content']) ? (item['content'] as unknown[]) : []
    const hadNotes = state.notes > 0
    const hadLogprobs = state.hasLogprobs
    content.forEach((given, at) => {
      const part = record(given)
      if (part['type'] === 'refusal') complete(state, at, part['refusal'], true)
      else complete(state, at, part['text'])
      const notes = part['annotations']
      if (!hadNotes && Array.isArray(notes)) {
        for (const each of notes as unknown[]) note(state, at, each)
      }
      if (!hadLogprobs) logprobs(state, part['logprobs'])
    })
  }

  function settleReasoning(state: ItemState, item: Fields): void {
    if (state.said === 0) {
      const summary = textsOf(item['summary']).join('\n\n')
      if (summary === '') think(state, 'text', textsOf(item['content']).join('\n\n'), item['id'])
      else think(state, 'summary', summary, item['id'])
    }
    const data = text(item['encrypted_content'])
    if (data) {
      const id = text(item['id'])
      const index = state.thought
      thoughts = Math.max(thoughts, index + 1)
      writer.reasoning({
        type: 'reasoning.encrypted',
        index,
        ...(id !== undefined && { id }),
        data,
        format: OPENAI_REASONING,
      })
    }
  }

  return {
    start(response) {
      if (started) return
      started = true
      const id = text(response['id'])
      const model = text(response['model'])
      writer.start({ ...(id && { id }), ...(model && { model }), ...tierIn(response) })
    },
    piece(type, event) {
      if (!started) this.start({})
      const index = integer(event['output_index']) ?? 0
      const part = integer(event['content_index']) ?? 0
      const state = stateOf(index)
      const delta = text(event['delta']) ?? ''
      switch (type) {
        case 'response.output_item.added': {
          const item = record(event['item'])
          if (/^(?:function|custom_tool)_call$/.test(text(item['type']) ?? ''))
            openCall(state, item)
          return
        }
        case 'response.output_item.done':
          settle(index, record(event['item']))
          return
        case 'response.output_text.delta':
          say(state, part, delta)
          logprobs(state, event['logprobs'])
          return
        case 'response.output_text.done':
          complete(state, part, event['text'])
          if (!state.hasLogprobs) logprobs(state, event['logprobs'])
          return
        case 'response.refusal.delta':
          say(state, part, delta, true)
          return
        case 'response.refusal.done':
          complete(state, part, event['refusal'], true)
          return
        case 'response.output_text.annotation.added':
          note(state, part, event['annotation'])
          return
        case 'response.function_call_arguments.delta':
        case 'response.custom_tool_call_input.delta':
          callPiece(state, delta)
          return
        case 'response.function_call_arguments.done':
          callPiece(state, text(event['arguments'])?.slice(state.said))
          return
        case 'response.custom_tool_call_input.done':
          callPiece(state, text(event['input'])?.slice(state.said))
          return
        case 'response.reasoning_summary_part.added':
          if (state.summaries++ > 0 && state.said > 0) {
            think(state, 'summary', '\n\n', event['item_id'])
          }
          return
        case 'response.reasoning_summary_text.delta':
          think(state, 'summary', delta, event['item_id'])
          return
        case 'response.reasoning_text.delta':
          think(state, 'text', delta, event['item_id'])
      }
    },
    finish(response) {
      this.start(response)
      const output = Array.isArray(response['output']) ? (response['output'] as unknown[]) : []
      output.forEach((item, index) => settle(index, record(item)))
      for (const name of ['citations', 'search_results']) {
        if (Array.isArray(response[name])) writer.extra({ [name]: response[name] })
      }
      if (isRecord(response['usage'])) {
        // Only here it is what served: when a response begins, it may still be what was asked for.
        writer.usage({ ...(options.counts ?? countsOf)(response['usage']), ...tierIn(response) })
      }
      const status = response['status'] ?? 'completed'
      if (status === 'incomplete') {
        const why = record(response['incomplete_details'])['reason']
        writer.finish(why === 'content_filter' ? 'content_filter' : 'length')
      } else if (status === 'completed') {
        writer.finish('stop')
      } else throw failed(response, options)
      writer.end()
    },
  }
}

function tierIn({ service_tier: tier }: Fields): { serviceTier?: string } {
  return typeof tier === 'string' && tier !== '' && tier !== 'auto' ? { serviceTier: tier } : {}
}

function textsOf(parts: unknown): string[] {
  if (!Array.isArray(parts)) return []
  return (parts as unknown[]).flatMap((part) => text(record(part)['text']) ?? [])
}
