import type { AnswerWriter, FinishReason, UrlCitation } from '#openai/answer/writer.ts'
import { integer, record, text } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { streamFailure } from './errors.ts'
import { knowledgeOf } from './request.ts'
import { REDACTED_FORMAT, SIGNED_FORMAT } from './wire.ts'

// What an answer is made of ("ContentBlockDelta" and "ContentBlock", API Reference, as read in November 2026). A whole
// answer is read as a stream of one delta for each block, so that both come out the same.

type Fields = Readonly<Record<string, unknown>>

/** Takes the blocks of one answer as they come, by their number. */
export interface AnswerBlocks {
  start(index: number, start: Fields): void
  delta(index: number, delta: Fields): void
  stop(index: number): void
  /** Members of the answer that OpenAI does not have. */
  beside(fields: Fields): void
  /** Why the model stopped. Throws `upstream_error` when it broke down. */
  finish(reason: unknown): void
  usage(usage: unknown, serviceTier: unknown): void
  /** Everything has been said. */
  end(): void
}

/** A block whose end has not come. */
interface Open {
  /** Number of the call in the answer. */
  call: number | undefined
  /** What is kept until the block is whole: the input of a custom tool or of the vendor's own, an image. */
  kept: Kept | undefined
  /** Number among the blocks of thoughts. */
  thought: number | undefined
  /** Thoughts have been said, if only that there are none to be shown. */
  hasThought: boolean
  /** Where the block's text begins in the answer's. */
  textFrom: number
  isAnswer: boolean
  citations: Fields[]
}

type Kept =
  | { readonly kind: 'custom'; input: string }
  | { readonly kind: 'server'; readonly start: Fields; input: string }
  | { readonly kind: 'result'; readonly start: Fields; readonly content: unknown[] }
  | { readonly kind: 'image'; readonly format: string; readonly bytes: string[] }

/** Says an answer to a writer. */
export function answerBlocks(writer: AnswerWriter, exchange: Exchange): AnswerBlocks {
  const { names, family } = knowledgeOf(exchange)
  const signed = family.name === 'claude' ? { format: SIGNED_FORMAT } : undefined
  const redacted = family.name === 'claude' ? { format: REDACTED_FORMAT } : undefined
  const open = new Map<number, Open>()
  let textLength = 0
  let thoughts = 0
  let extra: Fields | undefined
  let reason: FinishReason = 'stop'

  function blockAt(index: number): Open {
    const known = open.get(index)
    if (known) return known
    const block: Open = {
      call: undefined,
      kept: undefined,
      thought: undefined,
      hasThought: false,
      textFrom: textLength,
      isAnswer: false,
      citations: [],
    }
    open.set(index, block)
    return block
  }

  function say(piece: string): void {
    textLength += piece.length
    writer.text(piece)
  }

  function startTool(block: Open, tool: Fields): void {
    const name = text(tool['name']) ?? ''
    if (tool['type'] === 'server_tool_use') {
      block.kept = { kind: 'server', start: tool, input: '' }
    } else if (name !== '' && name === names.answerTool) {
      block.isAnswer = true
    } else {
      const own = names.back(name)
      const isCustom = names.isCustom(own)
      if (isCustom) block.kept = { kind: 'custom', input: '' }
      const id = text(tool['toolUseId']) ?? ''
      block.call = writer.openCall({ id, name: own, ...(isCustom && { kind: 'custom' as const }) })
    }
  }

  function toolInput(block: Open, piece: string): void {
    const { kept, call } = block
    if (block.isAnswer) say(piece)
    else if (kept?.kind === 'custom' || kept?.kind === 'server') kept.input += piece
    else if (call !== undefined) writer.callArguments(call, piece)
  }

  function think(block: Open, content: Fields): void {
    block.thought ??= thoughts++
    const index = block.thought
    const said = text(content['text'])
    const signature = text(content['signature'])
    const data = text(content['redactedContent'])
    if (said !== undefined && said !== '') {
      block.hasThought = true
      writer.reasoning({ type: 'reasoning.text', index, text: said, ...signed })
    }
    if (signature !== undefined && signature !== '') {
      // The signature counts, also where the text behind it is not shown.
      const hidden = block.hasThought ? undefined : { text: '' }
      block.hasThought = true
      writer.reasoning({ type: 'reasoning.text', index, ...hidden, signature, ...signed })
    }
    if (data !== undefined)
      writer.reasoning({ type: 'reasoning.encrypted', index, data, ...redacted })
  }

  function cite(block: Open): void {
    const span = { start_index: block.textFrom, end_index: textLength }
    const others: Fields[] = []
    for (const citation of block.citations) {
      const { url } = record(record(citation['location'])['web'])
      if (typeof url === 'string') writer.annotation(annotationOf(url, citation, span))
      else others.push(citation)
    }
    if (others.length > 0) writer.extra({ citations: others })
  }

  return {
    start(index, start) {
      const block = blockAt(index)
      const { toolUse, toolResult, image } = start
      if (toolUse !== undefined) startTool(block, record(toolUse))
      else if (toolResult !== undefined) {
        block.kept = { kind: 'result', start: record(toolResult), content: [] }
      } else if (image !== undefined) {
        block.kept = { kind: 'image', format: text(record(image)['format']) ?? 'png', bytes: [] }
      }
    },
    delta(index, delta) {
      const block = blockAt(index)
      if (typeof delta['text'] === 'string') {
        say(delta['text'])
        return
      }
      const { toolUse, reasoningContent, citation, toolResult, image } = delta
      if (toolUse !== undefined) toolInput(block, text(record(toolUse)['input']) ?? '')
      else if (reasoningContent !== undefined) think(block, record(reasoningContent))
      else if (citation !== undefined) block.citations.push(record(citation))
      else if (Array.isArray(toolResult) && block.kept?.kind === 'result') {
        block.kept.content.push(...(toolResult as unknown[]))
      } else if (image !== undefined && block.kept?.kind === 'image') {
        const bytes = text(record(record(image)['source'])['bytes'])
        if (bytes !== undefined) block.kept.bytes.push(bytes)
      }
    },
    stop(index) {
      const block = open.get(index)
      if (!block) return
      open.delete(index)
      if (block.citations.length > 0) cite(block)
      if (block.kept) closeKept(block, block.kept, writer)
    },
    beside(fields) {
      for (const name of ['trace', 'additionalModelResponseFields', 'performanceConfig']) {
        const value = fields[name]
        if (value !== undefined && value !== null) extra = { ...extra, [name]: value }
      }
    },
    finish(given) {
      reason = finishOf(given)
    },
    usage(given, serviceTier) {
      const usage = record(given)
      const input = integer(usage['inputTokens'])
      const output = integer(usage['outputTokens'])
      const cached = integer(usage['cacheReadInputTokens']) ?? 0
      const cacheWrite = integer(usage['cacheWriteInputTokens']) ?? 0
      const tier = text(record(serviceTier)['type'])
      writer.usage({
        // The vendor does not count as input what a cache has taken over.
        ...(input !== undefined && { input: input + cached + cacheWrite }),
        ...(output !== undefined && { output }),
        cached,
        cacheWrite,
        ...(tier !== undefined && { serviceTier: tier }),
      })
    },
    end() {
      writer.finish(reason, extra && { bedrock: extra })
      writer.end()
    },
  }
}

