import type { Fields, Mends, Quirks } from '../quirks.ts'
import { family } from './family.ts'

// Hosts of open models. Each entry names the vendor's page it was read from, all in November 2026.

/** What models with three steps of effort make of OpenAI's seven. */
const threeSteps = { minimal: 'low', xhigh: 'high', max: 'high' }

/** "Chat completions" of Groq's API reference, and "Reasoning". */
export const groq: Quirks = family(
  {
    values: {
      // Groq's own advice for 0, which it would refuse.
      temperature: { 0: 1e-8 },
      service_tier: { default: 'on_demand', priority: 'performance' },
    },
    drop: ['logprobs', 'top_logprobs', 'logit_bias', 'top_k'],
    refuse: ['n'],
    messages: { roles: { developer: 'developer' }, drop: ['name'], reasoning: 'reasoning' },
    rules: [
      {
        models: /gpt-oss/,
        quirks: { effort: { words: { ...threeSteps, none: 'low' }, lossy: ['none'] } },
      },
      {
        models: /qwen|deepseek-r1/,
        quirks: {
          effort: {
            words: {
              minimal: 'default',
              low: 'default',
              medium: 'default',
              high: 'default',
              xhigh: 'default',
              max: 'default',
            },
          },
          // Else what the model thinks stands between tags in the content.
          add: { reasoning_format: { value: 'parsed', unless: ['include_reasoning'] } },
        },
      },
    ],
  },
  ['service_tier'],
)

export const groqMends: Mends = { aside: 'x_groq' }

/** "Chat completions" of Together's API reference, and "Reasoning". */
export const together: Quirks = family({
  rename: { max_completion_tokens: 'max_tokens' },
  // A number there: how many alternatives.
  values: { logprobs: { true: 1 } },
  drop: ['top_logprobs'],
  takesReasoning: true,
  effort: { words: threeSteps, off: { reasoning: { enabled: false } } },
  messages: { reasoning: 'reasoning' },
})

/** "Create image" of Together's API reference. */
export const togetherImages: Quirks = { sizeAsSides: true }

export const togetherMends: Mends = {
  finish: { eos: 'stop' },
  usageApart: true,
  tokenLists: true,
  tidy: true,
  bareList: true,
}

/** "Create chat completion" of Fireworks' API reference, and "Reasoning". */
export const fireworks: Quirks = family(
  {
    rename: { prompt_cache_key: 'prompt_cache_isolation_key' },
    effort: { words: threeSteps },
  },
  ['prompt_cache_key'],
)

export const fireworksMends: Mends = { usageApart: true }

/** "Chat completions" and "Reasoning" of Cerebras' inference documentation. */
export const cerebras: Quirks = family({
  rename: { max_tokens: 'max_completion_tokens' },
  drop: ['frequency_penalty', 'presence_penalty', 'logit_bias', 'top_k'],
  effort: { words: threeSteps },
  messages: { reasoning: 'reasoning' },
  rules: [
    { models: /gpt-oss/, quirks: { effort: { words: { none: 'low' }, lossy: ['none'] } } },
    { models: /glm|qwen/, quirks: { effort: { words: {}, off: { disable_reasoning: true } } } },
  ],
})

/** "OpenAI-compatible server" of vLLM's documentation; what a model does not know it ignores. */
export const vllm: Quirks = family({ messages: { reasoning: 'either' } }, ['audio', 'modalities'])

/** "OpenAI APIs" of SGLang's documentation. */
export const sgl: Quirks = family({}, ['audio', 'modalities'])

/** Servers in vLLM's manner. */
export const serverMends: Mends = { tidy: true, flatErrors: true }

export const sglMends: Mends = {
  ...serverMends,
  usage(usage) {
    const { reasoning_tokens: thought, completion_tokens_details: details } = usage
    if (typeof thought !== 'number' || (details as Fields | null | undefined)?.['reasoning_tokens'])
      return undefined
    return {
      ...usage,
      completion_tokens_details: { ...(details as object | null), reasoning_tokens: thought },
    }
  },
}

/** "Chat completion" of Hugging Face's Inference Providers: what a backend refuses differs, so the base set is kept. */
export const huggingface: Quirks = family({
  drop: ['logit_bias'],
  refuse: ['n'],
  messages: { reasoning: 'none' },
})

/** "Chat completions" of Nebius Token Factory's API reference. */
export const nebius: Quirks = family({}, ['service_tier'])

/** "Images" of Nebius Token Factory's API reference. */
export const nebiusImages: Quirks = {
  sizeAsSides: true,
  rename: { output_format: 'response_extension' },
  values: { output_format: { jpeg: 'jpg' } },
}

/** "Chat completions" of Parasail's documentation. */
export const parasail: Quirks = family({})
