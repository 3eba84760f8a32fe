import type { Key, ProviderSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import type { UpstreamFailure } from '#core/errors.ts'

/** A request as a vendor wants it. Plain data: nothing has been sent and nothing is secret yet. */
export interface Outbound {
  readonly method: string
  readonly url: string
  /** Lower-case names; credentials are added by `authorize` when the request is sent. */
  readonly headers: Record<string, string>
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined
  /** Request fields that this vendor cannot take and that were left out. */
  readonly dropped: readonly string[]
}

/** Where one attempt of a call goes. */
export interface Target {
  readonly provider: Provider
  readonly settings: ProviderSettings
  /** Undefined for keyless providers and for direct keys. */
  readonly key: Key | undefined
  /** The model as the vendor knows it: prefix removed, alias resolved. */
  readonly model: string | undefined
}

/**
 * A vendor: pure descriptions of requests and readings of answers. No I/O, no clock, no environment.
 * An operation the vendor lacks is absent from `offers`, and the caller is told so with a 400.
 */
export interface Provider {
  readonly name: string
  readonly keyEnv: readonly string[]
  /** Works without a key. */
  readonly keyless: boolean
  /** Undefined when only the configuration can know it. */
  readonly baseUrl: string | undefined
  readonly offers: ReadonlySet<KnownEndpoint>
  /** A path below `baseUrl` that answers 200 when such a server runs on this machine; it is then used unasked. */
  readonly detectPath?: string | undefined
  /** Routes without an entry in the endpoint table, and the WebSocket relays, may go here. */
  readonly passthrough: boolean
  /** Throws `GatewayError` when the configuration lacks what this vendor needs, such as a base URL. */
  request(call: Call, target: Target): Outbound
  /** Adds the credential. */
  authorize(headers: Record<string, string>, credential: string): void
  /** Reduces a refusal to facts. `body` may be anything, HTML included. */
  parseError(
    status: number,
    body: string,
    headers: Readonly<Record<string, string>>,
  ): UpstreamFailure
  /** Set by a provider that lives in this process; otherwise requests go over the network. */
  readonly transport?: (request: Request) => Promise<Response>
}
