import { MOCK_KEYS } from '#providers/mock/bedrock-sign.ts'

// The providers of the fidelity matrix, each with a model that has most of what it offers, configured to find the fake
// provider.

export interface Place {
  readonly provider: string
  /** Without the provider's prefix. */
  readonly model: string
}

/** Those that speak a dialect of their own, or live in a cloud. */
export const NATIVE: readonly Place[] = [
  { provider: 'openai', model: 'gpt-4.1' },
  { provider: 'azure', model: 'gpt-4.1' },
  { provider: 'anthropic', model: 'claude-sonnet-4-5' },
  { provider: 'bedrock', model: 'anthropic.claude-sonnet-4-5-20250929-v1:0' },
  { provider: 'gemini', model: 'gemini-2.5-flash' },
  { provider: 'vertex', model: 'gemini-2.5-flash' },
  { provider: 'cohere', model: 'command-a-reasoning' },
  { provider: 'ollama', model: 'qwen3' },
  { provider: 'mistral', model: 'mistral-medium-latest' },
]

/** The rest of the OpenAI-compatible family. */
export const FAMILY: readonly Place[] = [
  { provider: 'groq', model: 'qwen/qwen3-32b' },
  { provider: 'deepseek', model: 'deepseek-v4-pro' },
  { provider: 'xai', model: 'grok-3' },
  { provider: 'together', model: 'meta-llama/Llama-4' },
  { provider: 'fireworks', model: 'accounts/fireworks/models/x' },
  { provider: 'openrouter', model: 'meta/llama-4' },
  { provider: 'cerebras', model: 'llama-4' },
  { provider: 'nebius', model: 'meta/llama-4' },
  { provider: 'parasail', model: 'parasail-llama' },
  { provider: 'huggingface', model: 'meta/llama-4' },
  { provider: 'vllm', model: 'served' },
  { provider: 'sgl', model: 'served' },
]

const [aws] = MOCK_KEYS

/** The `providers` section of a configuration whose providers all are at `url`. */
export function providersAt(url: string): Record<string, object> {
  const network_config = { base_url: url }
  const at = (key: object) => ({ keys: [key], network_config })
  const plain = [...NATIVE, ...FAMILY].map(({ provider }) => [provider, at({ value: 'sk-fake' })])
  return {
    ...Object.fromEntries(plain),
    azure: at({ value: 'sk-fake', azure_key_config: { endpoint: url } }),
    bedrock: at({
      bedrock_key_config: {
        region: 'us-east-1',
        access_key: aws.accessKeyId,
        secret_key: aws.secretAccessKey,
      },
    }),
    vertex: at({ value: 'sk-fake', vertex_key_config: { project_id: 'p', region: 'us-central1' } }),
    vllm: at({ value: 'sk-fake', vllm_key_config: { url, model_name: 'served' } }),
    sgl: at({ value: 'sk-fake', sgl_key_config: { url } }),
    ollama: at({ value: 'sk-fake', ollama_key_config: { url } }),
  }
}

/** The model that behaves so, by the way that a provider's models are named. */
export const MODELS: Record<string, (behaviour: string) => string> = {
  openai: (behaviour) => behaviour,
  azure: (behaviour) => behaviour,
  anthropic: (behaviour) => `claude-sonnet-4-5-${behaviour}`,
  bedrock: (behaviour) => `eu.anthropic.claude-sonnet-4-5-${behaviour}-v1:0`,
  gemini: (behaviour) => `gemini-2.5-pro-${behaviour}`,
  vertex: (behaviour) => `gemini-2.5-pro-${behaviour}`,
  cohere: (behaviour) => behaviour,
  ollama: (behaviour) => behaviour,
  mistral: (behaviour) => behaviour,
}
