import { GatewayError } from '#core/errors.ts'

/** A request that the gateway makes for itself: for a token, or for a picture that a provider needs the bytes of. */
export interface Errand {
  readonly url: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly timeoutMs: number
  readonly maxBytes: number
  /** The status says it all: what goes wrong with the body after it is none of the errand's business. */
  readonly onlyStatus?: boolean
  /** Gives up when this aborts, as well as when the time is over. */
  readonly signal?: AbortSignal | undefined
  /** `http://host:port`, as `fetch` takes it. */
  readonly proxy?: string | undefined
  readonly tls?: Bun.TLSOptions | { readonly serverName: string } | undefined
}

export interface ErrandAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array<ArrayBuffer>
}

/**
 * Runs an errand; redirects are not followed. Throws `GatewayError` when no answer came in time, the answer is too
 * large, or the connection failed; `name` says in its message where it went.
 */
export async function runErrand(errand: Errand, name: string): Promise<ErrandAnswer> {
  const { url, timeoutMs, maxBytes, signal } = errand
  const timer = AbortSignal.timeout(timeoutMs)
  const options: BunFetchRequestInit & { timeout: false } = {
    method: errand.method ?? 'GET',
    headers: { ...errand.headers },
    redirect: 'manual',
    signal: signal ? AbortSignal.any([timer, signal]) : timer,
    timeout: false,
  }
  if (errand.body !== undefined) options.body = errand.body
  if (errand.proxy !== undefined) options.proxy = errand.proxy
  if (errand.tls !== undefined) options.tls = errand.tls
  try {
    const response = await fetch(url, options)
    const body = boundedBytes(response, maxBytes, name)
    const bytes = await (errand.onlyStatus ? body.catch(() => new Uint8Array()) : body)
    const headers: Record<string, string> = {}
    response.headers.forEach((value, key) => {
      headers[key.toLowerCase()] = value
    })
    return { status: response.status, headers, bytes }
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    if (signal?.aborted)
      throw new GatewayError('client_closed', 'The client closed the connection.')
    if (timer.aborted) {
      throw new GatewayError('headers_timeout', `${name} did not answer within ${timeoutMs} ms.`)
    }
    throw new GatewayError('upstream_unreachable', `${name} could not be reached.`, {
      cause: thrown,
    })
  }
}

async function boundedBytes(
  response: Response,
  maxBytes: number,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  if (response.body) {
    for await (const chunk of response.body) {
      size += chunk.byteLength
      if (size > maxBytes) {
        throw new GatewayError('payload_too_large', `${name} sent more than ${maxBytes} bytes.`)
      }
      chunks.push(chunk)
    }
  }
  return new Uint8Array(Buffer.concat(chunks))
}
