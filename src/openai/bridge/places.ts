// Where things of a request stand in the request it was made from, so that complaints and declared losses name places
// that the caller knows.

const renamed: Readonly<Record<string, string>> = {
  messages: 'input',
  max_completion_tokens: 'max_output_tokens',
  max_tokens: 'max_output_tokens',
  reasoning_effort: 'reasoning.effort',
  reasoning_max_tokens: 'reasoning.max_tokens',
  verbosity: 'text.verbosity',
  response_format: 'text.format',
  logprobs: 'top_logprobs',
}

/** Members that chat nests and Responses does not. */
const flattened: readonly [RegExp, string][] = [
  [/\.(?:function|custom)(?=\.|$)/, ''],
  [/\.image_url\.url$/, '.image_url'],
  [/\.file(?=\.|$)/, ''],
  [/\.json_schema(?=\.|$)/, ''],
  [/\.tool_call_id$/, '.call_id'],
]

/** Places of a chat request → places of the Responses request it was made from. */
export class Places {
  readonly #known = new Map<string, string>()

  /** Notes that what stands at `chat` came from `own`. */
  note(chat: string, own: string): void {
    this.#known.set(chat, own)
  }

  /** The caller's name for a place; the longest part of it that is known decides. */
  readonly of = (chat: string): string => {
    const exact = this.#known.get(chat)
    if (exact !== undefined) return exact
    for (let at = chat.length - 1; at > 0; at--) {
      if (chat[at] !== '.' && chat[at] !== '[') continue
      const known = this.#known.get(chat.slice(0, at))
      if (known !== undefined) return known + flat(chat.slice(at))
    }
    const [root = chat] = /^[^.[]+/.exec(chat) ?? []
    const own = Object.hasOwn(renamed, root) ? renamed[root]! : root
    return own + flat(chat.slice(root.length))
  }
}

function flat(rest: string): string {
  return flattened.reduce((text, [pattern, instead]) => text.replace(pattern, instead), rest)
}
