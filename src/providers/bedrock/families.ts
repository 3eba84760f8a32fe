import { classOf } from '../anthropic/models.ts'

// What differs from one vendor's models to the next behind the same operations ("Supported models and model
// features", "Tool use", "Prompt caching" and "Structured output" of the Amazon Bedrock User Guide, as read in
// November 2026).

export type FamilyName =
  | 'claude'
  | 'nova'
  | 'nova2'
  | 'gpt-oss'
  | 'mistral'
  | 'mistral-large'
  | 'cohere'
  | 'llama'
  | 'structured'
  | 'other'

export interface Family {
  readonly name: FamilyName
  /** Takes cache points among the blocks of messages and system. */
  readonly caches: boolean
  /** Takes cache points among the tools. */
  readonly cachesTools: boolean
  /** Cache points may say how long they live. */
  readonly cacheTtl: boolean
  /** `toolChoice` may be `any`. */
  readonly anyTool: boolean
  /** `toolChoice` may name a tool. */
  readonly namedTool: boolean
  /** Holds the answer to a JSON schema itself. */
  readonly schema: boolean
  /** Takes `status` of tool results. */
  readonly resultStatus: boolean
  /** The member of `additionalModelRequestFields` that means `top_k`. */
  readonly topK: 'top_k' | 'k' | 'inferenceConfig' | undefined
  /** Hears. */
  readonly audio: boolean
}

const plain: Family = {
  name: 'other',
  caches: false,
  cachesTools: false,
  cacheTtl: false,
  anyTool: false,
  namedTool: false,
  schema: false,
  resultStatus: false,
  topK: undefined,
  audio: false,
}

const nova: Family = {
  ...plain,
  name: 'nova',
  caches: true,
  anyTool: true,
  namedTool: true,
  resultStatus: true,
  topK: 'inferenceConfig',
}

const claude: Family = {
  ...plain,
  name: 'claude',
  caches: true,
  cachesTools: true,
  cacheTtl: true,
  anyTool: true,
  namedTool: true,
  schema: true,
  resultStatus: true,
  topK: 'top_k',
}

/** The first row whose pattern is found in the id decides; ids may have a region in front and a version behind. */
const families: readonly (readonly [pattern: RegExp, is: Family])[] = [
  [
    /claude-(?:instant|v2|3-(?:haiku|sonnet|opus))/,
    { ...claude, caches: false, cachesTools: false, schema: false },
  ],
  [/claude/, claude],
  [/nova-2-(?:omni|sonic)/, { ...nova, name: 'nova2', audio: true }],
  [/nova-2/, { ...nova, name: 'nova2' }],
  [/nova/, nova],
  [/gpt-oss/, { ...plain, name: 'gpt-oss', schema: true }],
  [/voxtral/, { ...plain, name: 'mistral', schema: true, topK: 'top_k', audio: true }],
  [
    /mistral-large|pixtral-large/,
    { ...plain, name: 'mistral-large', anyTool: true, topK: 'top_k' },
  ],
  [/ministral|magistral|devstral/, { ...plain, name: 'mistral', schema: true, topK: 'top_k' }],
  [/mistral|mixtral/, { ...plain, name: 'mistral', topK: 'top_k' }],
  [/cohere|command-r/, { ...plain, name: 'cohere', topK: 'k' }],
  [/llama/, { ...plain, name: 'llama' }],
  [
    /qwen|deepseek\.v3|gemma-3|kimi|minimax|nemotron|glm/,
    { ...plain, name: 'structured', schema: true },
  ],
]

/** What a model can do, judged by its id; of what this table does not know nothing special is asked. */
export function familyOf(model: string): Family {
  const id = model.toLowerCase()
  const family = families.find(([pattern]) => pattern.test(id))?.[1] ?? plain
  if (family.name !== 'claude') return family
  const { structured, forcedTools } = classOf(id)
  if (structured === family.schema && forcedTools) return family
  return { ...family, schema: structured, anyTool: forcedTools, namedTool: forcedTools }
}
