import { MockFailure } from './answer.ts'
import { isRecord, record } from './wire.ts'

// What the vendor refuses, so that a wrong translation does not go unnoticed.

type Fields = Readonly<Record<string, unknown>>

/** The error of a request that is wrong. */
export function invalid(message: string): MockFailure {
  return new MockFailure({ status: 400, code: 'ValidationException', message })
}

const fields = new Set([
  ...['messages', 'system', 'inferenceConfig', 'toolConfig', 'guardrailConfig', 'outputConfig'],
  ...['additionalModelRequestFields', 'additionalModelResponseFieldPaths', 'promptVariables'],
  ...['requestMetadata', 'performanceConfig', 'serviceTier'],
])

/** What the mock's models are, by their ids. */
export const isClaude = (model: string): boolean => model.includes('claude')
const caches = (model: string): boolean => /claude|nova/.test(model)
const demands = (model: string): boolean => /claude|nova|mistral-large/.test(model)
const follows = (model: string): boolean => /claude-\w+-(?:4-[5-9]|[5-9])|gpt-oss/.test(model)

/** Throws for a request that `Converse` would refuse. */
export function checkConverse(body: Fields, model: string): void {
  const unknown = Object.keys(body).find((name) => !fields.has(name))
  if (unknown !== undefined) throw invalid(`Unexpected field: ${unknown}`)
  checkInference(record(body.inferenceConfig))
  checkSystem(body.system, model)
  const hasTools = checkTools(body.toolConfig, model)
  checkAdditional(body, model)
  const format = record(body.outputConfig).textFormat
  if (format !== undefined) checkFormat(record(format), model)
  const hasBlocks = checkMessages(body.messages, model)
  if (hasBlocks && !hasTools) {
    throw invalid(
      'The toolConfig field must be defined when using toolUse and toolResult content blocks.',
    )
  }
  for (const [key, value] of Object.entries(record(body.requestMetadata))) {
    if (!/^[\w\s:@$#=/+,.-]{1,256}$/.test(key) || typeof value !== 'string') {
      throw invalid('requestMetadata does not match its pattern')
    }
  }
}

function checkInference({ maxTokens, temperature, topP, stopSequences, ...rest }: Fields): void {
  if (Object.keys(rest).length > 0) throw invalid(`Unexpected field: ${Object.keys(rest)[0]}`)
  if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && Number(maxTokens) > 0)) {
    throw invalid('inferenceConfig.maxTokens must be a positive integer')
  }
  for (const value of [temperature, topP]) {
    if (value !== undefined && !(Number(value) >= 0 && Number(value) <= 1)) {
      throw invalid('Member must have value less than or equal to 1')
    }
  }
  if (stopSequences === undefined) return
  const areTexts =
    Array.isArray(stopSequences) &&
    stopSequences.every((stop) => typeof stop === 'string' && stop.trim() !== '')
  if (!areTexts) throw invalid('each stop sequence must contain non-whitespace')
}

function checkSystem(system: unknown, model: string): void {
  if (system === undefined) return
  if (!Array.isArray(system) || system.length === 0) throw invalid('system must not be empty')
  for (const [at, block] of system.map(record).entries()) {
    if (block.cachePoint !== undefined) checkCachePoint(block.cachePoint, at, model)
    else checkText(block.text, `system.${at}`)
  }
}

function checkText(text: unknown, place: string): void {
  if (typeof text === 'string' && text.trim() !== '') return
  throw invalid(
    `The text field in the ContentBlock object at ${place} is blank. Add text to the text field, and try again.`,
  )
}

function checkCachePoint(point: unknown, at: number, model: string): void {
  if (!caches(model)) {
    throw new MockFailure({
      status: 403,
      code: 'AccessDeniedException',
      message: 'You invoked an unsupported model or your request did not allow prompt caching.',
    })
  }
  const { type, ttl } = record(point)
  if (type !== 'default' || !(ttl === undefined || ttl === '5m' || ttl === '1h')) {
    throw invalid('cachePoint does not match its shape')
  }
  if (at === 0) throw invalid('A cachePoint needs something before it.')
}

