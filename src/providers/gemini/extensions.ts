import { isRecord, record } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'

// The vendor's own parameters. Callers write them at the top of the request, or inside `google` or `extra_body.google`
// as the vendor's OpenAI-compatible surface wants them.

const names: ReadonlySet<string> = new Set([
  'safety_settings',
  'cached_content',
  'thinking_config',
  'image_config',
  'speech_config',
  'media_resolution',
])

type Request = Readonly<Record<string, unknown>>

/** A parameter and where it stood; undefined when the caller did not give it. */
export function ownParam(
  request: Request,
  name: string,
): { readonly value: unknown; readonly param: string } | undefined {
  for (const [holder, prefix] of holdersOf(request)) {
    const value = holder[name]
    if (value !== undefined && value !== null) return { value, param: `${prefix}${name}` }
  }
  return undefined
}

/** Notes what the holders have besides the parameters that are known. */
export function noteUnknown(request: Request, exchange: Pick<Exchange, 'drop'>): void {
  for (const [holder, prefix] of holdersOf(request)) {
    if (prefix === '') continue
    for (const name of Object.keys(holder)) if (!names.has(name)) exchange.drop(`${prefix}${name}`)
  }
  for (const name of Object.keys(record(request['extra_body']))) {
    if (name !== 'google') exchange.drop(`extra_body.${name}`)
  }
}

function holdersOf(request: Request): (readonly [holder: Request, prefix: string])[] {
  const nested = record(request['extra_body'])['google']
  return [
    [request, ''],
    [record(request['google']), 'google.'],
    [isRecord(nested) ? nested : {}, 'extra_body.google.'],
  ]
}

/** Names in camel case, as the vendor writes them; values stay. */
export function camelCased(value: Request): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, given]) => [
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      isRecord(given) ? camelCased(given) : given,
    ]),
  )
}
