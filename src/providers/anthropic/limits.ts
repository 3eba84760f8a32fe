/**
 * The vendor's rate limit headers under OpenAI's names (page "Rate limits", as read in November 2026): times of reset
 * become durations, as OpenAI writes them. `nowMs` is in milliseconds since 1970.
 */
export function limitHeaders(
  headers: Readonly<Record<string, string>>,
  nowMs: number,
): Record<string, string> {
  const found: Record<string, string> = {}
  for (const what of ['requests', 'tokens'] as const) {
    for (const which of ['limit', 'remaining'] as const) {
      const value = headers[`anthropic-ratelimit-${what}-${which}`]
      if (value !== undefined) found[`x-ratelimit-${which}-${what}`] = value
    }
    const reset = Date.parse(headers[`anthropic-ratelimit-${what}-reset`] ?? '')
    if (!Number.isNaN(reset)) {
      found[`x-ratelimit-reset-${what}`] = `${Math.max(0, Math.ceil((reset - nowMs) / 1000))}s`
    }
  }
  return found
}