function checkTools(config: unknown, model: string): boolean {
  if (config === undefined) return false
  const { tools, toolChoice } = record(config)
  if (!Array.isArray(tools) || tools.length === 0)
    throw invalid('toolConfig.tools must not be empty')
  const names: unknown[] = []
  for (const [at, { toolSpec, cachePoint }] of tools.map(record).entries()) {
    if (cachePoint !== undefined) {
      checkCachePoint(cachePoint, at, model)
      continue
    }
    const { name, description, inputSchema } = record(toolSpec)
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(String(name)))
      throw invalid(`toolSpec.name '${String(name)}' failed to satisfy its pattern`)
    if (names.includes(name)) throw invalid('tool names must be unique')
    if (typeof description !== 'string' || description === '')
      throw invalid('toolSpec.description must have length greater than or equal to 1')
    if (record(record(inputSchema).json).type !== 'object') {
      throw invalid(
        `The value at toolConfig.tools.${at}.toolSpec.inputSchema.json.type must be one of the following: object.`,
      )
    }
    names.push(name)
  }
  if (toolChoice === undefined) return true
  const [kind] = Object.keys(record(toolChoice))
  if (kind !== 'auto' && !demands(model))
    throw invalid(`This model doesn't support the toolConfig.toolChoice.${kind} field.`)
  if (kind === 'tool' && !names.includes(record(record(toolChoice).tool).name)) {
    throw invalid('toolChoice names a tool that is not there')
  }
  return true
}

