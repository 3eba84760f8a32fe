// What a model's answer is made of, in the order it is said. A reader of some dialect calls these methods, a writer
// of another turns them into its own form, whole or streamed: N readers and M writers instead of N × M translations.

/** One piece of what the model thought. Pieces with the same `index` and `type` belong together. */
export interface ReasoningDetail {
  readonly type: 'reasoning.text' | 'reasoning.summary' | 'reasoning.encrypted'
  /** Counts the blocks of this answer, from 0. */
  readonly index: number
  readonly id?: string
  /** Of `reasoning.text`. */
  readonly text?: string
  /** Of `reasoning.summary`. */
  readonly summary?: string
  /** Of `reasoning.text`; the provider refuses the block later without it. */
  readonly signature?: string
  /** Of `reasoning.encrypted`, opaque. */
  readonly data?: string
  /** Whose signature or data it is, such as `anthropic-claude-v1`: nobody else may be sent it. */
  readonly format?: string
}

/** A tool call as it opens. Arguments follow in pieces. */
export interface OpenedCall {
  readonly id: string
  readonly name: string
  /** `custom` takes free text and no JSON. */
  readonly kind?: 'function' | 'custom'
  /** Further members of the tool call, such as `extra_content`. */
  readonly extra?: Readonly<Record<string, unknown>>
}

/** A source that the text refers to; offsets count UTF-16 units of the answer's text. */
export interface UrlCitation {
  readonly type: 'url_citation'
  readonly url_citation: {
    readonly url: string
    readonly title?: string
    readonly start_index?: number
    readonly end_index?: number
  }
}

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

/** Token counts as OpenAI means them: the input includes what was cached, the output what was thought. */
export interface TokenCounts {
  readonly input: number
  readonly output: number
  /** Part of the input that was read from a cache. */
  readonly cached?: number | undefined
  /** Part of the input that was written to a cache. */
  readonly cacheWrite?: number | undefined
  readonly reasoning?: number | undefined
  readonly audioInput?: number | undefined
  readonly imageInput?: number | undefined
  readonly audioOutput?: number | undefined
  readonly imageOutput?: number | undefined
  /** The service tier that served, where that is known no sooner than the counts; it decides what they cost. */
  readonly serviceTier?: string | undefined
  /** What the provider counts besides, under its own names; stands beside OpenAI's members. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** Facts about the answer as a whole. What is missing is filled in by the writer. */
export interface AnswerFacts {
  /** The provider's own id, without a prefix of ours. */
  readonly id?: string | undefined
  /** The model that answered, as the provider names it. */
  readonly model?: string | undefined
  readonly serviceTier?: string | undefined
}

/**
 * Takes one answer, with one choice. `start` comes first and `end` last; an answer whose `end` never came is
 * incomplete. Methods may be called in any order between them, as often as the provider says something.
 */
export interface AnswerWriter {
  start(facts: AnswerFacts): void
  text(piece: string): void
  refusal(piece: string): void
  reasoning(detail: ReasoningDetail): void
  /** Returns the call's number, from 0. Calls may be open side by side. */
  openCall(call: OpenedCall): number
  /** A piece of the arguments' JSON text (or of the free text of a custom tool). */
  callArguments(call: number, piece: string): void
  annotation(annotation: UrlCitation): void
  /** OpenAI's token objects, for the text that was just said. */
  logprobs(tokens: readonly unknown[]): void
  /** Members of the message that OpenAI does not have, such as `images` or `citations`. */
  extra(fields: Readonly<Record<string, unknown>>): void
  /** Why it stopped; a `stop` with open calls is written as `tool_calls`. `beside` stands next to it in the choice. */
  finish(reason: FinishReason, beside?: Readonly<Record<string, unknown>>): void
  /** Counts so far; the last ones said win, member by member. */
  usage(counts: Partial<TokenCounts>): void
  /** The provider has said that this is all. */
  end(): void
}
