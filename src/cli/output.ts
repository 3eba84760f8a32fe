/**
 * Writes to standard output and is done when the system has taken all of it: a pipe takes 64 KB, and the rest as its
 * reader goes on, while a process that ends takes with it what has not left. Returns the exit code: `code`, unless that
 * failed.
 */
export async function output(text: string, code = 0): Promise<number> {
  try {
    await Bun.write(Bun.stdout, text)
    return code
  } catch (thrown) {
    return failedOutput(thrown, code)
  }
}

/** The exit code after a failed write, said why. A reader that has seen enough, as `head` has, is no failure. */
export function failedOutput(thrown: unknown, code = 0): number {
  const { code: errno, message } = thrown as NodeJS.ErrnoException
  if (errno === 'EPIPE') return code
  console.error(`asbru: the output cannot be written: ${message}`)
  return 1
}