function annotationOf(
  url: string,
  citation: Fields,
  span: { readonly start_index: number; readonly end_index: number },
): UrlCitation {
  const title = text(citation['title'])
  return {
    type: 'url_citation',
    url_citation: { url, ...(title !== undefined && { title }), ...span },
  }
}

function closeKept(block: Open, kept: Kept, writer: AnswerWriter): void {
  switch (kept.kind) {
    case 'custom': {
      if (block.call === undefined) return
      const input = record(parsed(kept.input))['input']
      writer.callArguments(block.call, typeof input === 'string' ? input : kept.input)
      return
    }
    case 'server': {
      const input = kept.input === '' ? {} : (parsed(kept.input) ?? kept.input)
      writer.extra({ provider_content: [{ toolUse: { ...kept.start, input } }] })
      return
    }
    case 'result':
      writer.extra({
        provider_content: [{ toolResult: { ...kept.start, content: kept.content } }],
      })
      return
    case 'image': {
      // Each piece is base64 of its own and may have padding at its end.
      const bytes = Buffer.concat(kept.bytes.map((piece) => Buffer.from(piece, 'base64')))
      const url = `data:image/${kept.format};base64,${bytes.toString('base64')}`
      writer.extra({ images: [{ type: 'image_url', image_url: { url } }] })
      return
    }
    default:
      kept satisfies never
  }
}

function parsed(written: string): unknown {
  try {
    return JSON.parse(written)
  } catch {
    // The model's own mistake, passed on as it wrote it.
    return undefined
  }
}

function finishOf(reason: unknown): FinishReason {
  switch (reason) {
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length'
    case 'guardrail_intervened':
    case 'content_filtered':
      return 'content_filter'
    case 'malformed_model_output':
    case 'malformed_tool_use':
      throw streamFailure('ModelErrorException', {
        message: `The model broke down while answering (${reason}).`,
      })
    default:
      // Some models end their turn although they call tools: the writer looks at the calls themselves.
      return 'stop'
  }
}
