import { applyEdits, elementsAt, membersAt, replaceValue, scanJson } from '#lib/json.ts'
import type { Edit, Scan } from '#lib/json.ts'

import type { Mender, Mending } from '../provider.ts'

// What the content filter adds to a stream, in a form that OpenAI's clients can read. The first event often has no
// choices, and neither id nor model; with the asynchronous filter more events without a delta come between and after
// the others. Azure OpenAI, "Content streaming", as read in November 2026.

const pattern =
  /"prompt_filter_results"|"content_filter_offsets"|"choices"\s*:\s*\[\s*\]|"id"\s*:\s*""/

/** For streams whose choices have a `delta`. */
export const chatMending: Mending = { pattern, open: () => mender('delta', '"delta":{}') }
/** For streams whose choices have `text`. */
export const textMending: Mending = { pattern, open: () => mender('text', '"text":""') }

/** Members of an event that say which answer it is part of. */
const facts = ['id', 'object', 'created', 'model']

/** What a filter found out about the prompt waits for the first event that has choices, and travels with it. */
function mender(required: string, standIn: string): Mender {
  const known = new Map<string, string>()
  let waiting: string | undefined

  function mend(data: string): string | undefined {
    const value = objectIn(data)
    if (!value || !Array.isArray(value['choices'])) return data
    const choices = value['choices'] as readonly unknown[]
    const scan = scanJson(data)
    if (choices.length === 0) {
      if (value['usage']) return filled(data, scan, [])
      const found = scan.members.find(({ key }) => key === 'prompt_filter_results')
      if (!found && value['id'] !== '') return data
      if (found) waiting = data.slice(found.start, found.end)
      return undefined
    }
    const edits: Edit[] = []
    for (const { key, start, end } of scan.members) {
      if (key === 'choices') edits.push(...choiceEdits(data, start, choices))
      else if (facts.includes(key) && !known.has(key) && !isBlank(value[key])) {
        known.set(key, data.slice(start, end))
      }
    }
    return filled(data, scan, edits)
  }

  /** With the facts of the answer where they are missing, and what was waiting in front. */
  function filled(data: string, scan: Scan, edits: Edit[]): string {
    for (const member of scan.members) {
      const text = known.get(member.key)
      if (text !== undefined && isBlank(JSON.parse(data.slice(member.start, member.end)))) {
        edits.push(replaceValue(member, text))
      }
    }
    if (waiting !== undefined && !scan.members.some(({ key }) => key === 'prompt_filter_results')) {
      const at = scan.open + 1
      edits.push({ start: at, end: at, text: `"prompt_filter_results":${waiting},` })
    }
    waiting = undefined
    return edits.length === 0 ? data : applyEdits(data, edits)
  }

  function choiceEdits(data: string, start: number, choices: readonly unknown[]): Edit[] {
    const spans = elementsAt(data, start)
    return choices.flatMap((choice, index) => {
      const span = spans[index]
      if (!span || !isObject(choice)) return []
      const own = choice[required]
      if (own !== undefined && own !== null) return []
      const members = membersAt(data, span.start)
      const empty = members.find(({ key }) => key === required)
      if (empty) return [replaceValue(empty, standIn.slice(standIn.indexOf(':') + 1))]
      const at = span.start + 1
      return [{ start: at, end: at, text: standIn + (members.length > 0 ? ',' : '') }]
    })
  }

  return {
    mend,
    get isWaiting() {
      return !known.has('id') || waiting !== undefined
    },
  }
}

function isBlank(value: unknown): boolean {
  return value === '' || value === 0 || value === null
}

function objectIn(data: string): Record<string, unknown> | undefined {
  if (!data.startsWith('{')) return undefined
  try {
    return JSON.parse(data) as Record<string, unknown>
  } catch {
    // What is no JSON is judged by whoever reads the stream.
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
