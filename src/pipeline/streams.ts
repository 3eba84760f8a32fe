import type { GatewayError } from '#core/errors.ts'

// Streams that are being relayed right now, so that a shutdown can end each of them in its own dialect.

interface OpenStream {
  /** Ends the stream with a well-formed error. */
  readonly terminate: (reason: GatewayError) => void
}

const open = new Set<OpenStream>()

/** Adds a stream; the returned function takes it out again. */
export function registerStream(stream: OpenStream): () => void {
  open.add(stream)
  return () => open.delete(stream)
}

/** How many streams are open. */
export function openStreams(): number {
  return open.size
}

/** Ends every open stream, which then unregister themselves. */
export function terminateStreams(reason: GatewayError): void {
  for (const stream of open) stream.terminate(reason)
}
