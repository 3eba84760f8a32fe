// JSON as text: where things stand in a document and how to change a few of them while every other byte stays
// as it came. Nothing here validates; callers hand the same text to `JSON.parse`.

export { locateAtEdge, maxMembers, mayBeDeeper } from './json/bounds.ts'
export { parseExact } from './json/exact.ts'
export { countKeys, findDuplicateKey } from './json/keys.ts'
export { elementsAt, locate, locateLate, membersAt, scanJson } from './json/scan.ts'
export type { Member, Scan, Span } from './json/scan.ts'
export { parseShort, shortenStrings } from './json/shorten.ts'
export {
  appendMember,
  applyEdits,
  prependMember,
  removeMember,
  removeMembers,
  renameMember,
  replaceValue,
} from './json/splice.ts'
export type { Edit } from './json/splice.ts'
