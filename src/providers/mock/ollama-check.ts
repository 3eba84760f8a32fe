import { MockFailure } from './answer.ts'
import { record, stringOf } from './wire.ts'

// What the server refuses, in its own words: most of it is said by the decoder of Go's JSON.

type Fields = Readonly<Record<string, unknown>>

/** An error as it is thrown; the dialect gives it the vendor's form. */
export function refuse(status: number, message: string): MockFailure {
  return new MockFailure({ status, message })
}

/** Models of this name have neither tools nor thoughts nor eyes. */
const plainModel = /^plain/

/** The messages of a chat request. Throws 400 for what the server does not take. */
export function checkChat(body: Fields, model: string): readonly Fields[] {
  if (body.stream !== undefined && typeof body.stream !== 'boolean') throw wrongType('stream')
  checkOptions(body.options)
  checkFormat(body.format)
  checkThink(body.think, model)
  checkTools(body.tools, model)
  if (body.top_logprobs !== undefined && !(Number(body.top_logprobs) <= 20)) {
    throw refuse(400, 'top_logprobs must be between 0 and 20')
  }
  if (!Array.isArray(body.messages)) throw wrongType('messages')
  const messages = body.messages.map(record)
  for (const message of messages) checkMessage(message, model)
  return messages
}

function checkMessage(message: Fields, model: string): void {
  const { role, content, images, thinking, tool_calls } = message
  if (!['system', 'user', 'assistant', 'tool'].includes(String(role))) {
    throw refuse(400, `invalid role: ${String(role)}, must be one of system, user, assistant, tool`)
  }
  if (typeof content !== 'string') throw wrongType('messages.content')
  if (thinking !== undefined && typeof thinking !== 'string') throw wrongType('messages.thinking')
  if (images !== undefined) {
    if (!Array.isArray(images)) throw wrongType('messages.images')
    for (const image of images) checkBase64(image)
    if (plainModel.test(model)) throw refuse(400, `"${model}" does not support images`)
  }
  if (tool_calls === undefined) return
  if (!Array.isArray(tool_calls)) throw wrongType('messages.tool_calls')
  for (const call of tool_calls) {
    const { name, arguments: input } = record(record(call).function)
    if (typeof name !== 'string') throw wrongType('messages.tool_calls.function.name')
    if (typeof input !== 'object' || input === null || Array.isArray(input)) {
      throw wrongType('messages.tool_calls.function.arguments')
    }
  }
}

function checkBase64(image: unknown): void {
  if (typeof image !== 'string') throw wrongType('messages.images')
  const clean = image.replace(/[\r\n]/g, '')
  const at = clean.search(/[^A-Za-z0-9+/=]/)
  if (at !== -1 || clean.length % 4 !== 0) {
    throw refuse(400, `illegal base64 data at input byte ${at === -1 ? clean.length : at}`)
  }
}

const wholeOptions = new Set(['num_predict', 'num_ctx', 'num_keep', 'seed', 'top_k'])

function checkOptions(options: unknown): void {
  if (options === undefined) return
  for (const [name, value] of Object.entries(record(options))) {
    if (name === 'stop') {
      if (!Array.isArray(value)) throw refuse(400, 'option "stop" must be of type array')
    } else if (wholeOptions.has(name) && !Number.isInteger(value)) {
      throw refuse(400, `option "${name}" must be of type integer`)
    } else if (name === 'temperature' && typeof value !== 'number') {
      throw refuse(400, `option "${name}" must be of type float32`)
    }
  }
}

function checkFormat(format: unknown): void {
  const isSchema = typeof format === 'object' && format !== null && !Array.isArray(format)
  if (format === undefined || format === 'json' || format === '' || isSchema) return
  throw refuse(400, `invalid format: ${JSON.stringify(format)}; expected "json" or a JSON schema`)
}

function checkThink(think: unknown, model: string): void {
  if (think === undefined || think === false) return
  if (think !== true && !['low', 'medium', 'high', 'max'].includes(stringOf(think) ?? '')) {
    throw refuse(
      400,
      `invalid think value: ${JSON.stringify(think)} (must be "high", "medium", "low", "max", true, or false)`,
    )
  }
  if (plainModel.test(model)) throw refuse(400, `"${model}" does not support thinking`)
}

function checkTools(tools: unknown, model: string): void {
  if (tools === undefined) return
  if (!Array.isArray(tools)) throw wrongType('tools')
  if (tools.length > 0 && plainModel.test(model)) {
    throw refuse(400, `registry.ollama.ai/library/${model}:latest does not support tools`)
  }
  for (const tool of tools) {
    const { name, parameters } = record(record(tool).function)
    if (typeof name !== 'string') throw wrongType('tools.function.name')
    if (record(parameters).type !== 'object') throw wrongType('tools.function.parameters')
  }
}

function wrongType(field: string): MockFailure {
  return refuse(
    400,
    `json: cannot unmarshal value into Go struct field ChatRequest.${field} of another type`,
  )
}
