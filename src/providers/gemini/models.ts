// What the models differ in, as data ("Thinking", "Thought signatures" and "Structured output" of the Gemini API
// docs, as read in November 2026). The first row whose pattern fits counts.

/** Levels of thinking that newer models know. */
export type Level = 'MINIMAL' | 'LOW' | 'MEDIUM' | 'HIGH'

export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
export type Effort = (typeof EFFORTS)[number]

/** How a model is told how long to think. */
export type Thinking =
  | { readonly kind: 'none' }
  /** In tokens. */
  | { readonly kind: 'budget'; readonly least: number; readonly most: number }
  | { readonly kind: 'level'; readonly levels: Readonly<Record<Effort, Level>> }

export interface ModelFacts {
  readonly thinking: Thinking
  /** Whether calls in the history carry signatures, and whether the model refuses those that do not. */
  readonly signatures: 'none' | 'kept' | 'demanded'
  /** Takes JSON Schema; the others take a part of OpenAPI's. */
  readonly jsonSchema: boolean
  /** Takes a schema for the answer, or a search tool, together with functions. */
  readonly combines: boolean
  readonly penalties: boolean
  readonly systemInstruction: boolean
  /** Results of functions may hold pictures. */
  readonly pictureResults: boolean
  /** Can be held to the functions' schemas while it stays free to call none. */
  readonly validated: boolean
  /** Answers may be longer streamed than whole. */
  readonly longerStreamed: boolean
}

function levels(floor: Level, medium: Level = 'MEDIUM'): Thinking {
  const low: Level = 'LOW'
  const high: Level = 'HIGH'
  const known = { none: floor, minimal: floor, low, medium, high, xhigh: high, max: high }
  return { kind: 'level', levels: known }
}

const noThinking: Thinking = { kind: 'none' }

const newest: ModelFacts = {
  thinking: levels('LOW'),
  signatures: 'demanded',
  jsonSchema: true,
  combines: true,
  penalties: false,
  systemInstruction: true,
  pictureResults: true,
  validated: true,
  longerStreamed: false,
}
const third = newest
const second: ModelFacts = {
  ...newest,
  thinking: { kind: 'budget', least: 0, most: 24_576 },
  signatures: 'kept',
  combines: false,
  pictureResults: false,
}
const first: ModelFacts = {
  ...second,
  thinking: noThinking,
  signatures: 'none',
  jsonSchema: false,
  penalties: true,
  validated: false,
}

const TABLE: readonly (readonly [name: RegExp, facts: ModelFacts])[] = [
  [/^gemini-4-argon/, { ...newest, longerStreamed: true }],
  [/^gemini-3[\d.]*-.*(?:image|tts)/, { ...third, thinking: noThinking, signatures: 'kept' }],
  // The first model of the line knows no middle.
  [/^gemini-3-pro/, { ...third, thinking: levels('LOW', 'HIGH') }],
  [/^gemini-3(?:\.[01])?-flash/, { ...third, thinking: levels('MINIMAL') }],
  [/^gemini-3/, third],
  [/^gemini-2\.5-.*(?:image|tts|audio)/, { ...second, thinking: noThinking }],
  [/^gemini-2\.5-pro/, { ...second, thinking: { kind: 'budget', least: 128, most: 32_768 } }],
  [/^gemini-2\.5/, second],
  [/^gemini-(?:1|2\.0|pro|exp)|^learnlm/, first],
  [/^gemma-[23](?!\d)/, { ...first, systemInstruction: false }],
  [/^gemma/, { ...first, jsonSchema: true }],
]

/** What is known of a model. A name that no row knows counts as one that came later than this table. */
export function factsOf(model: string): ModelFacts {
  const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase()
  return TABLE.find(([pattern]) => pattern.test(name))?.[1] ?? newest
}

/** Parameters of a chat that a model does not take. */
export function geminiLacks(model: string): readonly string[] {
  const { thinking, penalties } = factsOf(model)
  return [
    ...(thinking.kind === 'none' ? ['reasoning_effort', 'reasoning', 'reasoning_max_tokens'] : []),
    ...(penalties ? [] : ['frequency_penalty', 'presence_penalty']),
    ...(/tts|audio|live/.test(model) ? [] : ['audio']),
    ...(/tts|audio|live|image/.test(model) ? [] : ['modalities']),
  ]
}

/** Tokens to think for, by effort; `none` is the model's least and `xhigh` its most. */
export const BUDGETS: Readonly<Record<Exclude<Effort, 'none' | 'xhigh' | 'max'>, number>> = {
  minimal: 512,
  low: 1024,
  medium: 8192,
  high: 24_576,
}
