import type { AssistantTurn, PastCall } from '#openai/conversation/conversation.ts'
import { invalid, isRecord, record, text } from '#openai/conversation/fields.ts'
import { sourceOf } from '#openai/conversation/parts.ts'

import type { Exchange } from '../exchange.ts'
import type { ModelFacts } from './models.ts'
import { callKey } from './signatures.ts'
import type { Surface } from './surface.ts'
import type { Part } from './wire.ts'
import { SIGNATURE_FORMAT, UNSIGNED } from './wire.ts'

// What an earlier answer of this vendor left in the history besides its words, put back where it was ("Thought
// signatures", as read in November 2026).

export interface TurnSignatures {
  /** Of the text. */
  readonly text: string | undefined
  readonly calls: ReadonlyMap<PastCall, string>
}

/**
 * The signatures of one turn: those that the message carries, else those that are remembered, else, where the model
 * refuses calls without, the vendor's own stand-in. Of calls made side by side only the first needs one.
 */
export function signaturesOf(
  turn: AssistantTurn,
  exchange: Exchange,
  surface: Surface,
  facts: ModelFacts,
): TurnSignatures {
  noteForeign(turn, exchange)
  const calls = new Map<PastCall, string>()
  if (facts.signatures === 'none') return { text: undefined, calls }
  const own = turn.details.filter(
    ({ type, format, data }) =>
      type === 'reasoning.encrypted' && format === SIGNATURE_FORMAT && data !== undefined,
  )
  for (const call of turn.calls) {
    const carried = carriedBy(call.extra, call.param) ?? own.find(({ id }) => id === call.id)?.data
    if (carried !== undefined) calls.set(call, carried)
  }
  const [first] = turn.calls
  if (first && calls.size === 0) {
    const { call, target } = exchange
    const { id, name, input: args } = first
    const key = callKey(target.settings.name, { id, name, args })
    const known = surface.signatures.recall(key, call.startedAt)
    if (known !== undefined) calls.set(first, known)
    else if (facts.signatures === 'demanded') calls.set(first, UNSIGNED)
  }
  return { text: own.findLast(({ id }) => id === undefined)?.data, calls }
}

/** `extra_content.google.thought_signature`, as the vendor's own OpenAI-compatible surface writes it. */
function carriedBy(holder: Readonly<Record<string, unknown>>, param: string): string | undefined {
  const given = record(record(holder['extra_content'])['google'])['thought_signature']
  if (given === undefined || given === null) return undefined
  if (typeof given === 'string' && /^[A-Za-z0-9+/_=-]+$/.test(given)) return given
  throw invalid(`${param}.extra_content.google.thought_signature`, 'Expected text in base64.')
}

/** Reasoning that other vendors signed, or nobody, is not this model's own. */
function noteForeign({ details, reasoning, param }: AssistantTurn, exchange: Exchange): void {
  if (
    details.some(({ format, data, signature, index }) => {
      if (format === SIGNATURE_FORMAT) return false
      if (format !== undefined || data !== undefined || signature !== undefined) return true
      return !details.some((other) => other.index === index && other.format === SIGNATURE_FORMAT)
    })
  ) {
    exchange.drop(`${param}.reasoning_details`)
  }
  if (details.length === 0 && reasoning !== undefined && reasoning !== '') {
    exchange.drop(`${param}.reasoning`)
  }
}

/** Thoughts go back only with the signature that proves them. */
export function thoughtParts({ details }: AssistantTurn, facts: ModelFacts): Part[] {
  if (facts.signatures === 'none') return []
  return details.flatMap(({ type, format, signature, text: said }) => {
    const isOwn = type === 'reasoning.text' && format === SIGNATURE_FORMAT
    if (!isOwn || signature === undefined) return []
    return [{ text: said ?? '', thought: true, thoughtSignature: signature }]
  })
}

/** Pictures that the model made, from `images`. Throws a 400 for what is no data URL. */
export function imageParts({ extra, param }: AssistantTurn, facts: ModelFacts): Part[] {
  const images = Array.isArray(extra['images']) ? (extra['images'] as unknown[]) : []
  return images.map((image, i) => {
    const place = `${param}.images[${i}]`
    const holder = record(image)
    const url = text(record(holder['image_url'])['url']) ?? ''
    const source = sourceOf(url, `${place}.image_url.url`)
    if (source.kind !== 'data') {
      throw invalid(`${place}.image_url.url`, 'A picture of an earlier answer is a data URL.')
    }
    const signature =
      carriedBy(holder, place) ?? (facts.signatures === 'demanded' ? UNSIGNED : undefined)
    return {
      inlineData: { mimeType: source.mediaType, data: source.base64 },
      ...(signature !== undefined &&
        facts.signatures !== 'none' && { thoughtSignature: signature }),
    }
  })
}

const serverMembers = ['executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse']

/** What the vendor's own tools did in that turn, as the answer showed it. */
export function serverParts({ extra, param }: AssistantTurn): Part[] {
  const { parts } = record(record(extra['extra_content'])['google'])
  if (!Array.isArray(parts)) return []
  return parts.map((part: unknown, i) => {
    if (isRecord(part) && serverMembers.some((name) => isRecord(part[name]))) return part
    throw invalid(
      `${param}.extra_content.google.parts[${i}]`,
      `Expected one of ${serverMembers.join(', ')}.`,
    )
  })
}
