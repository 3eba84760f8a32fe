import type { KnownEndpoint } from '#core/endpoint.ts'

import type { Vendor } from './compatible.ts'
import { EVERY_MODEL, OPENAI_RESPONSES } from './responses-models.ts'
import { responsesQuirks } from './vendors/family.ts'
import {
  cerebras,
  fireworks,
  fireworksMends,
  groq,
  groqMends,
  huggingface,
  nebius,
  nebiusImages,
  parasail,
  serverMends,
  sgl,
  sglMends,
  together,
  togetherImages,
  togetherMends,
  vllm,
} from './vendors/hosts.ts'
import { mistral, mistralEmbeddings, mistralMends, mistralPrefills } from './vendors/mistral.ts'
import { openai, openaiLacks, openaiResponses } from './vendors/openai.ts'
import {
  deepseek,
  deepseekMends,
  perplexityResponses,
  xai,
  xaiImages,
  xaiMends,
} from './vendors/thinkers.ts'

// The OpenAI-compatible family as data. An entry says where a vendor is and what it offers, with the vendors' API
// references as read in November 2026 as the sources; where it differs stands in the files beside.

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

export const VENDORS: readonly Vendor[] = [
  {
    name: 'openai',
    baseUrl: 'https://api.openai.com',
    keyEnv: ['OPENAI_API_KEY', 'OPENAI_KEY'],
    offers: 'everything',
    byResponses: OPENAI_RESPONSES,
    passthrough: true,
    quirks: openai,
    quirksOf: { responses: openaiResponses },
    lacks: openaiLacks,
  },
  {
    name: 'mistral',
    baseUrl: 'https://api.mistral.ai',
    keyEnv: ['MISTRAL_API_KEY', 'MISTRAL_KEY'],
    offers: [...chat, ...embeddings, ...speech, 'transcription', 'moderation', ...files],
    quirks: mistral,
    quirksOf: { embedding: mistralEmbeddings },
    mends: mistralMends,
    prefills: mistralPrefills,
  },
  {
    name: 'groq',
    baseUrl: 'https://api.groq.com/openai',
    keyEnv: ['GROQ_API_KEY'],
    offers: [...chat, ...listening, ...speech, ...files, ...batches],
    quirks: groq,
    mends: groqMends,
  },
  {
    name: 'deepseek',
    baseUrl: 'https://api.deepseek.com',
    keyEnv: ['DEEPSEEK_API_KEY'],
    offers: [...chat],
    quirks: deepseek,
    mends: deepseekMends,
  },
  {
    name: 'xai',
    baseUrl: 'https://api.x.ai',
    keyEnv: ['XAI_API_KEY'],
    offers: [...chat, ...responsesLifecycle, ...images, 'image_edit', ...files, ...batches],
    quirks: xai,
    quirksOf: { responses: responsesQuirks, image_generation: xaiImages },
    mends: xaiMends,
  },
  {
    name: 'together',
    baseUrl: 'https://api.together.ai',
    keyEnv: ['TOGETHER_API_KEY'],
    offers: [...chat, ...text, ...embeddings, ...images, ...speech, ...listening],
    quirks: together,
    quirksOf: { image_generation: togetherImages },
    mends: togetherMends,
  },
  {
    name: 'fireworks',
    baseUrl: 'https://api.fireworks.ai/inference',
    keyEnv: ['FIREWORKS_API_KEY'],
    offers: [...chat, ...text, ...responsesLifecycle, ...embeddings],
    quirks: fireworks,
    quirksOf: { responses: responsesQuirks },
    mends: fireworksMends,
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
    quirksOf: { responses: perplexityResponses },
  },
  {
    name: 'cerebras',
    baseUrl: 'https://api.cerebras.ai',
    keyEnv: ['CEREBRAS_API_KEY'],
    offers: [...chat, ...text],
    quirks: cerebras,
  },
  {
    name: 'nebius',
    baseUrl: 'https://api.tokenfactory.nebius.com',
    keyEnv: ['NEBIUS_API_KEY'],
    offers: [...chat, ...text, ...embeddings, ...images, ...files, ...batches],
    quirks: nebius,
    quirksOf: { image_generation: nebiusImages },
    mends: serverMends,
  },
  {
    name: 'parasail',
    baseUrl: 'https://api.parasail.io',
    keyEnv: ['PARASAIL_API_KEY'],
    offers: [...chat],
    quirks: parasail,
    mends: serverMends,
  },
  {
    name: 'huggingface',
    baseUrl: 'https://router.huggingface.co',
    keyEnv: ['HF_TOKEN', 'HUGGINGFACE_API_KEY'],
    offers: [...chat],
    quirks: huggingface,
    mends: serverMends,
  },
  {
    name: 'vllm',
    keyless: true,
    keyUrl: ['vllm_key_config', 'url'],
    offers: [...chat, ...text, ...embeddings, ...responsesLifecycle, ...listening],
    quirks: vllm,
    quirksOf: { responses: responsesQuirks },
    mends: serverMends,
  },
  {
    name: 'sgl',
    keyless: true,
    keyUrl: ['sgl_key_config', 'url'],
    offers: [...chat, ...text, ...embeddings],
    quirks: sgl,
    mends: sglMends,
  },
]
