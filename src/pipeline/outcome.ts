/** Where a stream is written to. `write` returns a promise when the reader on the other side is slow. */
export interface Sink {
  write(chunk: Uint8Array | string): number | Promise<number>
  flush(): number | Promise<number>
}

/** Who served a call: the target of an attempt, or the origin of what the gateway had itself. */
export interface Served {
  readonly settings: { readonly name: string }
  readonly model: string | undefined
}

/** What a call came to, ready to be rendered. */
export type Outcome = {
  readonly target: Served
  readonly status: number
  /** Of the provider's answer, those the caller gets. */
  readonly headers: Record<string, string>
} & (
  | { readonly kind: 'empty' }
  /** JSON text in the caller's dialect. */
  | { readonly kind: 'json'; readonly text: string }
  /** Server-sent events or bytes. `pump` writes all of them, settles the call, and throws only to cut the connection. */
  | {
      readonly kind: 'stream'
      readonly contentType: string
      readonly contentLength: string | undefined
      readonly pump: (sink: Sink) => Promise<void>
    }
)
