import type { Fields, Quirks, Rule } from '../quirks.ts'

/** The base model of a fine-tune, else the model itself. */
function baseOf(model: string): string {
  return model.startsWith('ft:') ? model.slice('ft:'.length).split(':', 1)[0]! : model
}

function holds(rule: Rule, request: Fields, model: string): boolean {
  return (
    (rule.models?.test(model) ?? true) &&
    !rule.except?.test(model) &&
    (rule.when?.(request) ?? true)
  )
}

/** What combinations of rules come to; there are only as many as a vendor's rules allow. */
const combined = new WeakMap<Quirks, Map<number, Quirks>>()

/** The quirks that count for this request: the vendor's, with those whose rules hold. */
export function quirksFor(quirks: Quirks, request: Fields, model: string | undefined): Quirks {
  const { rules } = quirks
  if (!rules) return quirks
  const base = baseOf(model ?? '')
  let holding = 0
  rules.forEach((rule, at) => {
    if (holds(rule, request, base)) holding |= 1 << at
  })
  if (holding === 0) return quirks
  let known = combined.get(quirks)
  if (!known) combined.set(quirks, (known = new Map()))
  let result = known.get(holding)
  if (!result) {
    result = rules.reduce<Quirks>(
      (sum, rule, at) => ((holding & (1 << at)) === 0 ? sum : merged(sum, rule.quirks)),
      quirks,
    )
    known.set(holding, result)
  }
  return result
}

/** `more` on top of `base`: lists grow, tables are overlaid, anything else is replaced. */
export function merged(base: Quirks, more: Quirks): Quirks {
  return overlaid(base as Fields, more as Fields)
}

function overlaid(base: Fields, more: Fields): Fields {
  const result: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(more)) {
    const known = base[name]
    if (Array.isArray(known) && Array.isArray(value)) {
      result[name] = [...new Set([...(known as unknown[]), ...(value as unknown[])])]
    } else if (isTable(known) && isTable(value)) result[name] = overlaid(known, value)
    else result[name] = value
  }
  return result
}

function isTable(value: unknown): value is Fields {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.getPrototypeOf(value) === Object.prototype
  )
}
