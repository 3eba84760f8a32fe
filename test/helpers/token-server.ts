// A fake server that gives out access tokens, on a real socket.

export interface TokenRequest {
  readonly method: string
  /** Path and query as they came. */
  readonly target: string
  readonly headers: Headers
  readonly form: URLSearchParams
}

export type TokenReply = (request: TokenRequest) => Response | Promise<Response>

export interface TokenServer extends AsyncDisposable {
  /** `http://localhost:PORT` */
  readonly url: string
  readonly requests: readonly TokenRequest[]
  /** What is answered from now on; before that, a new token for each request. */
  answer(reply: TokenReply): void
  clear(): void
  stop(): Promise<void>
}

/** Three parts as in a JWT; `name` tells tokens apart. */
export function accessToken(name: string): string {
  return `eyJhbGciOiJub25lIn0.${Buffer.from(name).toString('base64url')}.c2ln`
}

/** The usual answer: the `n`th request gets the token `token-n`. */
export function tokenReply(name: string, expiresIn: number | string = 3600): Response {
  return Response.json({
    token_type: 'Bearer',
    expires_in: expiresIn,
    access_token: accessToken(name),
  })
}

export function startTokenServer(): TokenServer {
  const requests: TokenRequest[] = []
  const usual: TokenReply = () => tokenReply(`token-${requests.length}`)
  let reply = usual
  const server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    development: false,
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const taken = {
        method: request.method,
        target: pathname + search,
        headers: request.headers,
        form: new URLSearchParams(await request.text()),
      }
      requests.push(taken)
      return await reply(taken)
    },
  })
  return {
    url: `http://localhost:${server.port}`,
    requests,
    answer(next) {
      reply = next
    },
    clear() {
      requests.length = 0
      reply = usual
    },
    stop: () => server.stop(true),
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}
