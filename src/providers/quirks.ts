import type { FinishReason } from '#openai/answer/writer.ts'

// What a vendor of the OpenAI-compatible family wants or does differently, as data. Requests are spliced and answers
// mended by what stands here; nothing else in the code knows which vendor it is about.

export type Fields = Readonly<Record<string, unknown>>

/** How requests to a vendor have to differ from the caller's. */
export interface Quirks {
  /** Model as callers know it → as the vendor does. */
  readonly models?: Readonly<Record<string, string>>
  /** Top-level field → the name this vendor knows it by. */
  readonly rename?: Readonly<Record<string, string>>
  /** Top-level fields this vendor refuses or ignores: left out and declared. */
  readonly drop?: readonly string[]
  /** Values of dropped fields that the vendor works with anyway: leaving them out loses nothing. */
  readonly defaults?: Readonly<Record<string, string | number | boolean>>
  /** Top-level fields whose loss would change the answer too much: a 400 instead. */
  readonly refuse?: readonly string[]
  /** Top-level field → value as written → value wanted. */
  readonly values?: Readonly<Record<string, Readonly<Record<string, string | number>>>>
  /** Fields that are added where neither they nor their rivals are there. */
  readonly add?: Readonly<
    Record<string, { readonly value: unknown; readonly unless: readonly string[] }>
  >
  readonly effort?: EffortQuirk
  /** The vendor knows `reasoning` as an object, without an effort in it. */
  readonly takesReasoning?: boolean
  /** The deprecated `functions` travel as `tools`, and so does what the history holds of them. */
  readonly functionsAsTools?: boolean
  /** `allowed_tools` is not known: only the tools that it names are sent. */
  readonly filterTools?: boolean
  /** Field with which thinking is turned off when a tool is forced, because the vendor refuses both together. */
  readonly forcedWithout?: Readonly<Record<string, unknown>>
  /** A schema for the answer is not known: it is said in words, next to plain JSON mode. */
  readonly schemaInWords?: boolean
  /** `size` of images as `width` and `height`. */
  readonly sizeAsSides?: boolean
  /** Refuses `stream_options`; usage comes unasked. */
  readonly noStreamOptions?: boolean
  /** Does not know `stream_options.include_obfuscation`. */
  readonly noObfuscation?: boolean
  readonly messages?: MessageQuirks
  /** Its Responses refuse items that only this gateway can read. */
  readonly noForeignItems?: boolean
  /** What holds for some models, or beside some other field, only. */
  readonly rules?: readonly Rule[]
}

/** How the vendor wants `reasoning_effort`. */
export interface EffortQuirk {
  /** OpenAI's word → the vendor's; others pass as they are. */
  readonly words: Readonly<Record<string, string>>
  /** Words whose replacement is not what was asked for: declared. */
  readonly lossy?: readonly string[]
  /** Sent instead of the effort `none`. */
  readonly off?: Readonly<Record<string, unknown>>
}

/** What a vendor takes in the messages of a conversation. */
export interface MessageQuirks {
  readonly roles?: Readonly<Record<string, string>>
  /** Members of messages that say nothing to a model: left out. */
  readonly strip?: readonly string[]
  /** Members whose loss is declared. */
  readonly drop?: readonly string[]
  /** Members of assistant messages whose loss is declared. */
  readonly dropOfAnswers?: readonly string[]
  /** Members of tool calls whose loss is declared. */
  readonly dropOfCalls?: readonly string[]
  /**
   * What becomes of earlier reasoning: it stands in the named field; in a part of the content (`parts`); in whichever
   * field the caller wrote (`either`); or cannot be sent (`none`).
   */
  readonly reasoning?: 'reasoning' | 'reasoning_content' | 'parts' | 'either' | 'none'
  /** With tools every assistant message needs the reasoning field, be it empty. */
  readonly fillReasoning?: boolean
  /** A refusal in the history becomes text. */
  readonly refusalAsText?: boolean
  /** Tool call ids are exactly this many letters and digits. */
  readonly idLength?: number
  /** A final assistant message has to say that it is the answer's beginning: field → value. */
  readonly prefix?: Readonly<Record<string, unknown>>
  /** Content parts by type: the part as the vendor knows it. `param` is its place, for errors. */
  readonly parts?: Readonly<Record<string, (part: Fields, param: string) => Fields>>
  /** Types of content parts that the vendor's models cannot read: a 400. */
  readonly refuseParts?: readonly string[]
}

/** Quirks that hold under conditions; all those given must be met. */
export interface Rule {
  /** Matched against the model without the mark of a fine-tune. */
  readonly models?: RegExp
  readonly except?: RegExp
  readonly when?: (request: Fields) => boolean
  readonly quirks: Omit<Quirks, 'rules'>
}

/** How answers of a vendor have to be changed. */
export interface Mends {
  /** The vendor's finish reasons that OpenAI does not have; `failed` is why the answer is no answer. */
  readonly finish?: Readonly<Record<string, FinishReason | { readonly failed: string }>>
  /** `usage` as OpenAI counts; undefined when it is right. */
  readonly usage?: (usage: Fields) => Fields | undefined
  /** Usage stands in the chunk of the finish reason and is given a chunk of its own. */
  readonly usageApart?: boolean
  /** Member of chunks that holds the `usage` and `error` of the stream. */
  readonly aside?: string
  /** Content is a list of parts, thinking among them. */
  readonly contentParts?: boolean
  /** `logprobs` are parallel lists of tokens and their probabilities. */
  readonly tokenLists?: boolean
  /** Errors come as `{object: "error", message}` with status 200. */
  readonly flatErrors?: boolean
  /** The usual sloppiness: empty members, repeated roles and names, missing ids, `stop` after tool calls. */
  readonly tidy?: boolean
  /** The list of models is a bare array. */
  readonly bareList?: boolean
}
