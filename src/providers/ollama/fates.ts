import type { Fates } from '../fates.ts'

/** Runtime options that callers may write next to the other parameters; they travel inside `options`. */
export const OPTIONS = [
  ...['num_ctx', 'num_keep', 'num_batch', 'num_gpu', 'num_thread', 'num_predict'],
  ...['min_p', 'typical_p', 'repeat_penalty', 'repeat_last_n'],
  ...['mirostat', 'mirostat_tau', 'mirostat_eta', 'penalize_newline'],
]

/** Parameters of a request that travel under their own name. */
export const MEMBERS = ['think', 'keep_alive', 'truncate', 'shift']

/** What becomes of chat parameters ("Chat", API reference, as read in November 2026). */
export const FATES: Fates = {
  max_completion_tokens: 'carried',
  max_tokens: 'carried',
  temperature: 'carried',
  top_p: 'carried',
  top_k: 'carried',
  n: 'refused',
  stop: 'carried',
  seed: 'carried',
  frequency_penalty: 'carried',
  presence_penalty: 'carried',
  logit_bias: 'dropped',
  logprobs: 'carried',
  top_logprobs: 'carried',
  tools: 'carried',
  // By what is offered: no tools, or only the named one.
  tool_choice: 'emulated',
  parallel_tool_calls: 'dropped',
  functions: 'carried',
  function_call: 'emulated',
  response_format: 'carried',
  reasoning_effort: 'carried',
  reasoning: 'carried',
  reasoning_max_tokens: 'dropped',
  verbosity: 'dropped',
  modalities: 'refused',
  audio: 'dropped',
  prediction: 'dropped',
  web_search_options: 'dropped',
  service_tier: 'dropped',
  store: 'dropped',
  metadata: 'dropped',
  user: 'dropped',
  safety_identifier: 'dropped',
  prompt_cache_key: 'dropped',
  prompt_cache_retention: 'dropped',
  // What cannot be had by offering fewer tools.
  sometimes: { tool_choice: 'dropped', function_call: 'dropped' },
  own: [...MEMBERS, ...OPTIONS, 'options'],
}
