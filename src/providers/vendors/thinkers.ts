import type { Fields, Mends, Quirks } from '../quirks.ts'
import { family, forcesTool, turnsThinkingOff } from './family.ts'

// Vendors of models of their own, whose APIs know more and less than OpenAI's.

const maySample = ['temperature', 'top_p', 'frequency_penalty', 'presence_penalty']

/** "Create chat completion" and "Thinking mode" of DeepSeek's API documentation, as read in November 2026. */
export const deepseek: Quirks = family({
  rename: { max_completion_tokens: 'max_tokens' },
  drop: ['seed', 'logit_bias', 'user', 'top_k'],
  refuse: ['n'],
  effort: {
    words: { minimal: 'low', medium: 'high', xhigh: 'high' },
    off: { thinking: { type: 'disabled' } },
  },
  schemaInWords: true,
  rules: [
    {
      // Sampling is ignored while thinking, which nobody would notice.
      except: /^deepseek-chat/,
      when: (request) => !turnsThinkingOff(request) && !forcesTool(request),
      quirks: {
        drop: [...maySample, 'logprobs', 'top_logprobs'],
        defaults: { temperature: 1, top_p: 1 },
        messages: { fillReasoning: true },
      },
    },
    {
      except: /^deepseek-chat/,
      when: (request) => !turnsThinkingOff(request) && forcesTool(request),
      quirks: { forcedWithout: { thinking: { type: 'disabled' } } },
    },
    {
      except: /vision|-vl/,
      quirks: { messages: { refuseParts: ['image_url', 'input_audio', 'file'] } },
    },
  ],
})

export const deepseekMends: Mends = {
  finish: {
    insufficient_system_resource: { failed: 'The provider ran out of resources half-way.' },
  },
  usage(usage) {
    const { prompt_cache_hit_tokens: hit, prompt_tokens_details: details } = usage
    const known = (details as Fields | null | undefined)?.['cached_tokens']
    if (typeof hit !== 'number' || typeof known === 'number') return undefined
    return {
      ...usage,
      prompt_tokens_details: { ...(details as object | null), cached_tokens: hit },
    }
  },
}

const xaiReasoning = /^grok-(?:[4-9]|code|3-mini)/

/** "Chat completions" and "Reasoning" of xAI's API documentation, as read in November 2026. */
export const xai: Quirks = family({
  drop: ['logit_bias', 'top_k'],
  effort: { words: { minimal: 'low', xhigh: 'high', max: 'high' } },
  rules: [
    {
      models: xaiReasoning,
      except: /non-reasoning/,
      quirks: { drop: ['frequency_penalty', 'presence_penalty', 'stop'] },
    },
    {
      models: /^grok-(?:4\.(?:[6-9]|\d\d)|[5-9])/,
      quirks: { effort: { words: { xhigh: 'xhigh', max: 'xhigh' } } },
    },
  ],
})

/** "Image generations" of xAI's API reference knows no size, quality or style. */
export const xaiImages: Quirks = { drop: ['size', 'quality', 'style'] }

export const xaiMends: Mends = {
  /** The output leaves out what was thought, the input sometimes what was cached; the total holds all of it. */
  usage(usage) {
    const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = usage
    const thought = (usage['completion_tokens_details'] as Fields | null | undefined)?.[
      'reasoning_tokens'
    ]
    if (typeof input !== 'number' || typeof output !== 'number') return undefined
    const sum = input + output
    const missing = typeof total === 'number' ? total - sum : Number(thought ?? 0)
    if (!(missing > 0)) return undefined
    const hidden = typeof thought === 'number' && thought <= missing ? thought : 0
    return {
      ...usage,
      prompt_tokens: input + missing - hidden,
      completion_tokens: output + hidden,
      total_tokens: sum + missing,
    }
  },
}

/** Perplexity has Responses only since its chat completions ended on 2026-09-27 (its changelog, November 2026). */
export const perplexityResponses: Quirks = {
  noForeignItems: true,
  drop: [
    'stop',
    'seed',
    'top_logprobs',
    'prompt_cache_key',
    'prompt_cache_retention',
    'safety_identifier',
  ],
  models: { sonar: 'perplexity/sonar' },
}
