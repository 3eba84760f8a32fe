import type { Call } from '#core/call.ts'

export interface Unfinished {
  /** Answers whether with these all choices have said why they ended. */
  finish(choices: readonly number[]): boolean
}

/** How many choices a stream has to finish before a missing `[DONE]` is only a formality. */
export function createUnfinished({ body, endpoint }: Call, dropped: readonly string[]): Unfinished {
  const { n, prompt } = body.kind === 'json' ? body.value : {}
  const each = typeof n === 'number' && n > 1 && !dropped.includes('n') ? n : 1
  const isList = endpoint === 'text_completion' && Array.isArray(prompt) && prompt.length > 0
  // A list of numbers is one prompt in tokens.
  const prompts = isList && typeof prompt[0] !== 'number' ? prompt.length : 1
  const seen = new Set<number>()
  return {
    finish(choices) {
      for (const choice of choices) seen.add(choice)
      return seen.size >= each * prompts
    },
  }
}
