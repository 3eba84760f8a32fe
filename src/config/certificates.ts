import { X509Certificate } from 'node:crypto'

import type { Context } from './context.ts'

/** The certificates of `pem` as they are; undefined, and a problem, when there is none or one cannot be read. */
export function checkCertificates(
  pem: string | undefined,
  pointer: string,
  { report }: Pick<Context, 'report'>,
): string | undefined {
  if (pem === undefined) return undefined
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (found.length === 0) {
    report.problem(
      pointer,
      'is no PEM: there is no "-----BEGIN CERTIFICATE-----" with its end in it',
    )
    return undefined
  }
  for (const [n, certificate] of found.entries()) {
    try {
      // Throws when it is none.
      void new X509Certificate(certificate).subject
    } catch {
      report.problem(pointer, `certificate ${n + 1} of ${found.length} cannot be read`)
      return undefined
    }
  }
  return found.join('\n')
}
