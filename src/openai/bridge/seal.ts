import type { ReasoningDetail } from '../answer/writer.ts'
import { readDetail } from '../conversation/assistant.ts'
import { isRecord } from '../conversation/fields.ts'

// What a provider thought, packed as the `encrypted_content` of a reasoning item. It is not secret from the caller, who
// has seen the summary; the packing keeps signatures with the provider and the family of models that made them.

/** Whose reasoning it is. */
export interface Origin {
  readonly provider: string
  readonly model: string
}

const mark = 'gw1.'
/** Longer than any answer; what is longer is not unpacked. */
const maxChars = 32 * 1024 * 1024

/** The packed details. */
export function seal(details: readonly unknown[], { provider, model }: Origin): string {
  const packed = JSON.stringify({ provider, family: familyOf(model), details })
  return mark + Buffer.from(packed).toString('base64url')
}

/** The details that were packed for this origin; undefined when they are somebody else's, or no packed details. */
export function unseal(
  sealed: string,
  { provider, model }: Origin,
): readonly ReasoningDetail[] | undefined {
  if (!sealed.startsWith(mark) || sealed.length > maxChars) return undefined
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(sealed.slice(mark.length), 'base64url').toString())
  } catch {
    // Somebody changed it on its way; it is of no use to anybody.
    return undefined
  }
  if (!isRecord(value) || !Array.isArray(value['details'])) return undefined
  if (value['provider'] !== provider || value['family'] !== familyOf(model)) return undefined
  return (value['details'] as unknown[]).flatMap(readDetail)
}

/** Ids that this gateway gives to reasoning: those of a response of its own, and the item's number. */
const ownReasoning = /^rs_[\da-hjkmnp-tv-z]{26}[\da-f]{4}$/

/** Whether an item is reasoning that was written here, which nobody else can read or has kept. */
export function isOwnReasoning(item: Readonly<Record<string, unknown>>): boolean {
  const { type, id, encrypted_content: sealed } = item
  if (type !== 'reasoning') return false
  if (typeof sealed === 'string' && sealed !== '') return sealed.startsWith(mark)
  return typeof id === 'string' && ownReasoning.test(id)
}

/**
 * `claude` for `claude-opus-5-5`, for `vendor/claude-…` and for `eu.vendor.claude-…`: models of a family read each
 * other's reasoning, wherever they are.
 */
function familyOf(model: string): string {
  const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase()
  // What comes after a point may as well be a version.
  const words = name.split('.').flatMap((part) => /^[a-z]{3,}/.exec(part)?.[0] ?? [])
  return words.at(-1) ?? /^[a-z]+/.exec(name)?.[0] ?? name
}
