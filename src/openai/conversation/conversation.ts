import type { ReasoningDetail } from '../answer/writer.ts'
import type { Unread } from './unread.ts'

// A chat request as translators want it: every historical spelling resolved, every part in one form, each turn with
// its place in the caller's body so that a complaint can name it.

/** A cache marker as the caller wrote it, such as `{type: 'ephemeral', ttl: '1h'}`. */
export type CacheControl = Readonly<Record<string, unknown>>

/** Where the bytes of an image or a document are. */
export type Source =
  /** Base64 without the `data:` prefix. */
  | { readonly kind: 'data'; readonly mediaType: string; readonly base64: string }
  | { readonly kind: 'url'; readonly url: string }
  /** A file that was uploaded to the provider. */
  | { readonly kind: 'file'; readonly id: string }

interface Placed {
  /** `messages[2].content[0]`, for the `param` of an error. */
  readonly param: string
  readonly cacheControl: CacheControl | undefined
}

export type TextPart = Placed & { readonly type: 'text'; readonly text: string }
export type ImagePart = Placed & {
  readonly type: 'image'
  readonly source: Source
  readonly detail: string | undefined
}
export type AudioPart = Placed & {
  readonly type: 'audio'
  readonly base64: string
  /** `wav`, `mp3` … */
  readonly format: string
}
export type FilePart = Placed & {
  readonly type: 'file'
  readonly source: Source
  readonly filename: string | undefined
  /** The part as it was written. */
  readonly written: Readonly<Record<string, unknown>>
}
export type Part = TextPart | ImagePart | AudioPart | FilePart

/** A call that the history records. */
export interface PastCall {
  readonly id: string
  readonly name: string
  readonly kind: 'function' | 'custom'
  /** The arguments' JSON text as it was written; the free text of a custom tool. */
  readonly text: string
  /** The arguments; `{}` where they were empty. Undefined for custom tools and for text that is no JSON object. */
  readonly input: Readonly<Record<string, unknown>> | undefined
  /** Members beyond OpenAI's, such as `extra_content`. */
  readonly extra: Readonly<Record<string, unknown>>
  readonly cacheControl: CacheControl | undefined
  readonly param: string
}

export interface InstructionTurn {
  readonly role: 'instruction'
  /** As written; most vendors know only `system`. */
  readonly as: 'system' | 'developer'
  readonly parts: readonly TextPart[]
  readonly param: string
}
export interface UserTurn {
  readonly role: 'user'
  readonly parts: readonly Part[]
  readonly name: string | undefined
  readonly param: string
}
export interface AssistantTurn {
  readonly role: 'assistant'
  /** What it said; a refusal counts as text. */
  readonly parts: readonly Part[]
  readonly calls: readonly PastCall[]
  readonly details: readonly ReasoningDetail[]
  /** `reasoning` or `reasoning_content`, where no details were kept. */
  readonly reasoning: string | undefined
  readonly name: string | undefined
  /** Members of the message beyond those above, such as `provider_content`. */
  readonly extra: Readonly<Record<string, unknown>>
  readonly param: string
}
export interface ToolTurn {
  readonly role: 'tool'
  readonly callId: string
  /** The name of the tool, looked up in the history. */
  readonly name: string
  readonly kind: 'function' | 'custom'
  readonly parts: readonly Part[]
  /** The message says so with `is_error: true`. */
  readonly isError: boolean
  readonly param: string
}
export type Turn = InstructionTurn | UserTurn | AssistantTurn | ToolTurn

/** Something the model may call. */
export interface Tool {
  readonly kind: 'function' | 'custom'
  readonly name: string
  readonly description: string | undefined
  /** JSON Schema of the arguments; undefined when there are none. */
  readonly schema: Readonly<Record<string, unknown>> | undefined
  readonly strict: boolean | undefined
  readonly cacheControl: CacheControl | undefined
  readonly param: string
  /** The tool as it was written. */
  readonly written: Readonly<Record<string, unknown>>
}

/** What the caller wants of the tools. */
export type ToolChoice =
  | { readonly mode: 'auto' | 'none' | 'required' }
  | { readonly mode: 'named'; readonly name: string }
  /** Only these may be called; `required`: one of them must be. */
  | { readonly mode: 'allowed'; readonly names: readonly string[]; readonly required: boolean }

export type Format =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  | {
      readonly kind: 'schema'
      readonly name: string
      readonly description: string | undefined
      readonly schema: Readonly<Record<string, unknown>>
      readonly strict: boolean | undefined
    }

export interface Conversation {
  readonly turns: readonly Turn[]
  readonly tools: readonly Tool[]
  /** Undefined where the caller left it open. */
  readonly toolChoice: ToolChoice | undefined
  readonly parallelCalls: boolean | undefined
  readonly format: Format
  /** `max_completion_tokens`, or its older name. */
  readonly maxTokens: number | undefined
  readonly stop: readonly string[]
  /** `reasoning_effort`, or `reasoning.effort`. */
  readonly effort: string | undefined
  /** The caller wants to see what the model thinks: it asked for a summary, or named an effort other than `none`. */
  readonly wantsReasoning: boolean
  /** Members of messages, parts and tools that have no form here. */
  readonly unread: readonly Unread[]
  /** The whole request as it was written, for what has no form of its own here. */
  readonly request: Readonly<Record<string, unknown>>
}
