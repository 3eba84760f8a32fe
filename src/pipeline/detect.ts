import type { Snapshot } from '#config/snapshot.ts'
import type { Provider } from '#providers/provider.ts'

const patienceMs = 500

/** The names of those `providers` that run on this machine and that the configuration does not know. Never throws. */
export async function detectLocal(
  providers: Iterable<Pick<Provider, 'name' | 'baseUrl' | 'detectPath'>>,
  snapshot: Snapshot,
): Promise<string[]> {
  const unknown = [...providers].filter(({ name }) => !snapshot.providers.has(name))
  const found = await Promise.all(
    unknown.map(async ({ name, baseUrl, detectPath }) => {
      if (baseUrl === undefined || detectPath === undefined) return []
      return (await answers(baseUrl + detectPath)) ? [name] : []
    }),
  )
  return found.flat()
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(patienceMs),
      redirect: 'manual',
    })
    await response.body?.cancel()
    return response.ok
  } catch {
    // Nothing listens there, which is the usual case.
    return false
  }
}
