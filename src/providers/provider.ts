import type { Key, ProviderSettings } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import type { GatewayError, UpstreamFailure } from '#core/errors.ts'

import type { CredentialSource } from './credential.ts'
import type { Fates } from './fates.ts'

/** A request as a vendor wants it. Plain data: nothing has been sent and nothing is secret yet. */
export interface Outbound {
  readonly method: string
  readonly url: string
  /** Lower-case names; credentials are added by `authorize` when the request is sent. */
  readonly headers: Record<string, string>
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined
  /** Request fields that this vendor cannot take and that were left out. */
  readonly dropped: readonly string[]
  /** How the answer is read where it comes in the vendor's own dialect; OpenAI's passes as it is. */
  readonly reading?: Reading | undefined
  /** What has to be mended in a stream that is otherwise OpenAI's. */
  readonly mending?: Mending | undefined
  /** The JSON text of an answer that is known without asking: nothing is sent. */
  readonly known?: string | undefined
  /** The caller named the address: it must be a public one, and gets none of the configuration's headers. */
  readonly isCallersAddress?: true | undefined
}

/** What of answers in OpenAI's dialect OpenAI's own clients trip over: events of a stream, or a whole answer. */
export interface Mending {
  /** Finds them in a run of bytes, read as Latin-1; a superset costs only time. Without flags. */
  readonly pattern: RegExp
  /** For one stream. */
  open(): Mender
  /** A whole answer's text, mended; throws `GatewayError`. Absent where whole answers need nothing. */
  whole?(answer: string): string
}

export interface Mender {
  /**
   * What is sent as the event's data, a list as several events; undefined leaves the event out. Data that is no JSON
   * comes back as it is.
   */
  mend(data: string): string | readonly string[] | undefined
  /** The next event has to be seen, whatever is in it. */
  readonly isWaiting: boolean
}

/** How answers to one request are turned into OpenAI's. */
export interface Reading {
  /** Beginning of the content type that the vendor's streams have. */
  readonly streamType: string
  /**
   * A whole answer as the JSON text of the endpoint's OpenAI answer. Throws `GatewayError`: `upstream_malformed` when
   * it is none, `upstream_error` when it reports a failure.
   */
  whole(answer: WholeAnswer): Translated
  /** A reader that writes OpenAI's events as text while the vendor's come in. Absent where nothing streams. */
  readonly stream?: ((emit: (events: string) => void) => StreamReader) | undefined
  /** Set when a stream was asked for although the caller wants the answer whole. */
  readonly collect?: (() => CollectingReader) | undefined
}

/** An answer in OpenAI's form. */
export interface Translated {
  /** A JSON object without `extra_fields`; nothing stands after its closing brace. */
  readonly text: string
  /** Its `usage`, parsed. */
  readonly usage: unknown
  /** Its `service_tier`. */
  readonly serviceTier?: unknown
}

/** A successful answer of a vendor, read to its end. */
export interface WholeAnswer {
  readonly text: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/** Reads a vendor's stream. Both methods throw `GatewayError`; what was emitted before still counts. */
export interface StreamReader {
  /** The next bytes, cut anywhere. */
  push(bytes: Uint8Array): void
  /** The connection has ended, in good order as far as HTTP is concerned. */
  end(): void
  /** Writes the last event of a stream that failed; absent where the endpoint's usual error event does. */
  fail?(error: GatewayError): void
}

/** Reads a stream for a caller who wants the answer whole. */
export interface CollectingReader extends StreamReader {
  /** The answer; undefined while the vendor has not said that it was all. */
  result(): Translated | undefined
}

/** Things that a request has to carry itself, since the vendor does not fetch them: URL → content. */
export type Resources = ReadonlyMap<string, Resource>

export interface Resource {
  /** From the server that had it, in lower case and without parameters. */
  readonly mediaType: string
  readonly base64: string
}

/** What is about to be sent, for `authorize`. */
export interface Signable {
  readonly method: string
  readonly url: string
  readonly body: Outbound['body']
  /** The credential is added here. */
  readonly headers: Record<string, string>
}

/** Several requests for one call, where a vendor takes less at a time than OpenAI does. */
export interface FanOut {
  readonly calls: readonly Call[]
  /** The answers' JSON texts, in the order of `calls`, as one. */
  join(answers: readonly string[]): string
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
  /** Environment variables that say where and as whom this process runs, such as a region or a credentials file. */
  readonly ambient?: readonly AmbientVariable[] | undefined
  readonly offers: ReadonlySet<KnownEndpoint>
  /** What becomes of the parameters of a chat; undefined where there is no chat, or nothing is known of it. */
  readonly fates?: Fates | undefined
  /**
   * Those of the parameters that are taken which one of its models does not take; undefined where nothing is known of the
   * model. Where nobody knows a model from the other, what becomes of some parameters sometimes is said of none.
   */
  readonly lacks?: ((model: string) => readonly string[] | undefined) | undefined
  /** Responses are composed here out of another dialect: the provider keeps none and knows the id of none. */
  readonly composesResponses?: boolean | ((call: Call, target: Target) => boolean)
  /** A path below `baseUrl` that answers 200 when such a server runs on this machine; it is then used unasked. */
  readonly detectPath?: string | undefined
  /** Routes without an entry in the endpoint table, and the WebSocket relays, may go here. */
  readonly passthrough: boolean
  /** URLs whose content the request has to carry; they are fetched first, under the egress rules. */
  resources?(call: Call, target: Target): readonly string[]
  /** Whether an assistant message that comes last is the beginning of this model's answer, which then goes on from there. */
  prefills?(model: string): boolean
  /** Set where one call takes several requests. */
  fanOut?(call: Call, target: Target): FanOut | undefined
  /** Throws `GatewayError` when the configuration lacks what this vendor needs, such as a base URL. */
  request(call: Call, target: Target, resources: Resources): Outbound
  /** Where the credential comes from when the configured key is not itself one; undefined when it is. */
  credential?(call: Call, target: Target): CredentialSource | undefined
  /** Adds the credential. `nowMs` is the time of sending, for signatures that expire. */
  authorize(request: Signable, credential: string, nowMs: number): void | Promise<void>
  /** What the answer's headers say of limits, under OpenAI's names; `nowMs` since 1970. */
  limitHeaders?(
    headers: Readonly<Record<string, string>>,
    nowMs: number,
  ): Readonly<Record<string, string>>
  /** Reduces a refusal to facts. `body` may be anything, HTML included. */
  parseError(
    status: number,
    body: string,
    headers: Readonly<Record<string, string>>,
  ): UpstreamFailure
  /** Set by a provider that lives in this process; otherwise requests go over the network. */
  readonly transport?: (request: Request) => Promise<Response>
}

/** A variable of the environment that the configuration reads for a vendor. */
export interface AmbientVariable {
  readonly name: string
  /** The variable names a file, and what is wanted is the file's content. */
  readonly isFile?: boolean
}

/** No resources were needed. */
export const noResources: Resources = new Map()
