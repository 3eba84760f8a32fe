import type { Call } from '#core/call.ts'
import { countTokens } from '#openai/tokens.ts'
import { conversationOf } from '#providers/exchange.ts'
import type { Outbound, Provider, Target } from '#providers/provider.ts'

/** Says of an answer that its tokens were counted here, with another vendor's tokenizer. */
export const ESTIMATED: Readonly<Record<string, string>> = { 'x-bf-tokens': 'estimated' }

/** Whether the tokens of this call have to be counted here, because the provider talks but does not count. */
export function countsHere({ endpoint }: Call, { offers }: Provider): boolean {
  if (endpoint !== 'count_tokens' || offers.has('count_tokens')) return false
  return offers.has('responses') || offers.has('chat_completion')
}

/** The counted answer. Throws a 400 for a conversation that is none. */
export async function countHere(call: Call, target: Target): Promise<Outbound> {
  const tokens = await countTokens(conversationOf(call), call.signal)
  call.trace.add('attempt', `${target.settings.name} does not count tokens; counted here`)
  return {
    method: 'POST',
    url: '',
    headers: {},
    body: undefined,
    dropped: [],
    known: JSON.stringify({
      object: 'response.input_tokens',
      input_tokens: tokens,
      input_tokens_estimated: true,
    }),
  }
}
