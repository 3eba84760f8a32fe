/** A part of a message or of a summary. */
export interface Part {
  readonly type: string
  readonly text?: string
  readonly refusal?: string
}

/** An output item, by the parts that streaming needs to know. */
export interface Item {
  readonly id: string
  readonly type: string
  readonly content?: readonly Part[]
  readonly summary?: readonly Part[]
  readonly arguments?: string
  readonly input?: string
  readonly [field: string]: unknown
}

/** An input item, whatever the caller put into it. */
export interface InputItem {
  readonly id: string
  readonly type: string
  readonly [field: string]: unknown
}

/** A response as it goes over the wire. */
export interface ResponseObject {
  readonly id: string
  readonly status: string
  readonly output: readonly Item[]
  readonly usage: unknown
  readonly [field: string]: unknown
}

/** `response` as it looked before there was anything in it. */
export function unfinished(response: ResponseObject, status: string): ResponseObject {
  return {
    ...response,
    status,
    completed_at: null,
    incomplete_details: null,
    output: [],
    usage: null,
  }
}

/** Token usage in the words of the Responses API. */
export function usageOf(input: number, output: number, reasoning: number) {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  }
}
