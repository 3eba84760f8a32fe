import { MockFailure } from './answer.ts'
import { isRecord, record } from './wire.ts'

// What `generateContent` refuses, in its own words. Names of models decide how strict it is: `gemini-3…` and later
// want every step's first call signed, and older ones take no schema beside functions.

type Fields = Readonly<Record<string, unknown>>

/** Which line of models a name belongs to; 0 for names that say nothing. */
export function lineOf(model: string): number {
  return Number(/^gemini-(\d+(?:\.\d+)?)/.exec(model)?.[1] ?? 0)
}

/** A 400 as the vendor words it. */
export function refuse(message: string, status = 400, code: string | null = null): MockFailure {
  return new MockFailure({ status, message, code })
}

/** The signature that a model of the mock puts on a call. */
export function signatureOf(name: unknown, args: unknown): string {
  return Buffer.from(`signed:${String(name)}:${JSON.stringify(args ?? {})}`).toString('base64')
}

const unsigned = 'skip_thought_signature_validator'

const requestNames = new Set([
  ...['contents', 'systemInstruction', 'tools', 'toolConfig', 'safetySettings', 'cachedContent'],
  ...['generationConfig', 'serviceTier', 'labels', 'model'],
])
const configNames = new Set([
  ...['temperature', 'topP', 'topK', 'maxOutputTokens', 'stopSequences', 'seed', 'candidateCount'],
  ...['frequencyPenalty', 'presencePenalty', 'responseLogprobs', 'logprobs', 'responseMimeType'],
  ...['responseSchema', 'responseJsonSchema', 'responseModalities', 'speechConfig', 'imageConfig'],
  ...['mediaResolution', 'thinkingConfig'],
])
const dataNames = [
  ...['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse'],
  ...['executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse'],
]

/** Throws `MockFailure` as the vendor would; gives the contents. */
export function checkGenerate(body: Fields, model: string): readonly Fields[] {
  noUnknown(body, requestNames, 'GenerateContentRequest')
  const config = record(body.generationConfig)
  noUnknown(config, configNames, 'generation_config')
  const functions = checkTools(body, model)
  checkConfig(config, functions, model)
  if (body.cachedContent !== undefined && (body.systemInstruction || body.tools)) {
    throw refuse(
      'CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.',
    )
  }
  return checkContents(body.contents, model)
}

function noUnknown(holder: Fields, names: ReadonlySet<string>, where: string): void {
  const unknown = Object.keys(holder).find((name) => !names.has(name))
  if (unknown !== undefined) {
    throw refuse(
      `Invalid JSON payload received. Unknown name "${unknown}" at '${where}': Cannot find field.`,
    )
  }
}

function checkConfig(config: Fields, hasFunctions: boolean, model: string): void {
  const line = lineOf(model)
  const { thinkingBudget, thinkingLevel } = record(config.thinkingConfig)
  if (thinkingBudget !== undefined && thinkingLevel !== undefined) {
    throw refuse('You can only set only one of thinking budget and thinking level.')
  }
  if (thinkingLevel !== undefined && line > 0 && line < 3) {
    throw refuse('Thinking level is not supported for this model.')
  }
  if (Array.isArray(config.stopSequences) && config.stopSequences.length > 5) {
    throw refuse('The number of stop sequences must not exceed 5.')
  }
  if (config.candidateCount !== undefined && config.candidateCount !== 1) {
    throw refuse('Multiple candidates is not enabled for this model')
  }
  const penalized = config.frequencyPenalty ?? config.presencePenalty
  if (penalized !== undefined && line >= 2.5) {
    throw refuse(`Penalty is not enabled for models/${model}`)
  }
  const { responseSchema, responseJsonSchema, responseMimeType } = config
  const schema = responseSchema ?? responseJsonSchema
  if (responseSchema !== undefined && responseJsonSchema !== undefined) {
    throw refuse('Only one of response_schema and response_json_schema may be set.')
  }
  if (schema !== undefined && responseMimeType !== 'application/json') {
    throw refuse('Response schema requires a response mime type of application/json.')
  }
  if (responseSchema !== undefined)
    checkOpenApi(responseSchema, 'generation_config.response_schema')
  if (responseMimeType === 'application/json' && hasFunctions && line > 0 && line < 3) {
    throw refuse("Function calling with a response mime type: 'application/json' is unsupported")
  }
}

