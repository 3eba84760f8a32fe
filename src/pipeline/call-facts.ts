import type { Facts } from '#config/facts.ts'
import type { Call } from '#core/call.ts'

/** A call as the conditions of routing rules see it. What takes work is found out when a condition asks, and once. */
export class CallFacts implements Facts {
  provider: string
  model: string
  readonly request_type: string
  readonly stream: boolean
  readonly headers: Readonly<Record<string, string>>
  readonly virtual_key_id: string
  readonly virtual_key_name: string
  readonly team_id: string
  readonly team_name: string
  readonly customer_id: string
  readonly customer_name: string
  readonly user_id = ''
  readonly complexity_tier = ''
  readonly budget_used = 0
  readonly tokens_used = 0
  readonly request = 0
  readonly #call: Call
  readonly #nowMs: number
  #params: Readonly<Record<string, string>> | undefined
  #tokens: bigint | undefined
  #now: Date | undefined

  constructor(call: Call, nowMs: number) {
    this.#call = call
    this.#nowMs = nowMs
    this.provider = call.provider
    this.model = call.model ?? ''
    this.request_type = call.endpoint
    this.stream = call.stream
    this.headers = call.headers
    const { owner } = call.caller
    this.virtual_key_id = owner?.virtualKeyId ?? ''
    this.virtual_key_name = owner?.virtualKeyName ?? ''
    this.team_id = owner?.teamId ?? ''
    this.team_name = owner?.teamName ?? ''
    this.customer_id = owner?.customerId ?? ''
    this.customer_name = owner?.customerName ?? ''
  }

  get params(): Readonly<Record<string, string>> {
    return (this.#params ??= paramsOf(this.#call.query))
  }

  get token_estimate(): bigint {
    return (this.#tokens ??= BigInt(estimateTokens(this.#call)))
  }

  get now(): Date {
    return (this.#now ??= new Date(this.#nowMs))
  }
}

function paramsOf(query: string): Readonly<Record<string, string>> {
  // `fromEntries` makes own properties of every name, `__proto__` too.
  return query === '' ? {} : Object.fromEntries(new URLSearchParams(query))
}

const textFields = [
  'messages',
  'input',
  'prompt',
  'instructions',
  'system',
  'tools',
  'functions',
  'response_format',
  'text',
]
/** Where a string is an address or the content of a file, and no text. */
const notText = new Set(['image_url', 'file_url', 'url', 'data', 'file_data', 'b64_json', 'image'])
const charsPerToken = 4
const maxNodes = 100_000

/**
 * About how many tokens the texts of a request have: a quarter of their characters, and one for each number of a list,
 * which is a token already. Images, sound and files count as nothing. Looks at 100,000 values at most.
 */
export function estimateTokens({ body }: Call): number {
  if (body.kind !== 'json') return 0
  const { value } = body
  const left: unknown[] = []
  for (const name of textFields) if (value[name] !== undefined) left.push(value[name])
  let chars = 0
  for (let node = 0; node < maxNodes && left.length > 0; node++) {
    const part = left.pop()
    if (typeof part === 'string') chars += part.startsWith('data:') ? 0 : part.length
    else if (Array.isArray(part)) {
      for (const item of part) {
        if (typeof item === 'number') chars += charsPerToken
        else left.push(item)
      }
    } else if (typeof part === 'object' && part !== null) {
      for (const [name, item] of Object.entries(part)) {
        if (typeof item === 'object' || (typeof item === 'string' && !notText.has(name))) {
          left.push(item)
        }
      }
    }
  }
  return Math.ceil(chars / charsPerToken)
}
