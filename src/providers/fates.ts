import { GatewayError } from '#core/errors.ts'
import { ChatRequest } from '#openai/chat.ts'

/**
 * What becomes of a request parameter at a vendor. `carried`: the vendor has it, by whatever name. `emulated`: it has
 * not, and the effect is had otherwise. `dropped`: it is left out, and the caller is told which. `refused`: leaving it
 * out would change the answer so much that the request is refused instead.
 */
export type Fate = 'carried' | 'emulated' | 'dropped' | 'refused'

/** Read by the gateway itself, or carried by every vendor. */
type GatewayParam =
  'model' | 'messages' | 'stream' | 'stream_options' | 'fallbacks' | 'extra_params'
/** Every parameter of a chat request whose fate a vendor has to state. */
export type ChatParam = Exclude<keyof ChatRequest, GatewayParam>

/** One row for each parameter: a new one cannot be forgotten by any vendor. */
export type Fates = Readonly<Record<ChatParam, Fate>> & {
  /** The vendor's own parameters, which callers may use by name. */
  readonly own: readonly string[]
  /** What becomes of some of them with some models only, or beside other parameters. */
  readonly sometimes?: Readonly<Partial<Record<ChatParam, Fate>>>
}

/** Values that ask for nothing: what they say happens anyway. */
const harmless: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  frequency_penalty: (value) => value === 0,
  presence_penalty: (value) => value === 0,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  store: (value) => value === false,
  logit_bias: isEmpty,
  metadata: isEmpty,
  modalities: (value) => JSON.stringify(value) === '["text"]',
  service_tier: (value) => value === 'auto' || value === 'default',
  parallel_tool_calls: (value) => value === true,
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  tools: isEmpty,
  functions: isEmpty,
  stop: isEmpty,
  tool_choice: (value) => value === 'auto',
}

/** Whether the value asks for nothing that does not happen anyway. */
export function isHarmless(param: string, value: unknown): boolean {
  return Object.hasOwn(harmless, param) && harmless[param]!(value)
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

const gatewayParams: ReadonlySet<string> = new Set<GatewayParam>([
  'model',
  'messages',
  'stream',
  'stream_options',
  'fallbacks',
  'extra_params',
])

/** All parameters whose fate a vendor has to state. */
export const CHAT_PARAMS: readonly ChatParam[] = (
  Object.keys(ChatRequest.properties) as (keyof ChatRequest)[]
).filter((param): param is ChatParam => !gatewayParams.has(param))

/**
 * Holds a request against a vendor's table: `drop` is called for what is left out. Throws a 400 naming provider and
 * parameter for what is refused.
 */
export function applyFates(
  request: Readonly<Record<string, unknown>>,
  fates: Fates,
  provider: string,
  drop: (param: string) => void,
): void {
  for (const [param, value] of Object.entries(request)) {
    if (value === undefined || value === null || gatewayParams.has(param)) continue
    const fate =
      Object.hasOwn(fates, param) && param !== 'own' && param !== 'sometimes'
        ? fates[param as ChatParam]
        : undefined
    if (fate === 'carried' || fate === 'emulated' || fates.own.includes(param)) continue
    if (isHarmless(param, value)) continue
    if (fate === 'refused') throw refused(param, provider)
    drop(param)
  }
}

/** The 400 for a parameter that a provider cannot honour. */
export function refused(param: string, provider: string, why?: string): GatewayError {
  const because = why === undefined ? '' : `: ${why}`
  return new GatewayError(
    'invalid_request',
    `Provider '${provider}' does not support '${param}'${because}.`,
    {
      param,
      code: 'unsupported_parameter',
    },
  )
}
