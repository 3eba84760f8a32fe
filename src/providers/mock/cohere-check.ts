import { MockFailure } from './answer.ts'
import { record, stringOf, wholeNumber } from './wire.ts'

// What the vendor refuses, so that a wrong translation does not go unnoticed.

type Fields = Readonly<Record<string, unknown>>

/** An error as it is thrown; the dialect gives it the vendor's form. */
export function refuse(status: number, message: string): MockFailure {
  return new MockFailure({ status, message })
}

// prettier-ignore
const fields = new Set([
  'model', 'messages', 'stream', 'tools', 'strict_tools', 'documents', 'citation_options', 'response_format',
  'safety_mode', 'max_tokens', 'stop_sequences', 'temperature', 'seed', 'frequency_penalty', 'presence_penalty', 'k',
  'p', 'logprobs', 'tool_choice', 'thinking', 'priority', 'raw_prompting',
])

/** The messages of a chat request. Throws 400 or 422 for what the vendor does not take. */
export function checkChat(body: Fields): readonly Fields[] {
  for (const name of Object.keys(body)) {
    if (!fields.has(name)) throw refuse(422, `unknown field: parameter '${name}' is not valid`)
  }
  if (typeof body.stream !== 'boolean') throw invalid('stream must be a boolean')
  within(body, 'p', 0.01, 0.99)
  within(body, 'k', 0, 500)
  within(body, 'frequency_penalty', 0, 1)
  within(body, 'presence_penalty', 0, 1)
  within(body, 'temperature', 0, 2)
  within(body, 'max_tokens', 0, 1_000_000)
  if (Array.isArray(body.stop_sequences) && body.stop_sequences.length > 5) {
    throw invalid('too many stop sequences')
  }
  checkTools(body)
  checkFormat(body)
  checkThinking(body)
  const { messages } = body
  if (!Array.isArray(messages) || messages.length === 0) throw invalid('messages must not be empty')
  return checkMessages(messages.map(record))
}

function checkTools({ tools, tool_choice, strict_tools }: Fields): void {
  if (tool_choice !== undefined) {
    if (tool_choice !== 'REQUIRED' && tool_choice !== 'NONE') {
      throw invalid("tool_choice must be one of 'REQUIRED' or 'NONE'")
    }
    if (!Array.isArray(tools)) throw invalid('tool_choice needs tools')
  }
  if (strict_tools !== undefined && typeof strict_tools !== 'boolean') {
    throw invalid('strict_tools must be a boolean')
  }
  if (tools === undefined) return
  if (!Array.isArray(tools) || tools.length === 0) throw invalid('tools must not be empty')
  for (const given of tools) {
    const { type, function: fn } = record(given)
    const { name, parameters, ...rest } = record(fn)
    if (type !== 'function') throw invalid('tool type must be function')
    if (!/^[\w-]+$/.test(String(name))) throw invalid('tool name is not valid')
    if (record(parameters).type !== 'object') throw invalid('tool parameters must be an object')
    if (Object.keys(rest).some((key) => key !== 'description')) {
      throw refuse(422, `unknown field: '${Object.keys(rest)[0]}' of a function`)
    }
  }
}

function checkFormat({ response_format, tools, documents }: Fields): void {
  if (response_format === undefined) return
  const { type, json_schema } = record(response_format)
  if (type !== 'json_object' && type !== 'text') throw invalid('response_format.type is not valid')
  if (json_schema !== undefined && record(json_schema).type !== 'object') {
    throw invalid('the top level of a JSON schema must be an object')
  }
  if (type === 'json_object' && (tools !== undefined || documents !== undefined)) {
    throw invalid('response_format is not supported together with tools or documents')
  }
}

function checkThinking({ thinking, model }: Fields): void {
  if (thinking === undefined) return
  const { type, token_budget } = record(thinking)
  if (type !== 'enabled' && type !== 'disabled') throw invalid('thinking.type is not valid')
  if (token_budget !== undefined && !wholeNumber(token_budget)) {
    throw invalid('thinking.token_budget must be positive')
  }
  if (String(model).startsWith('command-r')) {
    throw invalid(`thinking is not supported by model ${String(model)}`)
  }
}

function checkMessages(messages: readonly Fields[]): readonly Fields[] {
  /** Calls whose results have not come. */
  let open: string[] = []
  messages.forEach((message, at) => {
    const { role, content } = message
    const place = `message at index ${at}`
    if (role === 'tool') {
      const id = String(message.tool_call_id)
      if (!open.includes(id)) throw invalid(`${place}: tool_call_id '${id}' answers no tool call`)
      open = open.filter((each) => each !== id)
      checkContent(content, ['text', 'document'], place)
      return
    }
    if (open.length > 0) throw invalid(`${place}: tool call '${open[0]}' has no result`)
    switch (role) {
      case 'system':
        checkContent(content, ['text'], place)
        return
      case 'user':
        checkContent(content, ['text', 'image_url'], place)
        return
      case 'assistant':
        if (content !== undefined) checkContent(content, ['text', 'thinking'], place)
        open = checkCalls(message.tool_calls, place)
        if (content === undefined && open.length === 0) {
          throw invalid(`${place}: must have content or tool calls`)
        }
        return
      default:
        throw invalid(`${place}: role '${String(role)}' is not valid`)
    }
  })
  if (open.length > 0) throw invalid(`tool call '${open[0]}' has no result`)
  return messages
}

function checkContent(content: unknown, types: readonly string[], place: string): void {
  if (typeof content === 'string') return
  if (!Array.isArray(content) || content.length === 0) throw invalid(`${place}: content is missing`)
  for (const block of content.map(record)) {
    const type = String(block.type)
    if (!types.includes(type)) throw invalid(`${place}: content of type '${type}' is not allowed`)
    if (type === 'image_url') {
      const url = stringOf(record(block.image_url).url) ?? ''
      if (!/^(?:https?:\/\/|data:image\/\w+;base64,)/.test(url)) {
        throw invalid(`${place}: image url is not valid`)
      }
    } else if (type !== 'document' && typeof block[type] !== 'string') {
      throw invalid(`${place}: '${type}' must be a string`)
    }
  }
}

function checkCalls(calls: unknown, place: string): string[] {
  if (calls === undefined) return []
  if (!Array.isArray(calls)) throw invalid(`${place}: tool_calls must be a list`)
  return calls.map((given) => {
    const { id, type, function: fn } = record(given)
    const { name, arguments: input } = record(fn)
    if (typeof id !== 'string' || type !== 'function' || typeof name !== 'string') {
      throw invalid(`${place}: tool call is not valid`)
    }
    if (typeof input !== 'string') throw invalid(`${place}: arguments must be a string`)
    return id
  })
}

function within(body: Fields, name: string, min: number, max: number): void {
  const value = body[name]
  if (value === undefined) return
  if (typeof value !== 'number' || value < min || value > max) {
    throw invalid(`${name} must be between ${min} and ${max}`)
  }
}

function invalid(message: string): MockFailure {
  return refuse(400, `invalid request: ${message}`)
}