/** Whether there are functions. */
function checkTools(body: Fields, model: string): boolean {
  const tools = Array.isArray(body.tools) ? body.tools.map(record) : []
  const holders = tools.filter(({ functionDeclarations }) => functionDeclarations !== undefined)
  if (holders.length > 1)
    throw refuse('Multiple tools are supported only when they are all search tools.')
  const declared = holders.flatMap(({ functionDeclarations }) =>
    Array.isArray(functionDeclarations) ? functionDeclarations.map(record) : [],
  )
  for (const [i, { name, parameters, parametersJsonSchema }] of declared.entries()) {
    const where = `tools[0].function_declarations[${i}]`
    if (typeof name !== 'string' || !/^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/.test(name)) {
      throw refuse(`Invalid function name in ${where}.`)
    }
    if (parameters !== undefined && parametersJsonSchema !== undefined) {
      throw refuse(`Only one of parameters and parameters_json_schema may be set in ${where}.`)
    }
    if (parameters !== undefined) checkOpenApi(parameters, `${where}.parameters`)
  }
  const { mode, allowedFunctionNames } = record(record(body.toolConfig).functionCallingConfig)
  if (allowedFunctionNames !== undefined) {
    if (mode !== 'ANY' && mode !== 'VALIDATED') {
      throw refuse(
        'Allowed function names should be set only when the function calling mode is ANY or VALIDATED.',
      )
    }
    const names = new Set(declared.map(({ name }) => name))
    if (
      !Array.isArray(allowedFunctionNames) ||
      !allowedFunctionNames.every((one) => names.has(one))
    ) {
      throw refuse('Allowed function names must be among the function declarations.')
    }
  }
  const searches = tools.some(({ googleSearch }) => googleSearch !== undefined)
  if (searches && declared.length > 0) {
    if (lineOf(model) < 3 && lineOf(model) > 0)
      throw refuse('Tool use with function calling is unsupported')
    if (record(body.toolConfig).includeServerSideToolInvocations !== true) {
      throw refuse(
        'Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling.',
      )
    }
  }
  return declared.length > 0
}

const openApiNames = new Set([
  ...[
    'type',
    'format',
    'title',
    'description',
    'nullable',
    'enum',
    'items',
    'properties',
    'required',
  ],
  ...['anyOf', 'minItems', 'maxItems', 'minProperties', 'maxProperties', 'minLength', 'maxLength'],
  ...['minimum', 'maximum', 'pattern', 'default', 'example', 'propertyOrdering'],
])

function checkOpenApi(schema: unknown, where: string): void {
  if (!isRecord(schema)) throw refuse(`Invalid value at '${where}'.`)
  noUnknown(schema, openApiNames, where)
  const { format, properties, items, anyOf } = schema
  const type = typeof schema.type === 'string' ? schema.type.toLowerCase() : schema.type
  if (type !== undefined && typeof type !== 'string')
    throw refuse(`Proto field is not repeating at '${where}.type'.`)
  if (Array.isArray(schema.enum)) {
    if (type !== 'string' || !schema.enum.every((value) => typeof value === 'string')) {
      throw refuse(`Invalid value at '${where}.enum': only strings are allowed.`)
    }
  }
  if (format !== undefined && type === 'string' && format !== 'enum' && format !== 'date-time') {
    throw refuse(`${where}: only 'enum' and 'date-time' are supported for STRING type`)
  }
  if (
    type === 'object' &&
    Object.keys(record(properties)).length === 0 &&
    where.includes('declarations')
  ) {
    throw refuse(`${where}: should be non-empty for OBJECT type`)
  }
  if (type === 'array' && items === undefined) throw refuse(`${where}.items: missing field.`)
  for (const [name, child] of Object.entries(record(properties))) {
    checkOpenApi(child, `${where}.properties[${name}]`)
  }
  if (items !== undefined) checkOpenApi(items, `${where}.items`)
  if (Array.isArray(anyOf))
    anyOf.forEach((child, i) => checkOpenApi(child, `${where}.any_of[${i}]`))
}

