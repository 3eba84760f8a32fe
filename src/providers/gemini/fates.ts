import type { Fates } from '../fates.ts'

/**
 * What becomes of chat parameters ("GenerationConfig" and "Models", as read in November 2026). What only some models
 * refuse is carried here and left out by the model table.
 */
export const FATES: Fates = {
  max_completion_tokens: 'carried',
  max_tokens: 'carried',
  temperature: 'carried',
  top_p: 'carried',
  top_k: 'carried',
  // The newest models give one candidate only, and an answer here has one choice.
  n: 'refused',
  stop: 'carried',
  seed: 'carried',
  frequency_penalty: 'carried',
  presence_penalty: 'carried',
  logit_bias: 'dropped',
  logprobs: 'carried',
  top_logprobs: 'carried',
  tools: 'carried',
  tool_choice: 'carried',
  // The calls after the first are left out of the answer.
  parallel_tool_calls: 'emulated',
  functions: 'carried',
  function_call: 'carried',
  response_format: 'carried',
  reasoning_effort: 'carried',
  reasoning: 'carried',
  reasoning_max_tokens: 'carried',
  verbosity: 'dropped',
  modalities: 'carried',
  audio: 'carried',
  prediction: 'dropped',
  web_search_options: 'carried',
  service_tier: 'carried',
  store: 'dropped',
  metadata: 'dropped',
  user: 'dropped',
  safety_identifier: 'dropped',
  prompt_cache_key: 'dropped',
  prompt_cache_retention: 'dropped',
  // By the model table: what older models have and newer ones refuse, or the other way round.
  sometimes: {
    frequency_penalty: 'dropped',
    presence_penalty: 'dropped',
    reasoning_effort: 'dropped',
    reasoning: 'dropped',
    reasoning_max_tokens: 'dropped',
    response_format: 'dropped',
    web_search_options: 'dropped',
    audio: 'dropped',
    tools: 'dropped',
    tool_choice: 'dropped',
  },
  own: [
    'safety_settings',
    'cached_content',
    'thinking_config',
    'image_config',
    'speech_config',
    'media_resolution',
    'google',
    'extra_body',
  ],
}
