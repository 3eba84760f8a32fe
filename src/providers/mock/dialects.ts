import type { Answer, Problem } from './answer.ts'
import { anthropicDialect } from './anthropic.ts'
import { bedrockDialect } from './bedrock.ts'
import { claudeCloudDialect, foundryDialect, geminiCloudDialect } from './clouds.ts'
import { cohereDialect } from './cohere.ts'
import type { Faults } from './faults.ts'
import { geminiDialect } from './gemini.ts'
import { ollamaDialect } from './ollama.ts'

// The mock speaks other vendors' dialects too, by the path that is asked, so that adapters meet a real socket.

/** A request in another dialect, once its path is known to belong to it. */
export interface DialectRequest {
  readonly method: string
  /** Percent-encoding as it came. */
  readonly pathname: string
  readonly query: URLSearchParams
  readonly headers: Headers
  /** The JSON body; empty for GET. */
  readonly body: Readonly<Record<string, unknown>>
  /** The body as it came, for signatures. */
  readonly text: string
  /** The model without faults: decides how the mock behaves. */
  readonly behaviour: string
  /** The model as it was asked for, faults included. */
  readonly model: string
  readonly faults: Faults
  /** Seconds since 1970. */
  readonly now: number
}

/** One vendor's wire format. */
export interface MockDialect {
  readonly name: string
  /**
   * The model that a request asks for; undefined when the path is not of this dialect. May be empty. `query` tells
   * apart what another dialect has at the same path.
   */
  modelOf(
    method: string,
    pathname: string,
    body: Readonly<Record<string, unknown>>,
    query?: URLSearchParams,
  ): string | undefined
  /** Throws `MockFailure` for an error, which `failure` then puts into the vendor's shape. */
  answer(request: DialectRequest): Answer
  /** An error in the vendor's shape. */
  failure(problem: Problem): Answer
  /** How its streams can be spoiled. */
  readonly frames: FrameRules
}

/** What the faults need to know of a stream's frames. */
export interface FrameRules {
  /** The frame ends the stream formally, or says why it stopped. */
  isEnd(frame: string | Uint8Array<ArrayBuffer>): boolean
  /** A frame that reports an error in mid-stream. */
  errorFrame(problem: Problem): string | Uint8Array<ArrayBuffer>
  /** The same frame with its content broken. */
  broken(frame: string | Uint8Array<ArrayBuffer>): string | Uint8Array<ArrayBuffer>
}

/** Every dialect besides OpenAI's, each in a folder or file of its own. */
export const DIALECTS: readonly MockDialect[] = [
  anthropicDialect,
  bedrockDialect,
  cohereDialect,
  ollamaDialect,
  geminiDialect,
  claudeCloudDialect,
  foundryDialect,
  geminiCloudDialect,
]

/** The dialect that a path belongs to, with the model it asks for; undefined for OpenAI's own. */
export function findDialect(
  method: string,
  pathname: string,
  body: Readonly<Record<string, unknown>>,
  query?: URLSearchParams,
): { readonly dialect: MockDialect; readonly model: string } | undefined {
  for (const dialect of DIALECTS) {
    const model = dialect.modelOf(method, pathname, body, query)
    if (model !== undefined) return { dialect, model }
  }
  return undefined
}
