import type { Fields, Quirks } from '../quirks.ts'
import { namesEffort, turnsThinkingOff } from './family.ts'

// What OpenAI's models answer with a 400 ("Chat completions", "Reasoning models" and the model pages of OpenAI's
// platform documentation, as read in November 2026). Models that no pattern knows are OpenAI's to judge.

/** Everything that is OpenAI's by its name; a server elsewhere may have the same address setting and other models. */
const known = /^(?:o[134](?:-|$)|gpt-(?:3\.5|[456])|chatgpt-)/
const reasoning = /^(?:o[134](?:-|$)|gpt-[56](?:[.-]|$))/
const notReasoning = /-chat(?:-|$)|-search-/
/** These think only when they are told to. */
const quietByDefault = /^gpt-5\.[1-5](?:-|$)/
const cannotBeQuiet = /^(?:gpt-6-astra|gpt-6\.1-sol)(?:-|$)/

const sampling = ['temperature', 'top_p', 'logprobs', 'top_logprobs']
const withoutSampling: Quirks = { drop: sampling, defaults: { temperature: 1, top_p: 1 } }

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
    {
      models: reasoning,
      except: notReasoning,
      quirks: {
        rename: { max_tokens: 'max_completion_tokens' },
        drop: ['frequency_penalty', 'presence_penalty', 'logit_bias'],
      },
    },
    {
      models: reasoning,
      except: new RegExp(`${notReasoning.source}|${quietByDefault.source}`),
      when: (request: Fields) => !turnsThinkingOff(request),
      quirks: withoutSampling,
    },
    { models: quietByDefault, except: notReasoning, when: namesEffort, quirks: withoutSampling },
    {
      models: cannotBeQuiet,
      quirks: {
        ...withoutSampling,
        effort: { words: { none: 'low', max: 'xhigh' }, lossy: ['none'] },
      },
    },
    {
      models: /-search-preview/,
      quirks: { drop: ['temperature', 'top_p', 'frequency_penalty', 'presence_penalty', 'n'] },
    },
  ],
}
