// The fixed answers of an upstream that speaks another dialect, of the same length as OpenAI's own.

/** The path by which a request is known to want this dialect, in lower case as heads are read. */
export const anthropicPath = 'post /v1/messages'

const usage = { input_tokens: 40, output_tokens: 30 }
const facts = { type: 'message', role: 'assistant', model: 'bench', stop_sequence: null }

/** A whole message; `id` reaches the client behind OpenAI's prefix. */
export function wholeMessage(id: string): string {
  const content = [{ type: 'text', text: 'A fixed answer. '.repeat(17) }]
  return JSON.stringify({ id, ...facts, content, stop_reason: 'end_turn', usage })
}

/** The events of a streamed message: what comes before the words, one word, and what comes after them. */
export function messageEvents(id: string): { before: string[]; word: string; after: string[] } {
  const start = {
    id,
    ...facts,
    content: [],
    stop_reason: null,
    usage: { ...usage, output_tokens: 1 },
  }
  const delta = { type: 'text_delta', text: ' benchmark' }
  return {
    before: [
      event({ type: 'message_start', message: start }),
      event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    ],
    word: event({ type: 'content_block_delta', index: 0, delta }),
    after: [
      event({ type: 'content_block_stop', index: 0 }),
      event({
        type: 'message_delta',
        delta: { stop_reason: 'end_turn', stop_sequence: null },
        usage: { output_tokens: 97 },
      }),
      event({ type: 'message_stop' }),
    ],
  }
}

function event(data: { type: string; [field: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
}
