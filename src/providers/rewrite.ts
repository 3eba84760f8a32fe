import type { Call, JsonBody } from '#core/call.ts'
import { framingOf } from '#core/endpoint.ts'
import { applyEdits } from '#lib/json.ts'
import type { Member } from '#lib/json.ts'
import { record } from '#openai/conversation/fields.ts'

import type { Outbound } from './provider.ts'
import type { Quirks } from './quirks.ts'
import { Draft } from './rewrite/draft.ts'
import type { Written } from './rewrite/draft.ts'
import { addExtra } from './rewrite/extra.ts'
import { applyQuirks } from './rewrite/fields.ts'
import { rewriteForm } from './rewrite/form.ts'
import { quirksFor } from './rewrite/resolve.ts'

// What an OpenAI-compatible vendor wants differently, applied as splices into the caller's own text, so that
// everything else keeps its bytes: key order, number literals, unknown fields.

interface Rewritten {
  readonly body: Outbound['body']
  readonly contentType: string | undefined
  readonly dropped: readonly string[]
}

/** For vendors that take the dialect as it is; compared by identity, so that they pay for nothing. */
const none: Quirks = {}

/** Fields of a JSON body that speak to the gateway and that no provider knows. */
const gatewayFields = ['fallbacks', 'extra_params']
/** Operations whose body may name the provider, since they name no model. */
const namesProvider = new Set(['batch_create', 'batch_cancel', 'container_create', 'video_remix'])

/**
 * The body to send for `model`, byte-identical to the caller's where nothing has to change. Throws the 400 for what
 * the provider of this name can neither take nor do without.
 */
export function rewriteBody(
  call: Call,
  model: string | undefined,
  provider: string,
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
      const dropped: string[] = []
      const text = rewriteJson(call, body, model, provider, quirks, dropped)
      return { body: text, contentType: 'application/json', dropped }
    }
  }
}

function rewriteJson(
  call: Call,
  body: JsonBody,
  model: string | undefined,
  provider: string,
  vendor: Quirks,
  dropped: string[],
): string {
  const { text, value } = body
  const quirks = quirksFor(vendor, value, model)
  const draft = new Draft(new Root(body))
  function drop(place: string): void {
    if (!dropped.includes(place)) dropped.push(place)
  }
  const named = model === undefined ? undefined : (quirks.models?.[model] ?? model)
  if (named !== undefined && value['model'] !== named) draft.set('model', JSON.stringify(named))
  setStreamOptions(call, draft, value, quirks, drop)
  for (const field of gatewayFields) draft.remove(field)
  if (namesProvider.has(call.endpoint)) draft.remove('provider')
  if (quirks !== none) applyQuirks({ draft, request: value, quirks, provider, drop })
  if (value['extra_params'] !== undefined) addExtra(call, draft, drop)
  const edits = draft.edits()
  return edits.length === 0 ? text : applyEdits(text, edits)
}

/** A whole body as what is changed; where its members stand is the body's to know. */
class Root implements Written {
  readonly #body: JsonBody
  readonly text: string
  readonly open: number
  readonly value: JsonBody['value']

  constructor(body: JsonBody) {
    this.#body = body
    this.text = body.text
    this.open = body.text.indexOf('{')
    this.value = body.value
  }

  get members(): readonly Member[] {
    return this.#body.scan.members
  }
}

/** Streams of chunks are always asked for their usage; the relay keeps it from callers who are not. */
function setStreamOptions(
  call: Call,
  draft: Draft,
  request: Readonly<Record<string, unknown>>,
  quirks: Quirks,
  drop: (place: string) => void,
): void {
  const forcesUsage =
    call.stream && framingOf(call.endpoint) === 'chat' && quirks.noStreamOptions !== true
  if (request['stream_options'] === undefined) {
    if (forcesUsage) draft.set('stream_options', '{"include_usage":true}')
    return
  }
  const options = record(request['stream_options'])
  const { include_obfuscation: padded } = options
  const losesPadding = quirks.noStreamOptions === true || quirks.noObfuscation === true
  if (losesPadding && padded === true) drop('stream_options.include_obfuscation')
  if (quirks.noStreamOptions) {
    draft.remove('stream_options')
    return
  }
  if (options !== request['stream_options']) {
    if (forcesUsage) draft.set('stream_options', '{"include_usage":true}')
    return
  }
  const own = draft.inside('stream_options')
  if (forcesUsage && options['include_usage'] !== true) own?.set('include_usage', 'true')
  if (quirks.noObfuscation) own?.remove('include_obfuscation')
}
