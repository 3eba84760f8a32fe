import { record, text } from '#openai/conversation/fields.ts'

type Fields = Readonly<Record<string, unknown>>

interface Token {
  readonly token: string
  readonly logprob: number
  readonly bytes: readonly number[]
}

const encoder = new TextEncoder()

/** `logprobsResult` as OpenAI's token objects ("LogprobsResult", as read in November 2026). */
export function tokensOf(result: Fields): (Token & { readonly top_logprobs: readonly Token[] })[] {
  const alternatives = list(result['topCandidates'])
  return list(result['chosenCandidates']).map((chosen, i) => ({
    ...tokenOf(chosen),
    top_logprobs: list(record(alternatives[i])['candidates']).map(tokenOf),
  }))
}

function tokenOf(value: unknown): Token {
  const { token, logProbability } = record(value)
  const written = text(token) ?? ''
  return {
    token: written,
    logprob: typeof logProbability === 'number' ? logProbability : 0,
    bytes: [...encoder.encode(written)],
  }
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
