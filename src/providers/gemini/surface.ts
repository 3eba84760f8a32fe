import type { SignatureMemory } from './signatures.ts'

/** What differs between the places that serve this dialect. */
export interface Surface {
  readonly signatures: SignatureMemory
  /** Calls and their results carry ids in requests. */
  readonly callIds: boolean
  /** Files are named by `gs://`; elsewhere by the address that the vendor's own file store gave them. */
  readonly cloudFiles: boolean
  /** `user` and `metadata` become labels; the table of fates must then say so. */
  readonly labels: boolean
}
