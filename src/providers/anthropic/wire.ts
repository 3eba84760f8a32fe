// The shapes of the Messages API, as far as this gateway writes them (docs page "Create a Message", as read in
// November 2026). What it only reads is looked at member by member, since answers may hold anything.

/** Up to here the prompt is cached. */
export type CacheMarker = Readonly<Record<string, unknown>>

export interface TextBlock {
  type: 'text'
  text: string
  cache_control?: CacheMarker
}

export type BlockSource =
  | { readonly type: 'base64'; readonly media_type: string; readonly data: string }
  | { readonly type: 'url'; readonly url: string }
  | { readonly type: 'file'; readonly file_id: string }
  | { readonly type: 'text'; readonly media_type: 'text/plain'; readonly data: string }

export interface ImageBlock {
  type: 'image'
  source: BlockSource
  cache_control?: CacheMarker
}

export interface DocumentBlock {
  type: 'document'
  source: BlockSource
  title?: string
  citations?: unknown
  context?: unknown
  cache_control?: CacheMarker
}

export interface ToolUseBlock {
  type: 'tool_use'
  id: string
  name: string
  input: Readonly<Record<string, unknown>>
  cache_control?: CacheMarker
}

export interface ToolResultBlock {
  type: 'tool_result'
  tool_use_id: string
  content?: string | (TextBlock | ImageBlock | DocumentBlock)[]
  is_error?: true
  cache_control?: CacheMarker
}

export interface ThinkingBlock {
  type: 'thinking'
  thinking: string
  signature: string
}

export interface RedactedThinkingBlock {
  type: 'redacted_thinking'
  data: string
}

/** A block of a server tool, sent back as it came. */
export interface ForeignBlock {
  type: string
  readonly [member: string]: unknown
}

export type Marked = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock
export type Block = Marked | ThinkingBlock | RedactedThinkingBlock | ForeignBlock

export interface Message {
  readonly role: 'user' | 'assistant' | 'system'
  readonly content: Block[]
}

export interface Tool {
  readonly [member: string]: unknown
  readonly name: string
  cache_control?: CacheMarker
}

export type Thinking =
  | { readonly type: 'enabled'; readonly budget_tokens: number }
  | { readonly type: 'adaptive'; readonly display?: 'summarized' }
  | { readonly type: 'disabled' | 'between_tools' }

export type ToolChoice =
  | { readonly type: 'none' }
  | { readonly type: 'auto' | 'any'; readonly disable_parallel_tool_use?: true }
  | { readonly type: 'tool'; readonly name: string; readonly disable_parallel_tool_use?: true }

/** The `format` of reasoning details whose signatures are Anthropic's. */
export const reasoningFormat = 'anthropic-claude-v1'

/**
 * The `anthropic-version` header. The later version 2026-10-21 takes no temperature, top_p or top_k from any model; in
 * this one, models that know them still do (docs page "Versions", as read in November 2026).
 */
export const apiVersion = '2023-06-01'
