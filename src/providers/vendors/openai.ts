import type { Quirks } from '../quirks.ts'

// What travels to OpenAI is what the caller wrote. Only members that are this gateway's own invention are taken out,
// for models that are known to be OpenAI's: its API answers unknown members with a 400. Which parameters a model takes
// is OpenAI's to judge ("Chat completions" of OpenAI's platform documentation, as read in November 2026).

/** Everything that is OpenAI's by its name; a server elsewhere may have the same address setting and other models. */
const known = /^(?:o[134](?:-|$)|gpt-(?:3\.5|[456])|chatgpt-)/

export const openai: Quirks = {
  rules: [
    {
      models: known,
      quirks: {
        drop: ['top_k', 'reasoning_max_tokens'],
        effort: { words: {} },
        messages: { reasoning: 'none', dropOfCalls: ['extra_content'] },
      },
    },
  ],
}
