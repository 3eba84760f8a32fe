import type { Quirks } from '../quirks.ts'
import { thinks, willThink } from '../responses-models.ts'
import { ofOtherAnswers } from './family.ts'

// What travels to OpenAI is what the caller wrote. Only members that are this gateway's own invention are taken out,
// for models that are known to be OpenAI's: its API answers unknown members with a 400. Which parameters a model takes
// is OpenAI's to judge ("Chat completions" of OpenAI's platform documentation, as read in November 2026).

/** Everything that is OpenAI's by its name; a server elsewhere may have the same address setting and other models. */
const known = /^(?:o[134](?:-|$)|gpt-(?:3\.5|[456])|chatgpt-)/

/** Told apart for whoever looks at a list of models; requests travel as they were written. */
export function openaiLacks(model: string): readonly string[] | undefined {
  if (!known.test(model)) return undefined
  const lacks = ['reasoning_max_tokens', 'top_k']
  if (!/audio/.test(model)) lacks.push('audio', 'modalities')
  if (!/-search(?:-|$)/.test(model)) lacks.push('web_search_options')
  else lacks.push('temperature', 'top_p')
  if (!/^gpt-[5-9]/.test(model)) lacks.push('verbosity')
  if (!/^(?:chat)?gpt-4(?:o|\.1)/.test(model)) lacks.push('prediction')
  if (!thinks(model)) return [...lacks, 'reasoning_effort', 'reasoning']
  const never = ['max_tokens', 'frequency_penalty', 'presence_penalty', 'logit_bias', 'stop']
  lacks.push(...never)
  // Those that think unless told not to.
  if (willThink(model, undefined)) lacks.push('temperature', 'top_p', 'logprobs', 'top_logprobs')
  return lacks
}

export const openai: Quirks = {
  rules: [
    {
      models: known,
      quirks: {
        drop: ['top_k', 'reasoning_max_tokens'],
        effort: { words: {} },
        messages: {
          reasoning: 'none',
          dropOfAnswers: ofOtherAnswers,
          dropOfCalls: ['extra_content'],
        },
      },
    },
  ],
}

/** Of its Responses. */
export const openaiResponses: Quirks = {
  rules: [{ models: known, quirks: { noForeignItems: true } }],
}
