import type { Scan } from '#lib/json.ts'
import type { Secret } from '#lib/secret.ts'

import type { Endpoint } from './endpoint.ts'
import type { Trace } from './trace.ts'

/** Whom a call belongs to, as the virtual key that it came with says. */
export interface Owner {
  readonly virtualKeyId: string
  readonly virtualKeyName: string
  readonly teamId: string | undefined
  readonly teamName: string | undefined
  /** Of the virtual key itself, or of its team. */
  readonly customerId: string | undefined
  readonly customerName: string | undefined
}

/** Who calls: the bearer of a virtual key, of a provider key, of both, or nobody in particular. */
export interface Caller {
  /** Undefined when the call came without a virtual key. */
  readonly owner?: Owner | undefined
  /** The value of that virtual key, to be kept out of what is sent, shown and written down. */
  readonly virtualKey?: Secret | undefined
  /** Whether the log keeps what is said; undefined = as the configuration has it. */
  readonly keepsContent?: boolean | undefined
  /** A provider key the caller brought, when `allow_direct_keys` lets it. */
  readonly directKey: Secret | undefined
  /** `x-bf-azure-endpoint`, kept for the adapter that needs it. */
  readonly azureEndpoint: string | undefined
  /** The `api-version` of the query that came with a direct key. */
  readonly azureApiVersion?: string | undefined
}

/** A field of a form. */
export interface FormPart {
  readonly name: string
  readonly isFile: boolean
  /** Of the whole part, from its boundary to the next one's. */
  readonly start: number
  readonly end: number
  /** Of its content. */
  readonly contentStart: number
  readonly contentEnd: number
}

/**
 * The text that came and its parsed form; what is sent is spliced from the text. In large bodies the strings of
 * images and documents are cut in `value`: whoever needs them whole parses `text`.
 */
export interface JsonBody {
  readonly kind: 'json'
  readonly text: string
  readonly value: Readonly<Record<string, unknown>>
  /** Walks through the text when it is first asked for; `jsonBody` makes bodies that remember it. */
  readonly scan: Scan
}

/** A request body in the form its endpoint needs. */
export type Body =
  | { readonly kind: 'none' }
  | JsonBody
  | {
      readonly kind: 'bytes'
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly contentType: string
      /** The fields of a form. */
      readonly parts?: readonly FormPart[] | undefined
      /** Where the text of the `model` field of a form stands, if it has one. */
      readonly model?: { readonly start: number; readonly end: number } | undefined
      /** Fields of a form that only the gateway reads, cut out before sending; they do not overlap. */
      readonly cuts?: readonly { readonly start: number; readonly end: number }[]
    }
  /** Forwarded while it arrives. */
  | {
      readonly kind: 'stream'
      readonly stream: ReadableStream<Uint8Array>
      readonly contentType: string | undefined
    }

/** Another candidate for a call. */
export interface Fallback {
  readonly provider: string
  readonly model: string | undefined
  /** Id of the only key that may serve. */
  readonly keyId?: string | undefined
}

/** One request inside the gateway. */
export interface Call {
  /** ULID, or the caller's `x-request-id`. */
  readonly id: string
  readonly endpoint: Endpoint
  readonly method: string
  /** Under the provider's base URL, percent-encoding as the caller wrote it. */
  readonly path: string
  /** With its `?`, or empty; without parameters meant for the gateway. */
  readonly query: string
  readonly body: Body
  /** As the caller wrote it. */
  readonly modelRequested: string | undefined
  readonly provider: string
  /** Without the provider prefix. */
  readonly model: string | undefined
  /** The caller left the provider open: it is the default one, until somebody decides. */
  readonly namesNoProvider?: boolean | undefined
  /** Where calls of this caller go that name neither provider nor model; undefined where nobody needs to know. */
  readonly usualProvider?: string | undefined
  /** What to try, in this order, when that fails; undefined when the caller named nothing. */
  readonly fallbacks?: readonly Fallback[] | undefined
  /** The routing rule that decided where it goes. */
  readonly rule?: { readonly id: string; readonly name: string } | undefined
  /** They are what the caller named, and not what the configuration has for the provider. */
  readonly hasOwnFallbacks?: boolean
  /**
   * The word of a routing rule on the key, in place of the caller's headers: the id of the only key that may serve the
   * first candidate, or undefined when the caller's choice was of another provider.
   */
  readonly pin?: { readonly keyId: string | undefined } | undefined
  readonly stream: boolean
  /** The caller asked for a usage chunk, or did not stream. */
  readonly wantsUsage: boolean
  readonly caller: Caller
  /** The request's headers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** What it came with, for whoever asks where from. */
  readonly origin?: object | undefined
  /** Aborts when the caller leaves. */
  readonly signal: AbortSignal
  /** `performance.now()` of arrival. */
  readonly startedAt: number
  readonly trace: Trace
  /**
   * Id of the stored response that this Responses call continues. Its conversation is already in `body.input`, so
   * `previous_response_id` is only to be echoed and never sent to a provider.
   */
  readonly continues?: string | undefined
  /** How many of the first items of `body.input` came from there. */
  readonly itemsBefore?: number | undefined
  /** What of them this provider does not get, for the list of declared losses. */
  readonly leftOut?: readonly string[] | undefined
  /**
   * Called once by whoever composes a Responses object out of another dialect, with the finished object just before
   * it is serialised for the terminal event or the whole answer. The response is then kept, if it can be; the
   * object's `store` is set to whether it was.
   */
  readonly onResponse?: ((response: Record<string, unknown>) => void) | undefined
}
