import type { Snapshot } from '#config/snapshot.ts'
import type { Body, Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import {
  applyEdits,
  elementsAt,
  prependMember,
  removeMember,
  replaceValue,
  scanJson,
} from '#lib/json.ts'
import type { Edit } from '#lib/json.ts'
import type { ResponseStore, StoredItem } from '#store/responses.ts'

// What is kept of a response, and for whom.

const ofVirtualKey = 'virtual key '

/**
 * Whose responses and jobs a caller sees: those made with the same virtual key, whatever its value is by now, with the
 * same key of their own, or those made without one.
 */
export function ownerOf({ caller }: Pick<Call, 'caller'>): string {
  if (caller.owner) return ofVirtualKey + caller.owner.virtualKeyId
  if (!caller.directKey) return ''
  return new Bun.CryptoHasher('sha256').update(caller.directKey.reveal()).digest('hex')
}

/** An item of a request's input. Long strings are cut in `value`, never in `text`. */
export interface InputItem {
  readonly text: string
  readonly value: Readonly<Record<string, unknown>>
}

/** The input of a Responses body as items; a plain text is a message. */
export function ownItems(body: Body & { readonly kind: 'json' }): InputItem[] {
  const input = body.scan.members.findLast(({ key }) => key === 'input')
  if (!input) return []
  const value = body.value['input']
  if (typeof value === 'string') {
    const content = body.text.slice(input.start, input.end)
    return [
      {
        text: `{"type":"message","role":"user","content":${content}}`,
        value: { type: 'message', role: 'user', content: value },
      },
    ]
  }
  if (!Array.isArray(value)) return []
  return elementsAt(body.text, input.start).map(({ start, end }, i) => ({
    text: body.text.slice(start, end),
    value: record(value[i]),
  }))
}

/** Keeps the finished response of a call; its `store` becomes whether that worked. */
export function keeper(
  call: Call,
  provider: string,
  snapshot: Snapshot,
  responses: ResponseStore,
): NonNullable<Call['onResponse']> {
  return (response) => {
    response['store'] = true
    const { output, ...head } = response
    const { id } = response
    if (typeof id !== 'string' || call.body.kind !== 'json') {
      response['store'] = false
      return
    }
    const input = ownItems(call.body)
      .slice(call.itemsBefore ?? 0)
      .map(storedInput)
    try {
      response['store'] = responses.put(
        {
          id,
          owner: ownerOf(call),
          previousId: call.continues,
          provider,
          model: call.modelRequested,
          head: JSON.stringify(head),
          input,
          output: Array.isArray(output) ? output.map(storedOutput) : [],
        },
        snapshot.responseStore,
      )
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown
      // The answer is whole without it, and says itself that it was not kept.
      response['store'] = false
    }
    if (response['store'] === false) {
      call.trace.add('stream', `${provider}: the response could not be kept`)
    }
  }
}

function storedOutput(item: unknown): StoredItem {
  const { id } = record(item)
  return { id: typeof id === 'string' ? id : undefined, text: JSON.stringify(item) }
}

const prefixes: Readonly<Record<string, string>> = {
  message: 'msg',
  function_call: 'fc',
  function_call_output: 'fco',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'ctco',
  reasoning: 'rs',
}

const maxIdChars = 200

/** An item of the input as it is listed: with an id, a type, and the content of a message as parts. */
function storedInput({ text, value }: InputItem): StoredItem {
  const { id, type } = value
  const scan = scanJson(text)
  if (scan.root !== 'object') return { id: undefined, text }
  const kind = typeof type === 'string' ? type : 'message'
  const edits: Edit[] = []
  const content = scan.members.find(({ key }) => key === 'content')
  if (kind === 'message' && content && typeof value['content'] === 'string') {
    const part = value['role'] === 'assistant' ? 'output_text' : 'input_text'
    const written = text.slice(content.start, content.end)
    const more = part === 'output_text' ? ',"annotations":[]' : ''
    edits.push(replaceValue(content, `[{"type":"${part}","text":${written}${more}}]`))
  }
  if (type === undefined) edits.push(prependMember(scan, 'type', '"message"'))
  let stored = applyEdits(text, edits)
  if (typeof id === 'string' && id !== '' && id.length <= maxIdChars) return { id, text: stored }
  const removal = removeMember(scanJson(stored), 'id')
  if (removal) stored = applyEdits(stored, [removal])
  const own = `${prefixes[kind] ?? 'item'}_${newId()}`
  return {
    id: own,
    text: applyEdits(stored, [prependMember(scanJson(stored), 'id', JSON.stringify(own))]),
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}
