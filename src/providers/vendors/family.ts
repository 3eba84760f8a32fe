import type { Fields, Quirks } from '../quirks.ts'
import { merged } from '../rewrite/resolve.ts'

/** Fields that only OpenAI itself defines and that stricter vendors answer with a 400. */
const openaiOnly = [
  'store',
  'metadata',
  'prediction',
  'verbosity',
  'web_search_options',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
  'safety_identifier',
  'moderation',
  'service_tier',
  'audio',
  'reasoning_max_tokens',
]

/** Members that this gateway's answers in the name of other vendors have, and that come back in the history. */
export const ofOtherAnswers = ['extra_content', 'provider_content', 'citations', 'images']

/**
 * What all but OpenAI have in common, with a vendor's own differences on top; `takes` names fields of OpenAI's that it
 * does take.
 */
export function family(own: Quirks, takes: readonly string[] = []): Quirks {
  const base: Quirks = {
    drop: openaiOnly.filter((field) => !takes.includes(field)),
    refuse: ['modalities'].filter((field) => !takes.includes(field)),
    functionsAsTools: true,
    filterTools: true,
    noObfuscation: true,
    effort: { words: {} },
    messages: {
      roles: { developer: 'system' },
      // What a model is told of its own earlier answers has no place in these.
      strip: ['annotations'],
      drop: ['audio'],
      dropOfAnswers: ofOtherAnswers,
      dropOfCalls: ['extra_content'],
      reasoning: 'reasoning_content',
      refusalAsText: true,
    },
  }
  return merged(base, own)
}

/** For vendors whose own Responses know no account-wide caches and safety ids. */
export const responsesQuirks: Quirks = {
  noForeignItems: true,
  drop: ['prompt_cache_key', 'prompt_cache_retention', 'safety_identifier', 'moderation'],
}

/** Whether the request names an effort other than `none`. */
export function namesEffort(request: Fields): boolean {
  const effort = effortOf(request)
  return effort !== undefined && effort !== 'none'
}

/** Whether the request turns thinking off, in OpenAI's way or with the family's `thinking`. */
export function turnsThinkingOff(request: Fields): boolean {
  const { thinking } = request
  return (
    effortOf(request) === 'none' || (thinking as { type?: unknown } | null)?.type === 'disabled'
  )
}

/** Whether the request forces a tool to be called. */
export function forcesTool({ tool_choice: choice, function_call: old }: Fields): boolean {
  const wanted = choice ?? old
  if (typeof wanted === 'object' && wanted !== null) {
    const { allowed_tools: allowed, mode } = wanted as Fields
    return ((allowed as Fields | undefined)?.['mode'] ?? mode) !== 'auto'
  }
  return wanted === 'required' || wanted === 'any'
}

function effortOf({ reasoning_effort: effort, reasoning }: Fields): unknown {
  return effort ?? (reasoning as { effort?: unknown } | null | undefined)?.effort
}
