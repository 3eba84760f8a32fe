// Shapes of Cohere's API v2, as far as both directions need them ("Chat" and "Embed" of the API reference, as read in
// November 2026).

export type ContentBlock =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thinking'; readonly thinking: string }
  | {
      readonly type: 'image_url'
      readonly image_url: { readonly url: string; readonly detail?: string }
    }

export interface ToolCall {
  readonly id: string
  readonly type: 'function'
  readonly function: { readonly name: string; readonly arguments: string }
}

export type Message =
  | { readonly role: 'system'; readonly content: string | readonly ContentBlock[] }
  | { readonly role: 'user'; readonly content: string | readonly ContentBlock[] }
  | {
      readonly role: 'assistant'
      readonly content?: string | readonly ContentBlock[]
      /** What the model meant to do with the tools, said before it called them. */
      readonly tool_plan?: string
      readonly tool_calls?: readonly ToolCall[]
      readonly citations?: readonly unknown[]
    }
  | {
      readonly role: 'tool'
      readonly tool_call_id: string
      readonly content: string | readonly ContentBlock[]
    }

/** Tags reasoning as this vendor's, so that nobody else's is sent to it. */
export const REASONING_FORMAT = 'cohere-v2'
/** `id` of the reasoning that came as a tool plan. */
export const TOOL_PLAN = 'tool_plan'
