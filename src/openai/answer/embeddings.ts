/** Vectors as a provider gave them. */
export interface Embeddings {
  /** In the order of the inputs. */
  readonly vectors: readonly (readonly number[])[]
  /** Undefined where the provider does not count. */
  readonly tokens: number | undefined
}

/**
 * The JSON text of an embeddings answer. `format` is what the caller asked for: `base64` packs each vector as
 * little-endian 32-bit floats, which is what the SDKs ask for by themselves.
 */
export function embeddingsAnswer(
  { vectors, tokens }: Embeddings,
  model: string,
  format: unknown,
): { readonly text: string; readonly usage: unknown } {
  const usage = { prompt_tokens: tokens ?? 0, total_tokens: tokens ?? 0 }
  const text = JSON.stringify({
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: format === 'base64' ? packed(vector) : vector,
    })),
    model,
    usage,
  })
  return { text, usage }
}

function packed(vector: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(vector.length * 4))
  vector.forEach((value, at) => view.setFloat32(at * 4, value, true))
  return Buffer.from(view.buffer).toString('base64')
}

/** The vector scaled to length 1, as OpenAI's are; providers that shorten vectors do not do it themselves. */
export function normalized(vector: readonly number[]): readonly number[] {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return length === 0 ? vector : vector.map((value) => value / length)
}