function checkContents(given: unknown, model: string): readonly Fields[] {
  const contents = Array.isArray(given) ? given.map(record) : []
  if (contents.length === 0)
    throw refuse('* GenerateContentRequest.contents: contents is not specified')
  contents.forEach((content, i) => {
    if (content.role !== 'user' && content.role !== 'model') {
      throw refuse('Please use a valid role: user, model.')
    }
    const parts = partsOf(content)
    if (parts.length === 0) {
      throw refuse(
        `* GenerateContentRequest.contents[${i}].parts: contents.parts must not be empty.`,
      )
    }
    for (const part of parts) checkPart(part, i)
  })
  if (contents[0]!.role !== 'user') {
    throw refuse('Please ensure that the first turn is a user turn.')
  }
  if (contents.at(-1)!.role !== 'user') {
    throw refuse(
      'Please ensure that multiturn requests end with a user role or a function response.',
    )
  }
  contents.forEach((content, i) => checkCalls(contents, content, i, model))
  return contents
}

/** The parts of a content. */
export function partsOf({ parts }: Fields): readonly Fields[] {
  return Array.isArray(parts) ? parts.map(record) : []
}

function checkPart(part: Fields, i: number): void {
  const data = dataNames.filter((name) => part[name] !== undefined)
  if (data.length !== 1) {
    throw refuse(
      `* GenerateContentRequest.contents[${i}].parts: required oneof field 'data' must have one initialized field`,
    )
  }
  if (part.inlineData !== undefined) {
    const { mimeType, data: bytes } = record(part.inlineData)
    if (typeof mimeType !== 'string' || mimeType === '')
      throw refuse('mimeType is required for inline data.')
    if (typeof bytes !== 'string' || bytes === '') throw refuse('Inline data must not be empty.')
  }
  const { thoughtSignature } = part
  if (thoughtSignature !== undefined && typeof thoughtSignature !== 'string') {
    throw refuse('Invalid value at thought_signature (TYPE_BYTES).')
  }
}

/** Calls and results face each other one to one, and newer models look for signatures. */
function checkCalls(contents: readonly Fields[], content: Fields, i: number, model: string): void {
  const calls = partsOf(content).filter(({ functionCall }) => functionCall !== undefined)
  const results = partsOf(content).filter(({ functionResponse }) => functionResponse !== undefined)
  const before = contents[i - 1]
  if (results.length > 0 && !(before && partsOf(before).some((part) => part.functionCall))) {
    throw refuse(
      'Please ensure that function response turn comes immediately after a function call turn.',
    )
  }
  if (calls.length === 0) return
  if (content.role !== 'model') throw refuse('Function calls come from the model.')
  const answers = partsOf(contents[i + 1] ?? {}).flatMap(({ functionResponse }) =>
    functionResponse === undefined ? [] : [record(functionResponse)],
  )
  if (answers.length !== calls.length) {
    throw refuse(
      'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.',
    )
  }
  for (const [at, { functionCall, thoughtSignature }] of calls.entries()) {
    const { name, args, id } = record(functionCall)
    const answer = answers[at]!
    if (answer.name !== name || answer.id !== id) {
      throw refuse(
        `The function response at position ${at} does not belong to the call of '${String(name)}'.`,
      )
    }
    if (!isRecord(answer.response) || Array.isArray(answer.response)) {
      throw refuse(
        "Invalid value at 'function_response.response' (type.googleapis.com/google.protobuf.Struct).",
      )
    }
    if (thoughtSignature === undefined) {
      if (at === 0 && lineOf(model) >= 3) {
        throw refuse(
          `Function call is missing a thought_signature in functionCall parts. Function call \`${String(name)}\`, position ${i}.`,
        )
      }
    } else if (thoughtSignature !== unsigned && thoughtSignature !== signatureOf(name, args)) {
      throw refuse('Thought signature is not valid.')
    }
  }
}
