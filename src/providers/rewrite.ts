import type { Body, Call } from '#core/call.ts'
import { framingOf } from '#core/endpoint.ts'
import {
  applyEdits,
  elementsAt,
  membersAt,
  removeMembers,
  renameMember,
  replaceValue,
} from '#lib/json.ts'
import type { Edit, Member } from '#lib/json.ts'

import type { Outbound } from './provider.ts'

// What an OpenAI-compatible vendor wants differently, applied as splices into the caller's own text, so that
// everything else keeps its bytes: key order, number literals, unknown fields.

export interface Quirks {
  /** Top-level field → the name this vendor knows it by. */
  readonly rename?: Readonly<Record<string, string>>
  /** Top-level fields this vendor refuses. */
  readonly drop?: readonly string[]
  /** Top-level field → value as written → value wanted. */
  readonly values?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Messages of role `developer` become `system`. */
  readonly developerAsSystem?: boolean
  /** Refuses `stream_options`; usage comes unasked. */
  readonly noStreamOptions?: boolean
}

interface Rewritten {
  readonly body: Outbound['body']
  readonly contentType: string | undefined
  readonly dropped: readonly string[]
}

/** For vendors that take the dialect as it is; compared by identity, so that they pay for nothing. */
const none: Quirks = {}

/** Fields of a JSON body that speak to the gateway and that no provider knows. */
const gatewayFields = ['fallbacks']
/** Operations whose body may name the provider, since they name no model. */
const namesProvider = new Set(['batch_create', 'batch_cancel', 'container_create', 'video_remix'])

/** The body to send for `model`, byte-identical to the caller's where nothing has to change. */
export function rewriteBody(
  call: Call,
  model: string | undefined,
  quirks: Quirks = none,
): Rewritten {
  const { body } = call
  switch (body.kind) {
    case 'none':
      return { body: undefined, contentType: undefined, dropped: [] }
    case 'stream':
      return { body: body.stream, contentType: body.contentType, dropped: [] }
    case 'bytes':
      return { body: rewriteForm(body, model), contentType: body.contentType, dropped: [] }
    case 'json': {
      const { edits, dropped } = jsonEdits(call, body, model, quirks)
      const sent = edits.length === 0 ? body.text : applyEdits(body.text, edits)
      return { body: sent, contentType: 'application/json', dropped }
    }
  }
}

function jsonEdits(
  call: Call,
  body: Body & { kind: 'json' },
  model: string | undefined,
  quirks: Quirks,
): { edits: Edit[]; dropped: string[] } {
  const { scan, text, value } = body
  const edits: Edit[] = []
  const remove: string[] = []
  const dropped: string[] = []
  const forcesUsage =
    call.stream && framingOf(call.endpoint) === 'chat' && quirks.noStreamOptions !== true
  let sawModel = false
  let sawStreamOptions = false

  for (const member of scan.members) {
    const { key } = member
    if (key === 'model') {
      sawModel = true
      if (model !== undefined && value['model'] !== model) {
        edits.push(replaceValue(member, JSON.stringify(model)))
      }
    } else if (key === 'stream_options') {
      sawStreamOptions = true
      if (quirks.noStreamOptions) remove.push(key)
      else if (forcesUsage) edits.push(...usageEdits(text, member, value[key]))
    } else if (gatewayFields.includes(key)) {
      remove.push(key)
    } else if (key === 'provider' && namesProvider.has(call.endpoint)) {
      remove.push(key)
    } else if (quirks.drop?.includes(key)) {
      remove.push(key)
      dropped.push(key)
    } else if (quirks !== none) {
      edits.push(...quirkEdits(text, member, value, quirks))
    }
  }
  if (remove.length > 0) edits.push(...removeMembers(scan, remove, text))
  let added = ''
  if (!sawModel && model !== undefined) added = `"model":${JSON.stringify(model)}`
  if (forcesUsage && !sawStreamOptions) {
    added += `${added === '' ? '' : ','}"stream_options":{"include_usage":true}`
  }
  if (added !== '') {
    const start = scan.open + 1
    const comma = scan.members.length > remove.length ? ',' : ''
    edits.push({ start, end: start, text: added + comma })
  }
  return { edits, dropped }
}

function usageEdits(text: string, member: Member, value: unknown): Edit[] {
  if (typeof value !== 'object' || value === null) {
    return [replaceValue(member, '{"include_usage":true}')]
  }
  const members = membersAt(text, member.start)
  const asked = members.find(({ key }) => key === 'include_usage')
  if (asked) {
    return (value as { include_usage?: unknown }).include_usage === true
      ? []
      : [replaceValue(asked, 'true')]
  }
  const comma = members.length > 0 ? ',' : ''
  const start = member.start + 1
  return [{ start, end: start, text: `"include_usage":true${comma}` }]
}

function quirkEdits(
  text: string,
  member: Member,
  value: Readonly<Record<string, unknown>>,
  quirks: Quirks,
): Edit[] {
  const { key } = member
  if (key === 'messages' && quirks.developerAsSystem) {
    return developerEdits(text, member, value[key])
  }
  const edits: Edit[] = []
  const renamed = quirks.rename?.[key]
  // The caller may have written both spellings; the vendor's own then wins and ours must not double it.
  if (renamed !== undefined && !(renamed in value)) edits.push(renameMember(member, renamed))
  const wanted = quirks.values?.[key]?.[String(value[key])]
  if (wanted !== undefined) edits.push(replaceValue(member, JSON.stringify(wanted)))
  return edits
}

function developerEdits(text: string, messages: Member, value: unknown): Edit[] {
  if (!Array.isArray(value)) return []
  const isDeveloper = (message: unknown) =>
    (message as { role?: unknown } | null)?.role === 'developer'
  if (!value.some(isDeveloper)) return []
  const spans = elementsAt(text, messages.start)
  return value.flatMap((message, index) => {
    const span = spans[index]
    if (!span || !isDeveloper(message)) return []
    const role = membersAt(text, span.start).find(({ key }) => key === 'role')
    return role ? [replaceValue(role, '"system"')] : []
  })
}

const encoder = new TextEncoder()

function rewriteForm(body: Body & { kind: 'bytes' }, model: string | undefined): Outbound['body'] {
  const spans: { start: number; end: number; bytes: Uint8Array }[] = []
  if (body.model && model !== undefined) {
    spans.push({ ...body.model, bytes: encoder.encode(model) })
  }
  for (const { start, end } of body.cuts ?? []) {
    spans.push({ start, end, bytes: new Uint8Array() })
  }
  if (spans.length === 0) return body.bytes
  spans.sort((a, b) => a.start - b.start)
  const pieces: Uint8Array[] = []
  let at = 0
  for (const span of spans) {
    pieces.push(body.bytes.subarray(at, span.start), span.bytes)
    at = span.end
  }
  pieces.push(body.bytes.subarray(at))
  return new Uint8Array(Buffer.concat(pieces))
}
