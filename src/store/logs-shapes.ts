import { isObject } from './logs-content.ts'

// What was said in a call, under the names that Bifrost has for the kinds of calls.

type Json = Record<string, unknown>

const inputs: Readonly<Record<string, string>> = {
  speech: 'speech_input',
  transcription: 'transcription_input',
  translation: 'transcription_input',
  image_generation: 'image_generation_input',
  image_edit: 'image_edit_input',
  image_variation: 'image_variation_input',
  video_generation: 'video_generation_input',
  video_remix: 'video_remix_input',
  ocr: 'ocr_input',
  passthrough: 'passthrough_request_body',
}
const outputs: Readonly<Record<string, string>> = {
  speech: 'speech_output',
  transcription: 'transcription_output',
  translation: 'transcription_output',
  image_generation: 'image_generation_output',
  image_edit: 'image_edit_output',
  image_variation: 'image_variation_output',
  video_generation: 'video_generation_output',
  video_remix: 'video_remix_output',
  video_retrieve: 'video_retrieve_output',
  embedding: 'embedding_output',
  rerank: 'rerank_output',
  ocr: 'ocr_output',
  list_models: 'list_models_output',
  passthrough: 'passthrough_response_body',
}

/** The request's body, parsed: messages and items, tools, and the rest as `params`. */
export function inputOf(object: string, { messages, input, tools, ...rest }: Json): Json {
  const { model: _, ...params } = rest
  const name = inputs[object]
  if (name !== undefined) {
    return { [name]: { ...params, ...(input !== undefined && { input }) }, params }
  }
  return {
    ...(messages !== undefined && { input_history: messages }),
    ...(input !== undefined && { responses_input_history: input }),
    ...(tools !== undefined && { tools }),
    params,
  }
}

/** The answer's body, parsed. */
export function outputOf(object: string, answer: unknown): Json {
  const name = outputs[object]
  if (name !== undefined) return { [name]: answer }
  if (!isObject(answer)) return {}
  const { choices, output } = answer
  const [first] = objectsIn(choices)
  const message = first && (first['message'] ?? { content: first['text'] })
  const calls = isObject(message)
    ? message['tool_calls']
    : objectsIn(output).filter(
        ({ type }) => type === 'function_call' || type === 'custom_tool_call',
      )
  return {
    ...(message !== undefined && { output_message: message }),
    ...(output !== undefined && { responses_output: output }),
    ...(Array.isArray(calls) && calls.length > 0 && { tool_calls: calls }),
  }
}

function objectsIn(value: unknown): Json[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : []
}
