// What differs from model to model, as data (docs pages "Models overview", "Thinking", "Effort", "Structured outputs"
// and "Migration guide", as read in November 2026).

/** How a model can be made to think: not at all, by a budget, or by effort with a switch or without one. */
export type ThinkingStyle = 'none' | 'budget' | 'optional' | 'always'

export interface ModelClass {
  readonly thinking: ThinkingStyle
  /** The `thinking.type` that keeps it from thinking before it answers; undefined where nothing does. */
  readonly off: 'disabled' | 'between_tools' | undefined
  /** Takes temperature, top_p and top_k. */
  readonly sampling: boolean
  /** `tool_choice` may demand a call. */
  readonly forcedTools: boolean
  /** The last message may be the beginning of the answer. */
  readonly prefill: boolean
  /** Has `output_config.format` and strict tools. */
  readonly structured: boolean
  /** Takes messages of the role `system` after the first user message. */
  readonly laterSystem: boolean
  /** What `output_config.effort` takes, in rising order. */
  readonly efforts: readonly string[]
  /** Sent as `max_tokens` when the caller sets no limit. */
  readonly defaultTokens: number
  /** The most that `max_tokens` may be. */
  readonly ceilingTokens: number
}

const noEfforts: readonly string[] = []
const fourEfforts: readonly string[] = ['low', 'medium', 'high', 'max']
const fiveEfforts: readonly string[] = ['low', 'medium', 'high', 'xhigh', 'max']

const plain: ModelClass = {
  thinking: 'none',
  off: undefined,
  sampling: true,
  forcedTools: true,
  prefill: true,
  structured: false,
  laterSystem: false,
  efforts: noEfforts,
  defaultTokens: 4096,
  ceilingTokens: 4096,
}

/** Rate limits count `max_tokens`, so that the ceiling of newer models would be a costly default. */
const moderate = 16_384

const budget: ModelClass = {
  ...plain,
  thinking: 'budget',
  defaultTokens: moderate,
  ceilingTokens: 64_000,
}

const adaptive: ModelClass = {
  ...plain,
  thinking: 'optional',
  off: 'disabled',
  prefill: false,
  structured: true,
  efforts: fourEfforts,
  defaultTokens: moderate,
  ceilingTokens: 128_000,
}

const current: ModelClass = {
  ...adaptive,
  sampling: false,
  laterSystem: true,
  efforts: fiveEfforts,
}

const alwaysThinking: ModelClass = {
  ...current,
  thinking: 'always',
  off: undefined,
  forcedTools: false,
}

/** A model that this table has not heard of is treated as the newest kind, with a limit that every model takes. */
const unknown: ModelClass = { ...alwaysThinking, laterSystem: false, defaultTokens: 4096 }

/** The first row whose pattern fits the beginning of the model's name decides. */
const classes: readonly (readonly [pattern: RegExp, is: ModelClass])[] = [
  [/^claude-(?:instant|v?2|3-(?:haiku|sonnet|opus))/, plain],
  [/^claude-3-5-/, { ...plain, defaultTokens: 8192, ceilingTokens: 8192 }],
  [/^claude-3-7-/, budget],
  [/^claude-(?:opus|sonnet|haiku)-4-5\b/, { ...budget, structured: true }],
  [/^claude-(?:opus|sonnet|haiku)-4-6\b/, adaptive],
  [/^claude-(?:opus|sonnet|haiku)-4-7\b/, { ...current, laterSystem: false }],
  [/^claude-(?:opus|sonnet|haiku)-4-8\b/, current],
  [/^claude-opus-4(?:-[01])?(?=$|[@:_]|-\d{8}|-[a-z])/, { ...budget, ceilingTokens: 32_000 }],
  [/^claude-(?:sonnet|haiku)-4(?:-0)?(?=$|[@:_]|-\d{8}|-[a-z])/, budget],
  [/^claude-opus-5-5\b/, alwaysThinking],
  [/^claude-sonnet-5-5\b/, { ...alwaysThinking, off: 'between_tools' }],
  [/^claude-haiku-5-5\b/, current],
  [/^claude-(?:opus|sonnet|haiku)-5(?=$|[@:_]|-\d{8}|-[a-z])/, current],
  [/^claude-(?:fable|mythos)-/, alwaysThinking],
]

/** Parameters of a chat that a model does not take. */
export function claudeLacks(model: string): readonly string[] {
  const { sampling, thinking } = classOf(model)
  return [
    ...(sampling ? [] : ['temperature', 'top_p', 'top_k']),
    ...(thinking === 'none' ? ['reasoning_effort', 'reasoning', 'reasoning_max_tokens'] : []),
  ]
}

const known = new Map<string, ModelClass>()
const maxKnown = 500

/** What a model can do. Takes the names of all of Claude's homes, such as `eu.anthropic.claude-opus-4-8-v1:0`. */
export function classOf(model: string): ModelClass {
  const found = known.get(model)
  if (found) return found
  const lower = model.toLowerCase()
  const at = lower.indexOf('claude-')
  // 3.5 and the like are written with a point by some.
  const name = at === -1 ? '' : lower.slice(at).replaceAll(/(?<=\d)\.(?=\d)/g, '-')
  const is = classes.find(([pattern]) => pattern.test(name))?.[1] ?? unknown
  if (known.size >= maxKnown) known.clear()
  known.set(model, is)
  return is
}