function checkAdditional(body: Fields, model: string): void {
  const { thinking, tool_choice, output_config } = record(body.additionalModelRequestFields)
  if (!isClaude(model)) {
    if (thinking !== undefined || output_config !== undefined)
      throw invalid('extraneous key [thinking] is not permitted')
    return
  }
  const { toolChoice } = record(body.toolConfig)
  const forced = toolChoice !== undefined && record(toolChoice).auto === undefined
  const type = record(thinking).type
  const { maxTokens, temperature } = record(body.inferenceConfig)
  if (type === 'enabled' || type === 'adaptive') {
    if (forced) throw invalid('Thinking may not be enabled when tool_choice forces tool use.')
    if (temperature !== undefined && temperature !== 1)
      throw invalid('`temperature` may only be set to 1 when thinking is enabled.')
    const budget = record(thinking).budget_tokens
    if (type === 'enabled' && !(Number(maxTokens) > Number(budget)))
      throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`.')
  }
  if (tool_choice === undefined) return
  const own = record(tool_choice).type
  const agrees = forced ? own === 'any' || own === 'tool' : own === 'auto'
  if (!agrees) throw invalid('tool_choice does not agree with toolConfig.toolChoice')
}

function checkFormat({ type, structure }: Fields, model: string): void {
  if (!follows(model)) throw invalid('This model does not support the outputConfig field.')
  const { schema } = record(record(structure).jsonSchema)
  if (type !== 'json_schema' || typeof schema !== 'string') {
    throw invalid('outputConfig.textFormat.structure.jsonSchema.schema must be a string')
  }
  if (record(JSON.parse(schema)).additionalProperties !== false) {
    throw invalid("For 'object' type, 'additionalProperties' must be explicitly set to false")
  }
}

/** Returns whether there are blocks of tools among them. */
function checkMessages(given: unknown, model: string): boolean {
  if (!Array.isArray(given) || given.length === 0) throw invalid('messages must not be empty')
  const messages = given.map(record)
  const documents = new Set<unknown>()
  let asked: string[] = []
  let hasBlocks = false
  messages.forEach(({ role, content }, at) => {
    const place = `messages.${at}.content`
    if (role !== (at % 2 === 0 ? 'user' : 'assistant')) {
      throw invalid(
        at === 0
          ? 'A conversation must start with a user message. Try again with a conversation that starts with a user message.'
          : 'A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.',
      )
    }
    if (!Array.isArray(content) || content.length === 0) {
      throw invalid(
        `The content field in the Message object at messages.${at} is empty. Add a ContentBlock object to the content field and try again.`,
      )
    }
    const blocks = content.map(record)
    blocks.forEach((block, n) =>
      checkBlock(block, { place: `${place}.${n}`, at: n, model, documents }),
    )
    if (blocks.some(({ document }) => document) && !blocks.some(({ text }) => text)) {
      throw invalid('A text block is required when using documents.')
    }
    const answered = blocks.flatMap(({ toolResult }) =>
      isRecord(toolResult) ? [String(toolResult.toolUseId)] : [],
    )
    const missing = asked.filter((id) => !answered.includes(id))
    if (missing.length > 0)
      throw invalid(
        `Expected toolResult blocks at ${place} for the following Ids: ${missing.join(', ')}`,
      )
    if (answered.length > asked.length) {
      throw invalid(
        `The number of toolResult blocks at ${place} exceeds the number of toolUse blocks of previous turn.`,
      )
    }
    asked = blocks.flatMap(({ toolUse }) => (isRecord(toolUse) ? [String(toolUse.toolUseId)] : []))
    hasBlocks ||= asked.length > 0 || answered.length > 0
  })
  if (asked.length > 0)
    throw invalid(`Expected toolResult blocks for the following Ids: ${asked.join(', ')}`)
  return hasBlocks
}

interface BlockPlace {
  readonly place: string
  readonly at: number
  readonly model: string
  readonly documents: Set<unknown>
}

function checkBlock(block: Fields, { place, at, model, documents }: BlockPlace): void {
  const [kind = '', ...others] = Object.keys(block)
  if (others.length > 0) throw invalid(`${place}: a block has one member`)
  const value = record(block[kind])
  switch (kind) {
    case 'text':
      checkText(block.text, place)
      return
    case 'cachePoint':
      checkCachePoint(value, at, model)
      return
    case 'image':
      if (!['png', 'jpeg', 'gif', 'webp'].includes(String(value.format)))
        throw invalid(`${place}: image format`)
      checkSource(value.source, place)
      return
    case 'document':
      if (!/^(?:pdf|csv|docx?|xlsx?|html|txt|md)$/.test(String(value.format)))
        throw invalid(`${place}: document format`)
      if (!/^(?! )(?!.* {2})[a-zA-Z0-9 ()[\]-]{1,200}$/.test(String(value.name))) {
        throw invalid(
          'The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets.',
        )
      }
      if (documents.has(value.name)) throw invalid('Document names must be unique.')
      documents.add(value.name)
      checkSource(value.source, place)
      return
    case 'toolUse':
      if (!/^[a-zA-Z0-9_.:-]{1,64}$/.test(String(value.toolUseId)))
        throw invalid(`${place}.toolUseId failed to satisfy its pattern`)
      if (!isRecord(value.input) || Array.isArray(value.input))
        throw invalid(
          `The format of the value at ${place}.toolUse.input is invalid. Provide a json object for the field and try again.`,
        )
      return
    case 'toolResult':
      if (!Array.isArray(value.content) || value.content.length === 0)
        throw invalid(`${place}.toolResult.content is empty`)
      for (const inner of value.content.map(record))
        checkBlock(inner, { place, at, model, documents })
      return
    case 'reasoningContent':
      checkThought(value, place, model)
      return
    default:
      throw invalid(`${place}: '${kind}' is not a content block`)
  }
}

function checkSource(source: unknown, place: string): void {
  const { bytes, s3Location } = record(source)
  const isBase64 = typeof bytes === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(bytes)
  if (!isBase64 && typeof record(s3Location).uri !== 'string')
    throw invalid(`${place}: source is neither bytes nor an S3 location`)
}

function checkThought(
  { reasoningText, redactedContent }: Fields,
  place: string,
  model: string,
): void {
  if (!isClaude(model))
    throw invalid(`This model doesn't support the reasoningContent block at ${place}.`)
  if (redactedContent !== undefined) {
    if (redactedContent !== REDACTED)
      throw invalid(`${place}: Invalid data in redacted_thinking block`)
    return
  }
  const { text, signature } = record(reasoningText)
  if (typeof text !== 'string' || signature !== signatureOf(text)) {
    throw invalid(`${place}: Invalid \`signature\` in \`thinking\` block`)
  }
}

/** What the mock's models hide. */
export const REDACTED = Buffer.from('what nobody may read').toString('base64')

/** How the mock's models sign what they thought. */
export function signatureOf(text: string): string {
  return Buffer.from(`signed by the mock: ${Bun.hash(text).toString(36)}`).toString('base64')
}
