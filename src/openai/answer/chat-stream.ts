import { chatUsage } from './counts.ts'
import type {
  AnswerFacts,
  AnswerWriter,
  FinishReason,
  OpenedCall,
  ReasoningDetail,
  TokenCounts,
  UrlCitation,
} from './writer.ts'

/** What a chat stream's frames say besides the answer. */
export interface ChatFrameFacts {
  /** Used where the provider names no model. */
  readonly model: string
  /** Seconds since 1970. */
  readonly createdAt: number
  /** Used where the provider gives its answer no id. */
  readonly id: string
}

/**
 * Writes an answer as the frames of a chat completion stream. `emit` gets whole events. A usage frame is always
 * written; the relay keeps it from callers who did not ask.
 *
 * Frames are put together as text: what repeats from frame to frame is rendered once, and only the piece itself is
 * quoted for each.
 */
export function chatStreamWriter(
  facts: ChatFrameFacts,
  emit: (events: string) => void,
): AnswerWriter {
  let head = ''
  let began = false
  let about: AnswerFacts = {}
  let counts: Partial<TokenCounts> = {}
  let reason: FinishReason | undefined
  let beside: Readonly<Record<string, unknown>> | undefined
  /** Per call, whether arguments have been said. */
  const calls: boolean[] = []
  const customs: boolean[] = []
  // Each list is said at once: clients overwrite one with the next, or refuse to join lists whose entries have no index.
  const annotations: UrlCitation[] = []
  /** Members of our own that are lists, by name. */
  const lists = new Map<string, unknown[]>()

  function openFrames(given: AnswerFacts): void {
    about = given
    const { id, model, serviceTier } = given
    const tier = serviceTier === undefined ? '' : `,"service_tier":${JSON.stringify(serviceTier)}`
    head = `data: {"id":${JSON.stringify(chatId(id, facts.id))},"object":"chat.completion.chunk","created":${facts.createdAt},"model":${JSON.stringify(model ?? facts.model)}${tier},"choices":[`
  }

  /** The role leaves with the first thing said: until then a failure can still be a status. */
  function begin(): void {
    if (head === '') openFrames({})
    began = true
    emit(
      `${head}{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n`,
    )
  }

  function delta(members: string): void {
    if (!began) begin()
    emit(`${head}{"index":0,"delta":{${members}},"logprobs":null,"finish_reason":null}]}\n\n`)
  }

  function callArguments(call: number, piece: string): void {
    if (piece === '') return
    calls[call] = true
    const member = customs[call] ? '"custom":{"input"' : '"function":{"arguments"'
    delta(`"tool_calls":[{"index":${call},${member}:${JSON.stringify(piece)}}}]`)
  }

  return {
    start: openFrames,
    text(piece) {
      if (piece !== '') delta(`"content":${JSON.stringify(piece)}`)
    },
    refusal(piece) {
      if (piece !== '') delta(`"refusal":${JSON.stringify(piece)}`)
    },
    reasoning(detail: ReasoningDetail) {
      const said = detail.text ?? detail.summary
      const plain = said === undefined || said === '' ? '' : `"reasoning":${JSON.stringify(said)},`
      delta(`${plain}"reasoning_details":[${JSON.stringify(detail)}]`)
    },
    openCall({ id, name, kind = 'function', extra }: OpenedCall) {
      const index = calls.push(false) - 1
      const body = kind === 'custom' ? { name, input: '' } : { name, arguments: '' }
      delta(`"tool_calls":[${JSON.stringify({ index, id, type: kind, [kind]: body, ...extra })}]`)
      customs[index] = kind === 'custom'
      return index
    },
    callArguments,
    annotation(annotation: UrlCitation) {
      annotations.push(annotation)
    },
    logprobs(tokens) {
      if (!began) begin()
      emit(
        `${head}{"index":0,"delta":{},"logprobs":{"content":${JSON.stringify(tokens)},"refusal":null},"finish_reason":null}]}\n\n`,
      )
    },
    extra(fields) {
      const single: Record<string, unknown> = {}
      for (const [name, value] of Object.entries(fields)) {
        if (Array.isArray(value))
          lists.set(name, [...(lists.get(name) ?? []), ...(value as unknown[])])
        else single[name] = value
      }
      const members = JSON.stringify(single).slice(1, -1)
      if (members !== '') delta(members)
      else if (lists.size > 0 && !began) begin()
    },
    finish(why, fields) {
      reason = why
      beside = fields
    },
    usage(more) {
      counts = { ...counts, ...more }
      const { serviceTier } = more
      if (serviceTier !== undefined) openFrames({ ...about, serviceTier })
    },
    end() {
      if (!began) begin()
      calls.forEach((said, call) => {
        if (!said && !customs[call]) callArguments(call, '{}')
      })
      for (const [name, list] of lists) delta(`${JSON.stringify(name)}:${JSON.stringify(list)}`)
      if (annotations.length > 0) delta(`"annotations":${JSON.stringify(annotations)}`)
      const why = reason === undefined || reason === 'stop' ? endOf(calls.length) : reason
      const more = beside ? JSON.stringify(beside).slice(1, -1) : ''
      emit(
        `${head}{"index":0,"delta":{},"logprobs":null,"finish_reason":"${why}"${more === '' ? '' : `,${more}`}}]}\n\n` +
          `${head}],"usage":${JSON.stringify(chatUsage(counts))}}\n\ndata: [DONE]\n\n`,
      )
    },
  }
}

/** Why an answer with this many calls stopped, where the provider only says that it did. */
export function endOf(calls: number): FinishReason {
  return calls > 0 ? 'tool_calls' : 'stop'
}

/** The provider's id in OpenAI's style: it stays recognisable, so that both sides' logs can be matched. */
export function chatId(own: string | undefined, fallback: string): string {
  const id = own === undefined || own === '' ? fallback : own
  return id.startsWith('chatcmpl-') ? id : `chatcmpl-${id}`
}
