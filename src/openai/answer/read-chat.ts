import { GatewayError } from '#core/errors.ts'

import { integer, isRecord, record, text } from '../conversation/fields.ts'
import type { Fields } from '../conversation/fields.ts'
import { createCallReader } from './read-calls.ts'
import { countsOf } from './read-counts.ts'
import { createThinkSplitter } from './think-tags.ts'
import type { AnswerWriter, FinishReason, ReasoningDetail, TokenCounts } from './writer.ts'

// Chat completions, whole or in chunks, said to an `AnswerWriter`. The servers of the family are sloppy in many small
// ways, all of which are read here; what one vendor alone does comes by the options. One choice is read.

export interface ChatReadOptions {
  /** The failure that an answer with status 200, or a chunk, reports; undefined when it reports none. */
  readonly failure?: ((value: Fields) => GatewayError | undefined) | undefined
  /** What stands between `<think>` tags at the beginning of the text is reasoning. */
  readonly thinkTags?: boolean | undefined
  /** The `format` of reasoning details made from plain reasoning text. */
  readonly reasoningFormat?: string | undefined
  /** The vendor's own finish reasons, in lower case; `error` fails the answer. */
  readonly finishReasons?: Readonly<Record<string, FinishReason | 'error'>> | undefined
  /** Reads `usage` where the vendor counts otherwise than OpenAI. */
  readonly counts?: ((usage: Fields) => Partial<TokenCounts>) | undefined
  /** Member of chunks in which the usage may stand. */
  readonly aside?: string | undefined
  /** Members of the answer itself, beside `choices`, that belong to the message. */
  readonly beside?: readonly string[] | undefined
}

/** Takes the chunks of one stream. All methods throw `GatewayError`. */
export interface ChatChunkReader {
  chunk(value: Fields): void
  /** `[DONE]` has come. */
  done(): void
  /** The connection has ended. A stream that said why it stopped is whole, even without `[DONE]`. */
  close(): void
}

/** Says a whole chat completion. Throws `upstream_malformed` when it is none. */
export function readChatCompletion(
  value: unknown,
  writer: AnswerWriter,
  options: ChatReadOptions = {},
): void {
  const answer = record(value)
  const failure = options.failure?.(answer)
  if (failure) throw failure
  const choice = firstChoice(answer)
  if (!choice || !isRecord(choice['message'])) {
    throw new GatewayError(
      'upstream_malformed',
      'The provider sent a chat completion without a message.',
    )
  }
  const reader = chatChunkReader(writer, options)
  const { message, ...rest } = choice
  reader.chunk({ ...answer, choices: [{ ...rest, delta: message }] })
  reader.done()
}

export function chatChunkReader(
  writer: AnswerWriter,
  options: ChatReadOptions = {},
): ChatChunkReader {
  const message = messageReader(writer, options)
  const besides = options.beside ?? ['citations', 'search_results']
  let beside: Record<string, unknown> | undefined
  let started = false
  let finished = false
  let ended = false

  function start(value: Fields): void {
    started = true
    const id = text(value['id'])
    const model = text(value['model'])
    const serviceTier = text(value['service_tier'])
    writer.start({
      ...(id && { id }),
      ...(model && { model }),
      ...(serviceTier && { serviceTier }),
    })
  }

  function end(): void {
    if (ended) return
    ended = true
    if (!started) start({})
    message.flush()
    if (beside) writer.extra(beside)
    writer.end()
  }

  return {
    chunk(value) {
      if (ended) return
      const failure = options.failure?.(value)
      if (failure) throw failure
      const choice = firstChoice(value)
      if (choice) {
        if (!started) start(value)
        message.delta(record(choice['delta'] ?? choice['message']))
        const { logprobs } = choice
        const tokens = isRecord(logprobs) ? logprobs['content'] : undefined
        if (Array.isArray(tokens) && tokens.length > 0) writer.logprobs(tokens)
        const reason = text(choice['finish_reason'])
        if (reason && !finished) {
          finished = true
          message.flush()
          finish(reason, choice, writer, options)
        }
      }
      const { aside } = options
      const usage =
        value['usage'] ?? (aside === undefined ? undefined : record(value[aside])['usage'])
      if (isRecord(usage)) {
        const serviceTier = text(value['service_tier'])
        const counts = (options.counts ?? countsOf)(usage)
        writer.usage(serviceTier ? { ...counts, serviceTier } : counts)
      }
      for (const name of besides) {
        // Some vendors repeat the whole list with every chunk; the last one stands.
        const given = value[name]
        if (given !== undefined && given !== null) (beside ??= {})[name] = given
      }
    },
    done: end,
    close() {
      if (finished) end()
    },
  }
}

function firstChoice(value: Fields): Fields | undefined {
  const { choices } = value
  if (!Array.isArray(choices)) return undefined
  return (choices as unknown[]).find(
    (choice): choice is Fields => isRecord(choice) && (integer(choice['index']) ?? 0) === 0,
  )
}

const reasons: Readonly<Record<string, FinishReason | 'error'>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool_calls',
  content_filter: 'content_filter',
  function_call: 'tool_calls',
  tool_call: 'tool_calls',
  tool_use: 'tool_calls',
  eos: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_length: 'length',
  safety: 'content_filter',
  error: 'error',
}
const ownOfChoice = new Set(['index', 'delta', 'message', 'logprobs', 'finish_reason'])

