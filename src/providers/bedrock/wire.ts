// The shapes of the Converse operations, as far as this gateway writes them (Amazon Bedrock API Reference, "Converse"
// and "ContentBlock", as read in November 2026). Answers are looked at member by member, since they may hold anything.

type Fields = Readonly<Record<string, unknown>>

/** Up to here the prompt is cached. */
export interface CachePoint {
  readonly cachePoint: { readonly type: 'default'; readonly ttl?: string }
}

export interface TextBlock {
  text: string
}

/** Base64 in JSON. */
export type BlockSource =
  { readonly bytes: string } | { readonly s3Location: { readonly uri: string } }

export interface ImageBlock {
  readonly image: { readonly format: string; readonly source: BlockSource }
}

export interface DocumentBlock {
  readonly document: {
    readonly format: string
    readonly name: string
    readonly source: BlockSource
  }
}

export interface AudioBlock {
  readonly audio: { readonly format: string; readonly source: BlockSource }
}

export interface ToolUseBlock {
  readonly toolUse: {
    readonly toolUseId: string
    readonly name: string
    readonly input: Fields
  }
}

export interface ToolResultBlock {
  readonly toolResult: {
    readonly toolUseId: string
    readonly content: readonly (TextBlock | ImageBlock | DocumentBlock)[]
    readonly status?: 'error'
  }
}

export interface ReasoningBlock {
  readonly reasoningContent:
    | { readonly reasoningText: { readonly text: string; readonly signature?: string } }
    | { readonly redactedContent: string }
}

export type Block =
  | TextBlock
  | ImageBlock
  | DocumentBlock
  | AudioBlock
  | ToolUseBlock
  | ToolResultBlock
  | ReasoningBlock
  | CachePoint

export interface Message {
  readonly role: 'user' | 'assistant'
  readonly content: Block[]
}

export type SystemBlock = TextBlock | CachePoint

export interface ToolSpec {
  readonly toolSpec: {
    readonly name: string
    readonly description: string
    readonly inputSchema: { readonly json: Fields }
    readonly strict?: true
  }
}

export type ToolChoice =
  | { readonly auto: Readonly<Record<string, never>> }
  | { readonly any: Readonly<Record<string, never>> }
  | { readonly tool: { readonly name: string } }

export interface ToolConfig {
  readonly tools: readonly (ToolSpec | CachePoint)[]
  readonly toolChoice?: ToolChoice
}

/** Marks what these models signed: text that they thought. Other homes of the same models take it too. */
export const SIGNED_FORMAT = 'anthropic-claude-v1'

/** Marks thoughts that only this vendor can read; its encoding of them is its own. */
export const REDACTED_FORMAT = 'bedrock-claude-v1'

/** Content type of the binary streams. */
export const EVENT_STREAM = 'application/vnd.amazon.eventstream'
