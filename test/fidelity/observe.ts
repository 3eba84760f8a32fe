import type { RecordedRequest, Upstream } from '../helpers/upstream.ts'
import type { Feature } from './features.ts'

/** What becomes of a feature at a provider, as seen from outside. */
export type Observed =
  | 'carried'
  /** It made a difference, but what was written is not in what was sent. */
  | 'changed'
  /** The provider was sent the same as without it. */
  | 'unseen'
  | 'dropped'
  | 'refused'

export interface Place {
  readonly gatewayUrl: string
  readonly upstream: Upstream
  readonly provider: string
  /** Without the provider's prefix. */
  readonly model: string
}

interface Reply {
  readonly status: number
  readonly dropped: readonly string[]
  readonly body: any
  /** What the provider was sent, one text for all requests. */
  readonly sent: string
}

/**
 * Asks for a feature and looks at what happened: refused with a 400 that names it, declared as dropped, or visible in
 * what the provider was sent.
 */
export async function observe(place: Place, feature: Feature): Promise<Observed> {
  const asked = await ask(place, feature.asked)
  const where = `${place.provider}: ${feature.name}`
  if (asked.status === 400) {
    const { param, message } = asked.body.error
    if (!names(feature, String(param))) {
      throw new Error(`${where} is refused without naming it: ${param}: ${message}`)
    }
    return 'refused'
  }
  if (asked.status !== 200) {
    throw new Error(`${where} gives status ${asked.status}: ${JSON.stringify(asked.body.error)}`)
  }
  if (asked.dropped.some((param) => loses(feature, param))) return 'dropped'
  const plain = await ask(place, feature.plain)
  if (withoutNoise(asked.sent) === withoutNoise(plain.sent)) return 'unseen'
  const { mark } = feature
  return mark === undefined || asked.sent.includes(mark) ? 'carried' : 'changed'
}

function names({ params }: Feature, place: string): boolean {
  return params.some(
    (param) => place === param || place.startsWith(`${param}[`) || place.startsWith(`${param}.`),
  )
}

/** Whether a loss at this place is the loss of the feature. A member of a parameter is not all of it. */
function loses(feature: Feature, place: string): boolean {
  const isOfContent = feature.params.some((param) => param === 'messages' || param === 'tools')
  return isOfContent ? names(feature, place) : feature.params.includes(place)
}

async function ask(place: Place, request: object): Promise<Reply> {
  const { gatewayUrl, upstream, provider, model } = place
  upstream.clear()
  const response = await fetch(`${gatewayUrl}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: `${provider}/${model}`, ...request }),
  })
  const dropped = response.headers.get('x-bf-dropped-params')?.split(',') ?? []
  const body = await response.json()
  return { status: response.status, dropped, body, sent: upstream.requests.map(textOf).join('\n') }
}

function textOf(request: RecordedRequest): string {
  const said = [...request.headers].filter(([name]) => /^(?:anthropic-|x-vertex-)/.test(name))
  return `${request.path}${request.query} ${JSON.stringify(said)} ${request.text()}`
}

/** Ids that are made anew for each request. */
function withoutNoise(sent: string): string {
  return sent.replaceAll(/call_[0-9A-Za-z]{20,}/g, 'call_')
}
