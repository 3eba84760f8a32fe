import type { Call } from '#core/call.ts'

// Models that answer some chat requests, or all of them, by Responses only; from OpenAI's model pages and its guide to
// moving to Responses, as read in November 2026. They think unless told not to, so an effort that is not named is not
// `none`. Names that are not known here are asked as the caller asks.

/** When a model has to be asked by Responses. */
export interface ResponsesRule {
  readonly models: RegExp
  /** `tools-and-effort`: tools are offered and the effort is not `none`. */
  readonly when: 'always' | 'tools' | 'tools-and-effort'
}

export const OPENAI_RESPONSES: readonly ResponsesRule[] = [
  {
    models:
      /^(?:gpt-[\d.]+(?:-\w+)?|o\d+)-pro(?:-|$)|-codex(?:-|$)|^codex-|-deep-research(?:-|$)|^computer-use-/,
    when: 'always',
  },
  { models: /^(?:gpt-6-astra|gpt-6\.1-sol)(?:-|$)/, when: 'tools' },
  { models: /^(?:gpt-6-(?:sol|luna)|gpt-5\.6)(?:-|$)/, when: 'tools-and-effort' },
]

/** For vendors that have Responses alone. */
export const EVERY_MODEL: readonly ResponsesRule[] = [{ models: /./, when: 'always' }]

/** Models that think, whose reasoning can be had encrypted. */
export function thinks(model: string): boolean {
  const base = baseOf(model)
  return /^(?:o\d|gpt-(?:[5-9]|\d\d)|codex)/.test(base) && !/-chat(?:-|$)/.test(base)
}

/** These think only when they are told to. */
const quietByDefault = /^gpt-5\.[1-5](?:-\d|$)/

/** Models that think about everything; what asks them not to is answered with the least they do. */
export function cannotBeQuiet(model: string): boolean {
  return /^(?:gpt-6-astra|gpt-6\.1-sol)(?:-|$)/.test(baseOf(model))
}

/** Whether the model thinks about this request; it then refuses to be told how to pick its words. */
export function willThink(model: string, effort: string | undefined): boolean {
  if (!thinks(model) || effort === 'none') return false
  return effort !== undefined || !quietByDefault.test(baseOf(model))
}

/** Whether this chat call has to go out as a Responses call. */
export function needsResponses(
  call: Call,
  model: string,
  rules: readonly ResponsesRule[],
): boolean {
  if (call.endpoint !== 'chat_completion' || call.body.kind !== 'json') return false
  const base = baseOf(model)
  const { value } = call.body
  return rules.some(({ models, when }) => {
    if (!models.test(base)) return false
    if (when === 'always') return true
    const { tools, functions } = value
    if (!isFilled(tools) && !isFilled(functions)) return false
    return when === 'tools' || effortOf(value) !== 'none'
  })
}

/** The model that a fine-tuned one was made from. */
function baseOf(model: string): string {
  return model.startsWith('ft:') ? (model.split(':')[1] ?? model) : model
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0
}

function effortOf(value: Readonly<Record<string, unknown>>): unknown {
  const { reasoning_effort: effort, reasoning } = value
  return effort ?? (reasoning as { effort?: unknown } | null | undefined)?.effort
}
