import type { KnownEndpoint } from '#core/endpoint.ts'

import type { Vendor } from './compatible.ts'
import { EVERY_MODEL, OPENAI_RESPONSES } from './responses-models.ts'

// The OpenAI-compatible family as data. An entry says where a vendor is, what it offers and where it differs;
// sources are the vendors' API references as read in November 2026.

const chat = ['chat_completion', 'list_models', 'model_retrieve'] as const
const text = ['text_completion'] as const
const responses = ['responses'] as const
const responsesLifecycle = [
  'responses',
  'responses_retrieve',
  'responses_delete',
  'responses_cancel',
  'responses_input_items',
] as const
const embeddings = ['embedding'] as const
const speech = ['speech'] as const
const listening = ['transcription', 'translation'] as const
const images = ['image_generation'] as const
const files = [
  'file_upload',
  'file_list',
  'file_retrieve',
  'file_delete',
  'file_content',
] as const satisfies readonly KnownEndpoint[]
const batches = ['batch_create', 'batch_list', 'batch_retrieve', 'batch_cancel'] as const

/** Fields that only OpenAI itself defines and that stricter vendors answer with a 400. */
const openaiOnly = [
  'store',
  'metadata',
  'prediction',
  'verbosity',
  'web_search_options',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'moderation',
]

export const VENDORS: readonly Vendor[] = [
  {
    name: 'openai',
    baseUrl: 'https://api.openai.com',
    keyEnv: ['OPENAI_API_KEY', 'OPENAI_KEY'],
    offers: 'everything',
    byResponses: OPENAI_RESPONSES,
    passthrough: true,
  },
  {
    name: 'mistral',
    baseUrl: 'https://api.mistral.ai',
    keyEnv: ['MISTRAL_API_KEY', 'MISTRAL_KEY'],
    offers: [...chat, ...embeddings, ...speech, 'transcription', 'moderation', ...files],
    quirks: {
      rename: { max_completion_tokens: 'max_tokens', seed: 'random_seed' },
      values: { tool_choice: { required: 'any' } },
      drop: [...openaiOnly, 'logit_bias', 'logprobs', 'top_logprobs', 'user', 'service_tier'],
      developerAsSystem: true,
      noStreamOptions: true,
    },
  },
  {
    name: 'groq',
    baseUrl: 'https://api.groq.com/openai',
    keyEnv: ['GROQ_API_KEY'],
    offers: [...chat, ...listening, ...speech, ...files, ...batches],
    quirks: { drop: [...openaiOnly, 'logprobs', 'top_logprobs', 'logit_bias'] },
  },
  {
    name: 'deepseek',
    baseUrl: 'https://api.deepseek.com',
    keyEnv: ['DEEPSEEK_API_KEY'],
    offers: [...chat],
    quirks: {
      rename: { max_completion_tokens: 'max_tokens' },
      drop: [...openaiOnly, 'n', 'seed', 'logit_bias', 'user', 'service_tier'],
      developerAsSystem: true,
    },
  },
  {
    name: 'xai',
    baseUrl: 'https://api.x.ai',
    keyEnv: ['XAI_API_KEY'],
    offers: [...chat, ...responsesLifecycle, ...images, 'image_edit', ...files, ...batches],
    quirks: { drop: ['logit_bias', 'prediction'] },
  },
  {
    name: 'together',
    baseUrl: 'https://api.together.ai',
    keyEnv: ['TOGETHER_API_KEY'],
    offers: [...chat, ...text, ...embeddings, ...images, ...speech, ...listening],
    quirks: {
      rename: { max_completion_tokens: 'max_tokens' },
      drop: [...openaiOnly, 'service_tier'],
      developerAsSystem: true,
    },
  },
  {
    name: 'fireworks',
    baseUrl: 'https://api.fireworks.ai/inference',
    keyEnv: ['FIREWORKS_API_KEY'],
    offers: [...chat, ...text, ...responsesLifecycle, ...embeddings],
    quirks: {
      rename: { prompt_cache_key: 'prompt_cache_isolation_key' },
      drop: openaiOnly.filter((field) => field !== 'prompt_cache_key'),
      developerAsSystem: true,
    },
  },
  {
    name: 'openrouter',
    baseUrl: 'https://openrouter.ai/api',
    keyEnv: ['OPENROUTER_API_KEY'],
    offers: [...chat, ...text, ...embeddings, ...speech, 'transcription'],
    door: { reasoningObject: true, webSearch: true },
  },
  {
    // Perplexity ended its chat completions on 2026-09-27; the Responses shape replaces them.
    name: 'perplexity',
    baseUrl: 'https://api.perplexity.ai',
    keyEnv: ['PERPLEXITY_API_KEY', 'PPLX_API_KEY'],
    offers: ['chat_completion', ...responses],
    byResponses: EVERY_MODEL,
  },
  {
    name: 'cerebras',
    baseUrl: 'https://api.cerebras.ai',
    keyEnv: ['CEREBRAS_API_KEY'],
    offers: [...chat, ...text],
    quirks: {
      rename: { max_tokens: 'max_completion_tokens' },
      drop: [...openaiOnly, 'frequency_penalty', 'presence_penalty', 'logit_bias', 'service_tier'],
      developerAsSystem: true,
    },
  },
  {
    name: 'nebius',
    baseUrl: 'https://api.tokenfactory.nebius.com',
    keyEnv: ['NEBIUS_API_KEY'],
    offers: [...chat, ...text, ...embeddings, ...images, ...files, ...batches],
    quirks: { developerAsSystem: true },
  },
  {
    name: 'parasail',
    baseUrl: 'https://api.parasail.io',
    keyEnv: ['PARASAIL_API_KEY'],
    offers: [...chat],
    quirks: { drop: [...openaiOnly, 'service_tier'], developerAsSystem: true },
  },
  {
    name: 'huggingface',
    baseUrl: 'https://router.huggingface.co',
    keyEnv: ['HF_TOKEN', 'HUGGINGFACE_API_KEY'],
    offers: [...chat],
    quirks: { drop: [...openaiOnly, 'logit_bias', 'service_tier'], developerAsSystem: true },
  },
  {
    name: 'vllm',
    keyless: true,
    keyUrl: ['vllm_key_config', 'url'],
    offers: [...chat, ...text, ...embeddings, ...responsesLifecycle, ...listening],
    quirks: { drop: [...openaiOnly, 'service_tier'] },
  },
  {
    name: 'sgl',
    keyless: true,
    keyUrl: ['sgl_key_config', 'url'],
    offers: [...chat, ...text, ...embeddings],
    quirks: { drop: [...openaiOnly, 'service_tier'] },
  },
]
