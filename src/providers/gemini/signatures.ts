// Newer models refuse a call in the history that comes without the signature it was made with, and many clients keep
// only the call. The signatures of the last hour are therefore remembered here.

const maxEntries = 10_000
const maxChars = 32 * 1024 * 1024
const ttlMs = 60 * 60 * 1000

/** Signatures by call. Forgets the least recently used first. Times are `Call.startedAt`, in milliseconds. */
export interface SignatureMemory {
  remember(key: string, signature: string, atMs: number): void
  /** Undefined when it was never known, or more than an hour ago. */
  recall(key: string, atMs: number): string | undefined
  forget(key: string): void
  readonly size: number
}

/**
 * Which call it is. Ids are the vendor's and may repeat, and a signature holds for the very call that it was made with:
 * one whose arguments somebody changed is another.
 */
export function callKey(
  provider: string,
  { id, name, args }: { readonly id: string; readonly name: string; readonly args: unknown },
): string {
  const digest = Bun.hash(JSON.stringify(args ?? {})).toString(36)
  return `${provider}\n${name}\n${id}\n${digest}`
}

interface Entry {
  readonly signature: string
  readonly atMs: number
}

export function createSignatureMemory(limit: number = maxEntries): SignatureMemory {
  /** The oldest first. */
  const entries = new Map<string, Entry>()
  let chars = 0

  function forget(key: string): void {
    const entry = entries.get(key)
    if (!entry) return
    entries.delete(key)
    chars -= key.length + entry.signature.length
  }

  return {
    remember(key, signature, atMs) {
      forget(key)
      const size = key.length + signature.length
      if (size > maxChars / 8) return
      entries.set(key, { signature, atMs })
      chars += size
      for (const oldest of entries.keys()) {
        if (entries.size <= limit && chars <= maxChars) break
        forget(oldest)
      }
    },
    recall(key, atMs) {
      const entry = entries.get(key)
      if (!entry) return undefined
      if (atMs - entry.atMs > ttlMs) {
        forget(key)
        return undefined
      }
      entries.delete(key)
      entries.set(key, entry)
      return entry.signature
    },
    forget,
    get size() {
      return entries.size
    },
  }
}
