import { isRecord, record, text, unsupported } from '#openai/conversation/fields.ts'
import { typeByName } from '#openai/conversation/parts.ts'

import type { Fields, Mends, Quirks } from '../quirks.ts'
import { family } from './family.ts'

// "Chat completion", "Reasoning", "Document Q&A" and "Audio" of Mistral's documentation, as read in November 2026.

/** Models whose own earlier thinking is taken back. */
const thinking =
  /^(?:magistral|mistral-small-(?:latest|2[6-9])|mistral-medium-(?:latest|3\.[5-9]|2[6-9]))/
/** Models that never think, or always do: neither knows `reasoning_effort`. */
const fixedEffort =
  /^(?:magistral|open-mi[sx]tral|mi[sx]tral-tiny|codestral|devstral|ministral|pixtral|voxtral|mistral-(?:large|medium|small)-2[45])/

export const mistral: Quirks = family(
  {
    rename: { max_completion_tokens: 'max_tokens', seed: 'random_seed' },
    values: { tool_choice: { required: 'any' } },
    drop: ['logit_bias', 'logprobs', 'top_logprobs', 'top_k', 'user'],
    noStreamOptions: true,
    effort: {
      words: { minimal: 'none', low: 'high', medium: 'high', xhigh: 'high', max: 'high' },
    },
    messages: {
      drop: ['name'],
      reasoning: 'none',
      idLength: 9,
      prefix: { prefix: true },
      parts: { file: documentPart, input_audio: audioPart },
    },
    rules: [
      { models: thinking, quirks: { messages: { reasoning: 'parts' } } },
      { models: fixedEffort, quirks: { drop: ['reasoning_effort'] } },
    ],
  },
  ['prediction'],
)

/** Models that always think do so before they answer, whatever stands there. */
export const mistralPrefills = (model: string): boolean => !model.startsWith('magistral')

export const mistralEmbeddings: Quirks = {
  rename: { dimensions: 'output_dimension' },
  drop: ['user'],
}

export const mistralMends: Mends = {
  finish: {
    model_length: 'length',
    error: { failed: 'The model stopped with an error.' },
  },
  contentParts: true,
  usageApart: true,
  tidy: true,
}

/** A document is named by a URL, which may be a data URL, or by the id of an uploaded file. */
function documentPart(part: Fields, param: string): Fields {
  const { file_data: data, file_url: url, file_id: id, filename } = record(part['file'])
  const name = typeof filename === 'string' ? { document_name: filename } : {}
  if (typeof data === 'string') {
    const type = typeByName(text(filename))
    const document = data.startsWith('data:') ? data : `data:${type};base64,${data}`
    return { type: 'document_url', document_url: document, ...name }
  }
  if (typeof url === 'string') return { type: 'document_url', document_url: url, ...name }
  if (typeof id === 'string') return { type: 'file', file_id: id }
  // The vendor's own form passes.
  if (part['file_id'] !== undefined) return part
  throw unsupported(`${param}.file`, 'A file part needs file_data, file_url or file_id.')
}

/** Audio is the base64 text itself; what it holds is seen from it. */
function audioPart(part: Fields): Fields {
  const audio = part['input_audio']
  return isRecord(audio) ? { type: 'input_audio', input_audio: audio['data'] } : part
}