function finish(
  written: string,
  choice: Fields,
  writer: AnswerWriter,
  { finishReasons }: ChatReadOptions,
): void {
  const name = written.toLowerCase()
  const reason = (own(finishReasons, name) ?? own(reasons, name)) as FinishReason | 'error'
  if (reason === 'error') {
    throw new GatewayError(
      'upstream_malformed',
      `The provider stopped its answer with finish reason '${written.slice(0, 100)}'.`,
    )
  }
  const beside = Object.fromEntries(
    Object.entries(choice).filter(([key, value]) => !ownOfChoice.has(key) && value !== null),
  )
  if (reason === undefined && beside['native_finish_reason'] === undefined) {
    beside['native_finish_reason'] = written
  }
  const said = Object.keys(beside).length > 0 ? beside : undefined
  writer.finish(reason ?? 'stop', said)
}

function own<T>(table: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return table && Object.hasOwn(table, name) ? table[name] : undefined
}

interface MessageReader {
  delta(delta: Fields): void
  flush(): void
}

const ownOfMessage = new Set([
  'role',
  'content',
  'refusal',
  'reasoning',
  'reasoning_content',
  'reasoning_details',
  'tool_calls',
  'function_call',
  'annotations',
])

function messageReader(writer: AnswerWriter, options: ChatReadOptions): MessageReader {
  const calls = createCallReader(writer)
  const thoughts = createThoughtReader(writer, options.reasoningFormat)
  const say = (piece: string): void => {
    thoughts.interrupt()
    writer.text(piece)
  }
  const splitter = options.thinkTags
    ? createThinkSplitter(say, (piece) => thoughts.plain(piece))
    : undefined
  const speak = splitter ? (piece: string): void => splitter.push(piece) : say

  function part(given: unknown): void {
    const fields = record(given)
    const { type } = fields
    if (type === 'thinking' || type === 'reasoning') {
      thoughts.plain(textIn(fields['thinking'] ?? fields['reasoning'] ?? fields['text']))
    } else if (type === 'refusal') {
      writer.refusal(text(fields['refusal']) ?? '')
    } else if (type === 'image_url' || type === 'image') {
      writer.extra({ images: [given] })
    } else if (typeof fields['text'] === 'string') {
      speak(fields['text'])
    }
  }

  return {
    delta(delta) {
      thoughts.read(delta)
      const { content } = delta
      if (typeof content === 'string') {
        if (content !== '') speak(content)
      } else if (Array.isArray(content)) {
        for (const each of content as unknown[]) part(each)
      }
      const refusal = text(delta['refusal'])
      if (refusal) writer.refusal(refusal)
      const list = delta['tool_calls']
      if (Array.isArray(list) && list.length > 0) {
        splitter?.flush()
        thoughts.interrupt()
        calls.calls(list)
      }
      if (isRecord(delta['function_call'])) calls.oldCall(delta['function_call'])
      const notes = delta['annotations']
      if (Array.isArray(notes)) for (const note of notes as unknown[]) annotate(note, writer)
      extras(delta, writer)
    },
    flush() {
      splitter?.flush()
      calls.flush()
    },
  }
}

function extras(delta: Fields, writer: AnswerWriter): void {
  let extra: Record<string, unknown> | undefined
  for (const name in delta) {
    const value = delta[name]
    if (!ownOfMessage.has(name) && value !== null && value !== undefined && value !== '') {
      if (!(Array.isArray(value) && value.length === 0)) (extra ??= {})[name] = value
    }
  }
  if (extra) writer.extra(extra)
}

/** The text of a string, or of a list of parts. */
function textIn(value: unknown): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return ''
  return (value as unknown[]).map((part) => text(record(part)['text']) ?? '').join('')
}

/** A citation of a web page, in chat's nested form or in the flat one of Responses. */
export function annotate(note: unknown, writer: AnswerWriter): void {
  const fields = record(note)
  if (fields['type'] !== 'url_citation') return
  const holder = isRecord(fields['url_citation']) ? fields['url_citation'] : fields
  const url = text(holder['url'])
  if (url === undefined) return
  const title = text(holder['title'])
  const start = integer(holder['start_index'])
  const end = integer(holder['end_index'])
  writer.annotation({
    type: 'url_citation',
    url_citation: {
      url,
      ...(title !== undefined && { title }),
      ...(start !== undefined && { start_index: start }),
      ...(end !== undefined && { end_index: end }),
    },
  })
}

interface ThoughtReader {
  read(delta: Fields): void
  plain(piece: string): void
  /** Something else was said: what is thought next is a block of its own. */
  interrupt(): void
}

const detailTypes = new Set(['reasoning.text', 'reasoning.summary', 'reasoning.encrypted'])

function createThoughtReader(writer: AnswerWriter, format: string | undefined): ThoughtReader {
  let index = 0
  let isOpen = false

  function plain(piece: string): void {
    if (piece === '') return
    isOpen = true
    writer.reasoning({ type: 'reasoning.text', index, text: piece, ...(format && { format }) })
  }

  return {
    plain,
    interrupt() {
      if (isOpen) index++
      isOpen = false
    },
    read(delta) {
      const details = delta['reasoning_details']
      let told = false
      if (Array.isArray(details)) {
        for (const given of details as unknown[]) {
          if (!isRecord(given) || !detailTypes.has(text(given['type']) ?? '')) continue
          const detail = { ...withoutNulls(given), index: integer(given['index']) ?? index }
          if (detail.index >= index) index = detail.index
          isOpen = true
          told ||= given['type'] !== 'reasoning.encrypted'
          writer.reasoning(detail as unknown as ReasoningDetail)
        }
      }
      // The plain forms say the same again.
      if (told) return
      const said = delta['reasoning'] ?? delta['reasoning_content']
      plain(isRecord(said) ? textIn(said['text'] ?? said['content']) : textIn(said))
    },
  }
}

function withoutNulls(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}
