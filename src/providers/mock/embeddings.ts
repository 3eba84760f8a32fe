import { type Answer, invalid, json, missing } from './answer.ts'
import type { MockRequest } from './request.ts'
import { countTokens } from './text.ts'
import { numberOf } from './wire.ts'

const usualDimensions = 8
const maxDimensions = 8192
const maxInputs = 2048

/** `POST /embeddings`: the same text gives the same unit vector, as numbers or as base64 of float32. */
export function embed({ body, model }: MockRequest): Answer {
  const inputs = inputsOf(body.input)
  const dimensions = body.dimensions === undefined ? usualDimensions : numberOf(body.dimensions)
  if (
    !dimensions ||
    !Number.isInteger(dimensions) ||
    dimensions < 1 ||
    dimensions > maxDimensions
  ) {
    throw invalid('dimensions', `a whole number from 1 to ${maxDimensions}`)
  }
  const format = body.encoding_format ?? 'float'
  if (format !== 'float' && format !== 'base64') throw invalid('encoding_format', 'float or base64')
  const tokens = inputs.reduce((sum, input) => sum + countTokens(input), 0)
  return json({
    object: 'list',
    data: inputs.map((input, index) => {
      const vector = unitVector(input, dimensions)
      return {
        object: 'embedding',
        index,
        embedding: format === 'float' ? [...vector] : littleEndian(vector),
      }
    }),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  })
}

function inputsOf(input: unknown): string[] {
  if (input === undefined || input === null) throw missing('input')
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input) || input.length === 0) throw invalid('input', 'a string or an array')
  if (input.length > maxInputs) throw invalid('input', `at most ${maxInputs} inputs`)
  if (input.every((token) => typeof token === 'number')) return [input.join(' ')]
  return input.map((one) => (Array.isArray(one) ? one.join(' ') : String(one)))
}

/** The vector of a text, of length 1. */
export function unitVector(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  let state = Bun.hash.xxHash32(text) || 1
  let squares = 0
  for (let at = 0; at < dimensions; at++) {
    // xorshift: enough scatter that different texts point in different directions.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const component = (state >>> 0) / 0x8000_0000 - 1
    vector[at] = component
    squares += component * component
  }
  const length = Math.sqrt(squares)
  return vector.map((component) => component / length)
}

function littleEndian(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4)
  vector.forEach((component, at) => bytes.writeFloatLE(component, at * 4))
  return bytes.toString('base64')
}
