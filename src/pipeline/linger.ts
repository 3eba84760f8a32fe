import { release, watch } from '#lib/deadline.ts'

/** After the last event the upstream gets this long to close. */
const lingerMs = 1000

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Reads on to the end of the body: a connection whose answer was read whole is used again. Never throws. */
export async function linger(reader: Reader, cancel: () => void): Promise<void> {
  const patience = watch({ at: performance.now() + lingerMs, expired: cancel })
  try {
    for (let read = await reader.read(); !read.done;) read = await reader.read()
  } catch {
    // Nobody waits for these bytes; a failure here only costs the connection.
    cancel()
  } finally {
    release(patience)
  }
}
