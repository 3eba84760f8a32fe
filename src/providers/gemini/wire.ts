// The shapes of `generateContent` that are written or read here ("GenerateContent" and "Content" of the Gemini API
// reference, as read in November 2026).

/** Bytes that travel inside the request. */
export interface Blob {
  readonly mimeType: string
  /** Base64. */
  readonly data: string
}

/** One piece of a content; which member is set says what it is. */
export interface Part {
  readonly text?: string
  /** The text is a summary of what the model thought. */
  readonly thought?: boolean
  /** Opaque; goes back on the part that it came with. */
  readonly thoughtSignature?: string
  readonly inlineData?: Blob
  readonly fileData?: { readonly fileUri: string; readonly mimeType?: string }
  readonly functionCall?: {
    readonly id?: string
    readonly name: string
    readonly args: Readonly<Record<string, unknown>>
  }
  readonly functionResponse?: {
    readonly id?: string
    readonly name: string
    readonly response: Readonly<Record<string, unknown>>
    readonly parts?: readonly Part[]
  }
}

export interface Content {
  readonly role: 'user' | 'model'
  readonly parts: readonly Part[]
}

/** Body of `generateContent` and `streamGenerateContent`, members in the order in which they are written. */
export interface GenerateRequest {
  readonly contents: readonly Content[]
  readonly systemInstruction?: { readonly parts: readonly Part[] }
  readonly tools?: readonly Readonly<Record<string, unknown>>[]
  readonly toolConfig?: Readonly<Record<string, unknown>>
  readonly safetySettings?: readonly unknown[]
  readonly cachedContent?: string
  readonly generationConfig?: Readonly<Record<string, unknown>>
  readonly serviceTier?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** Whose signatures they are, in `reasoning_details`. */
export const SIGNATURE_FORMAT = 'google-gemini-v1'

/** What the vendor takes in place of a signature nobody has ("Thought signatures", as read in November 2026). */
export const UNSIGNED = 'skip_thought_signature_validator'
