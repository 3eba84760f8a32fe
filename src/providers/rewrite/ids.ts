import { createHash } from 'node:crypto'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** An id of exactly `length` letters and digits: the one given if it is one, else always the same for the same id. */
export function fitId(id: string, length: number): string {
  if (id.length === length && /^[0-9A-Za-z]+$/.test(id)) return id
  const digest = createHash('sha256').update(id).digest()
  let fitted = ''
  for (let at = 0; at < length; at++) fitted += alphabet[digest[at]! % alphabet.length]
  return fitted
}
