// Shapes of Ollama's own API, as far as both directions need them ("Chat", API reference, as read in November 2026).

export interface ToolCall {
  readonly id?: string
  readonly function: {
    readonly index?: number
    readonly name: string
    /** An object, and not its text. */
    readonly arguments: unknown
  }
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Base64 without a prefix; sound goes in here as well. */
  readonly images?: readonly string[]
  readonly thinking?: string
  readonly tool_calls?: readonly ToolCall[]
  readonly tool_name?: string
  readonly tool_call_id?: string
}
