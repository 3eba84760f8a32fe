import type {
  AnswerFacts,
  AnswerWriter,
  FinishReason,
  OpenedCall,
  ReasoningDetail,
  TokenCounts,
  UrlCitation,
} from './writer.ts'

/** A tool call with all that was said of it. */
export interface CollectedCall extends OpenedCall {
  input: string
}

/** An answer put together from its pieces. The lists and `said` grow while the writer is used. */
export interface Collector {
  readonly writer: AnswerWriter
  readonly said: { text: string; refusal: string; reasoning: string }
  readonly details: ReasoningDetail[]
  readonly calls: CollectedCall[]
  readonly annotations: UrlCitation[]
  readonly tokens: unknown[]
  readonly extra: Record<string, unknown>
  readonly about: () => AnswerFacts
  readonly counts: () => Partial<TokenCounts>
  readonly finished: () => {
    reason: FinishReason | undefined
    beside: Readonly<Record<string, unknown>> | undefined
  }
  readonly ended: () => boolean
}

/** A writer that remembers what it is told. */
export function createCollector(): Collector {
  const said = { text: '', refusal: '', reasoning: '' }
  const details: ReasoningDetail[] = []
  const calls: CollectedCall[] = []
  const annotations: UrlCitation[] = []
  const tokens: unknown[] = []
  const extra: Record<string, unknown> = {}
  let facts: AnswerFacts = {}
  let counts: Partial<TokenCounts> = {}
  let reason: FinishReason | undefined
  let beside: Readonly<Record<string, unknown>> | undefined
  let ended = false

  const writer: AnswerWriter = {
    start(given) {
      facts = given
    },
    text(piece) {
      said.text += piece
    },
    refusal(piece) {
      said.refusal += piece
    },
    reasoning(detail) {
      said.reasoning += detail.text ?? detail.summary ?? ''
      addDetail(details, detail)
    },
    openCall(call) {
      return calls.push({ ...call, input: '' }) - 1
    },
    callArguments(call, piece) {
      const known = calls[call]
      if (known) known.input += piece
    },
    annotation(annotation) {
      annotations.push(annotation)
    },
    logprobs(more) {
      tokens.push(...more)
    },
    extra(fields) {
      for (const [name, value] of Object.entries(fields)) {
        const known = extra[name]
        extra[name] =
          Array.isArray(known) && Array.isArray(value)
            ? [...(known as unknown[]), ...(value as unknown[])]
            : value
      }
    },
    finish(why, fields) {
      reason = why
      beside = fields
    },
    usage(more) {
      counts = { ...counts, ...more }
    },
    end() {
      ended = true
    },
  }
  return {
    writer,
    said,
    details,
    calls,
    annotations,
    tokens,
    extra,
    about: () => facts,
    counts: () => counts,
    finished: () => ({ reason, beside }),
    ended: () => ended,
  }
}

/** Adds a piece to the block it continues, or as a block of its own. */
export function addDetail(details: ReasoningDetail[], piece: ReasoningDetail): void {
  const at = details.findIndex(({ index, type }) => index === piece.index && type === piece.type)
  const known = details[at]
  if (!known) {
    details.push(piece)
    return
  }
  const joined = (a: string | undefined, b: string | undefined): string | undefined =>
    a === undefined ? b : b === undefined ? a : a + b
  const text = joined(known.text, piece.text)
  const summary = joined(known.summary, piece.summary)
  const data = joined(known.data, piece.data)
  const signature = joined(known.signature, piece.signature)
  details[at] = {
    ...known,
    ...piece,
    ...(text !== undefined && { text }),
    ...(summary !== undefined && { summary }),
    ...(data !== undefined && { data }),
    ...(signature !== undefined && { signature }),
  }
}
