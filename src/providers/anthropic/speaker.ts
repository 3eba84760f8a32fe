import type { AnswerWriter, FinishReason } from '#openai/answer/writer.ts'
import { isRecord, record, text } from '#openai/conversation/fields.ts'

import { createCitations } from './citations.ts'
import type { ToolNames } from './names.ts'
import { createUsageReader, tierOf } from './usage.ts'
import { reasoningFormat } from './wire.ts'

type Fields = Readonly<Record<string, unknown>>

/**
 * Says an answer to a writer, block by block. Streams and whole answers go the same way, since a block that starts
 * with its content is a whole one (docs pages "Streaming messages" and "Create a Message", as read in November 2026).
 */
export interface Speaker {
  start(message: Fields): void
  openBlock(index: number, block: Fields): void
  delta(index: number, delta: Fields): void
  closeBlock(index: number): void
  /** `delta` holds why the answer stopped. */
  stop(delta: Fields, usage: unknown): void
  end(): void
}

type Open =
  | { readonly kind: 'text' }
  | { readonly kind: 'thought'; readonly index: number }
  | { readonly kind: 'call'; readonly call: number; readonly input: unknown; said: boolean }
  /** A custom tool's input, or the answer that a tool stands for, is known once its JSON is whole. */
  | { readonly kind: 'buffered'; readonly call: number; readonly input: unknown; json: string }
  | { readonly kind: 'answer'; readonly input: unknown; said: boolean }
  | { readonly kind: 'foreign'; readonly block: Record<string, unknown>; json: string }
  | { readonly kind: 'silent' }

const finishes: ReadonlyMap<unknown, FinishReason> = new Map<unknown, FinishReason>([
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['pause_turn', 'stop'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['refusal', 'content_filter'],
])

export function createSpeaker(writer: AnswerWriter, names: ToolNames): Speaker {
  const usage = createUsageReader()
  const citations = createCitations(writer)
  const blocks = new Map<number, Open>()
  const foreign: unknown[] = []
  let thoughts = 0

  function say(piece: unknown): void {
    if (typeof piece !== 'string' || piece === '') return
    citations.advance(piece.length)
    writer.text(piece)
  }

  function opened(block: Fields): Open {
    switch (block['type']) {
      case 'text':
        citations.begin()
        say(block['text'])
        if (Array.isArray(block['citations']))
          for (const one of block['citations']) citations.add(one)
        return { kind: 'text' }
      case 'thinking': {
        const index = thoughts++
        // Said even when empty: the text may be withheld, and the signature alone has to go back.
        const said = text(block['thinking']) ?? ''
        writer.reasoning({ type: 'reasoning.text', index, text: said, format: reasoningFormat })
        sign(index, block['signature'])
        return { kind: 'thought', index }
      }
      case 'redacted_thinking': {
        const data = text(block['data']) ?? ''
        writer.reasoning({
          type: 'reasoning.encrypted',
          index: thoughts++,
          data,
          format: reasoningFormat,
        })
        return { kind: 'silent' }
      }
      case 'tool_use': {
        const name = text(block['name']) ?? ''
        const { input } = block
        if (name === names.answerTool) return { kind: 'answer', input, said: false }
        const own = names.back(name)
        const custom = names.isCustom(own)
        const id = text(block['id']) ?? ''
        const call = writer.openCall({ id, name: own, ...(custom && { kind: 'custom' as const }) })
        return custom
          ? { kind: 'buffered', call, input, json: '' }
          : { kind: 'call', call, input, said: false }
      }
      default:
        return typeof block['type'] === 'string'
          ? { kind: 'foreign', block: { ...block }, json: '' }
          : { kind: 'silent' }
    }
  }

  function sign(index: number, signature: unknown): void {
    if (typeof signature === 'string' && signature !== '') {
      writer.reasoning({ type: 'reasoning.text', index, signature })
    }
  }

  function takeJson(open: Open | undefined, piece: unknown): void {
    if (typeof piece !== 'string' || piece === '' || !open) return
    if (open.kind === 'call') {
      open.said = true
      writer.callArguments(open.call, piece)
    } else if (open.kind === 'answer') {
      open.said = true
      say(piece)
    } else if (open.kind === 'buffered' || open.kind === 'foreign') open.json += piece
  }

  return {
    start(message) {
      const { usage: counts } = message
      writer.start({
        id: text(message['id']),
        model: text(message['model']),
        serviceTier: tierOf(counts),
      })
      if (isRecord(counts)) writer.usage(usage.read(counts))
    },

    openBlock(index, block) {
      blocks.set(index, opened(block))
    },

    delta(index, delta) {
      switch (delta['type']) {
        case 'text_delta':
          say(delta['text'])
          break
        case 'input_json_delta':
          takeJson(blocks.get(index), delta['partial_json'])
          break
        case 'thinking_delta': {
          const open = blocks.get(index)
          const piece = text(delta['thinking'])
          if (open?.kind === 'thought' && piece !== undefined && piece !== '') {
            writer.reasoning({ type: 'reasoning.text', index: open.index, text: piece })
          }
          break
        }
        case 'signature_delta': {
          const open = blocks.get(index)
          if (open?.kind === 'thought') sign(open.index, delta['signature'])
          break
        }
        case 'citations_delta':
          citations.add(delta['citation'])
          break
        case 'compaction_delta': {
          const open = blocks.get(index)
          if (open?.kind === 'foreign') {
            for (const name in delta) if (name !== 'type') open.block[name] = delta[name]
          }
          break
        }
        default:
          // The vendor adds kinds of deltas and asks clients to pass over what they do not know.
          break
      }
    },

    closeBlock(index) {
      const open = blocks.get(index)
      if (!open) return
      blocks.delete(index)
      if (open.kind === 'text') citations.finish()
      else if (open.kind === 'call') {
        if (!open.said) writer.callArguments(open.call, jsonOf(open.input))
      } else if (open.kind === 'answer') {
        if (!open.said) say(jsonOf(open.input))
      } else if (open.kind === 'buffered') {
        const input = open.json === '' ? open.input : parsed(open.json)
        writer.callArguments(open.call, text(record(input)['input']) ?? jsonOf(input))
      } else if (open.kind === 'foreign') {
        if (open.json !== '') open.block['input'] = parsed(open.json)
        foreign.push(open.block)
      }
    },

    stop(delta, counts) {
      if (isRecord(counts)) writer.usage(usage.read(counts))
      const { stop_reason: reason, stop_sequence: sequence, stop_details: details } = delta
      if (reason === null || reason === undefined) return
      const why = text(record(details)['explanation'])
      if (reason === 'refusal' && why !== undefined) writer.refusal(why)
      writer.finish(finishes.get(reason) ?? 'stop', {
        ...(typeof sequence === 'string' && { stop_sequence: sequence }),
        ...(reason === 'pause_turn' && { stop_reason: reason }),
      })
    },

    end() {
      for (const index of [...blocks.keys()]) this.closeBlock(index)
      citations.end()
      // Once for the whole answer: clients that add up lists want an index in the entries of growing ones.
      if (foreign.length > 0) writer.extra({ provider_content: foreign })
      writer.end()
    },
  }
}

function jsonOf(input: unknown): string {
  return isRecord(input) ? JSON.stringify(input) : '{}'
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    // Cut off by the token limit; what there is of it is still worth having.
    return { _raw: json }
  }
}
