// Credentials that have to be obtained first: access tokens, temporary keys. A vendor describes how, the pipeline
// does it: once for all callers, kept until shortly before it expires.

/** A way to obtain a credential. */
export interface CredentialSource {
  /** Sources with the same key give the same credential; holds no secret in clear. */
  readonly cacheKey: string
  /** Obtaining it again gives the same: a refusal is final. */
  readonly isFixed?: boolean | undefined
  /** Throws `GatewayError` when the credential is refused or the answer makes no sense. */
  obtain(context: ObtainContext): Promise<Obtained>
}

export interface Obtained {
  /** What `authorize` is given: a token, or what the vendor packs into text. */
  readonly credential: string
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number
}

export interface ObtainContext {
  readonly nowMs: number
  /** Sends a request under the egress rules and with a time limit. Throws `GatewayError` when no answer came. */
  send(request: CredentialRequest): Promise<CredentialAnswer>
  /** The content of a small file; undefined when it cannot be read. */
  readFile(path: string): Promise<string | undefined>
}

export interface CredentialRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /**
   * The URL is the cloud's own metadata service: a constant of the vendor's code, or what the platform put into the
   * environment. No other link-local address may be spoken to, and nothing that the configuration or callers can
   * influence may set this.
   */
  readonly isMetadataService?: true
}

export interface CredentialAnswer {
  readonly status: number
  readonly text: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}
