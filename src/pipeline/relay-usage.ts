import { isRecord } from '#config/record.ts'
import { readResponseUsage } from '#openai/usage.ts'
import type { Usage } from '#openai/usage.ts'
import type { Cost } from '#prices/cost.ts'

/** The last event of a response tells what it used, on both kinds of socket. */
const lastEvent = /"type"\s*:\s*"response\.(?:completed|incomplete|failed|done)"/

/** What the responses of one connection used and cost together. */
export interface RelayUsage {
  /** Reads a message of the provider, if it tells that. */
  heard(message: string | Uint8Array): void
  readonly total: Usage | undefined
  /** `null` where nobody knows what one of them cost. */
  readonly cost: Cost | null | undefined
  /** The one that answered, where that was always the same. */
  readonly model: string | undefined
}

/** `price` is of a response that a model gave; without a name, of the model that the connection is for. */
export function relayUsage(
  price: (model: string | undefined, usage: Usage) => Cost | undefined,
): RelayUsage {
  let total: Usage | undefined
  let cost: Cost | null | undefined
  const models = new Set<string | undefined>()
  return {
    heard(message) {
      if (typeof message !== 'string' || !message.includes('"usage"')) return
      if (!lastEvent.test(message)) return
      const response = responseIn(message)
      const usage = readResponseUsage(response)
      if (!usage) return
      const model = typeof response?.['model'] === 'string' ? response['model'] : undefined
      models.add(model)
      total = total ? together(total, usage) : usage
      const own = price(model, usage)
      if (!own || cost === null) cost = null
      else cost = cost ? together(cost, own) : own
    },
    get total() {
      return total
    },
    get cost() {
      return cost
    },
    get model() {
      return models.size === 1 ? [...models][0] : undefined
    },
  }
}

function responseIn(message: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const event: unknown = JSON.parse(message)
    return isRecord(event) && isRecord(event['response']) ? event['response'] : undefined
  } catch {
    // Passed on as it is: what it means is for the caller to find out.
    return undefined
  }
}

/** Counts add up; what is no count is that of the last. */
function together<T extends object>(before: T, now: T): T {
  const sum: Record<string, unknown> = Object.fromEntries(Object.entries(before))
  for (const [name, value] of Object.entries(now)) {
    const known = sum[name]
    if (typeof value !== 'number') sum[name] = value ?? known
    else sum[name] = typeof known === 'number' ? known + value : value
  }
  return sum as T
}
