import { newId } from '#lib/id.ts'

import { type Answer, json } from './answer.ts'
import type { DialectRequest } from './dialects.ts'
import { checkGenerate, lineOf, partsOf, signatureOf } from './gemini-check.ts'
import { countTokens, wording } from './text.ts'
import { takeTurn, type Tool, type Turn } from './turn.ts'
import { record, wholeNumber } from './wire.ts'

type Fields = Readonly<Record<string, unknown>>

const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

/** What a model is called decides what it does: `gemini-3-flash-tools` behaves as `tools`. */
export function behaviourOf(model: string): string {
  return model.replace(/^gemini-[\d.]+-(?:(?:pro|flash|flash-lite|argon|exp)-)?/, '')
}

/** Answers `generateContent`, or `streamGenerateContent` as events or as one list. */
export function generate(request: DialectRequest, model: string, streams: boolean): Answer {
  const contents = checkGenerate(request.body, model)
  const said = say(request, contents, model)
  if (!streams) return json(response(said, said.parts, said.ending))
  const pieces = streamed(said)
  if (request.query.get('alt') === 'sse') {
    const body = pieces.map((piece) => `data: ${JSON.stringify(piece)}\r\n\r\n`)
    return { status: 200, contentType: 'text/event-stream', body }
  }
  return json(pieces)
}

interface Said {
  readonly id: string
  readonly model: string
  /** Everything, in order. */
  readonly parts: readonly Fields[]
  /** The same with texts cut into pieces. */
  readonly pieces: readonly Fields[]
  /** What stands in the candidate at the end. */
  readonly ending: Fields
  readonly promptFeedback: Fields | undefined
  readonly usage: Fields
  /** Of the output so far, per piece. */
  readonly prompt: number
}

function say(request: DialectRequest, contents: readonly Fields[], model: string): Said {
  const { body, faults } = request
  const behaviour = behaviourOf(request.behaviour)
  const config = record(body.generationConfig)
  const turn = takeTurn(promptOf(body, contents, behaviour))
  const says = wording(turn.text, faults)
  const parts: Fields[] = []
  const pieces: Fields[] = []
  const both = (part: Fields): void => {
    parts.push(part)
    pieces.push(part)
  }
  if (turn.reasoning !== undefined && record(config.thinkingConfig).includeThoughts === true) {
    parts.push({ text: turn.reasoning, thought: true })
    pieces.push(...wording(turn.reasoning, {}).pieces.map((text) => ({ text, thought: true })))
  }
  if (turn.calls.length === 0 && !turn.refusal && behaviour !== 'malformed') {
    const signed = turn.reasoning === undefined ? {} : { thoughtSignature: signatureOf('', {}) }
    if (says.text !== '') parts.push({ text: says.text, ...signed })
    pieces.push(...says.pieces.map((text) => ({ text })))
    if (turn.reasoning !== undefined) pieces.push({ text: '', ...signed })
  }
  turn.calls.forEach(({ name, input }, at) => {
    const args: unknown = JSON.parse(input)
    both({
      functionCall: { ...(lineOf(model) >= 3 && { id: newId().slice(-8) }), name, args },
      ...(at === 0 && { thoughtSignature: signatureOf(name, args) }),
    })
  })
  const modalities = Array.isArray(config.responseModalities) ? config.responseModalities : []
  if (modalities.includes('IMAGE')) both({ inlineData: { mimeType: 'image/png', data: png } })
  if (modalities.includes('AUDIO')) {
    parts.length = 0
    pieces.length = 0
    const samples = (text: string): string => Buffer.from(text.repeat(2)).toString('base64')
    const mimeType = 'audio/L16;codec=pcm;rate=24000'
    parts.push({ inlineData: { mimeType, data: samples('beep') } })
    for (const text of ['be', 'ep', 'be', 'ep']) {
      pieces.push({ inlineData: { mimeType, data: Buffer.from(text).toString('base64') } })
    }
  }
  const prompt = contents.flatMap(partsOf).reduce((sum, part) => sum + tokensOf(part), 0)
  const cached = typeof body.cachedContent === 'string' ? 100 : 0
  const thoughts = turn.reasoning === undefined ? 0 : countTokens(turn.reasoning)
  const spoken = parts.reduce((sum, part) => (part.thought ? sum : sum + tokensOf(part)), 0)
  return {
    id: newId(),
    model,
    parts,
    pieces,
    ending: endingOf(body, turn, behaviour, says.text),
    promptFeedback:
      behaviour === 'blocked'
        ? { blockReason: 'PROHIBITED_CONTENT', safetyRatings: [] }
        : undefined,
    prompt: prompt + cached,
    usage: {
      promptTokenCount: prompt + cached,
      ...(cached > 0 && { cachedContentTokenCount: cached }),
      ...(spoken > 0 && { candidatesTokenCount: spoken }),
      ...(thoughts > 0 && { thoughtsTokenCount: thoughts }),
      totalTokenCount: prompt + cached + spoken + thoughts,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: prompt + cached }],
    },
  }
}

function tokensOf(part: Fields): number {
  const text = typeof part.text === 'string' ? part.text : undefined
  return text === undefined ? 258 : countTokens(text)
}

function promptOf(body: Fields, contents: readonly Fields[], behaviour: string) {
  const config = record(body.generationConfig)
  const last = partsOf(contents.at(-1)!)
  const results = last.flatMap(({ functionResponse }) =>
    functionResponse === undefined ? [] : [record(record(functionResponse).response)],
  )
  const [result] = results
  const asked = contents.findLast(
    (content) => content.role === 'user' && partsOf(content).some(({ text }) => text !== undefined),
  )
  const { mode, allowedFunctionNames } = record(record(body.toolConfig).functionCallingConfig)
  const allowed = Array.isArray(allowedFunctionNames) ? allowedFunctionNames : undefined
  const tools = (Array.isArray(body.tools) ? body.tools.map(record) : [])
    .flatMap(({ functionDeclarations }) =>
      Array.isArray(functionDeclarations) ? functionDeclarations.map(record) : [],
    )
    .filter(({ name }) => !allowed || allowed.includes(name))
    .map(({ name, parameters, parametersJsonSchema }): Tool => ({
      name: String(name),
      kind: 'function',
      schema: parametersJsonSchema ?? parameters ?? {},
    }))
  return {
    behaviour,
    text: (asked ? partsOf(asked) : [])
      .map(({ text }) => (typeof text === 'string' ? text : ''))
      .join(''),
    toolResult:
      result && (typeof result.output === 'string' ? result.output : JSON.stringify(result)),
    tools,
    toolChoice: mode === 'NONE' ? 'none' : 'auto',
    parallel: true,
    schema: config.responseJsonSchema ?? config.responseSchema ?? true,
    maxTokens: wholeNumber(config.maxOutputTokens),
  }
}

function endingOf(body: Fields, turn: Turn, behaviour: string, text: string): Fields {
  if (turn.refusal) return { finishReason: 'SAFETY', finishMessage: turn.text }
  if (behaviour === 'malformed') {
    return { finishReason: 'MALFORMED_FUNCTION_CALL', finishMessage: 'Malformed function call: f(' }
  }
  const searches = Array.isArray(body.tools) && body.tools.some((tool) => record(tool).googleSearch)
  const grounding = searches && {
    groundingMetadata: {
      webSearchQueries: ['mock'],
      groundingChunks: [{ web: { uri: 'https://example.com/mock', title: 'Mock' } }],
      groundingSupports: [
        {
          segment: { endIndex: Buffer.byteLength(text), text },
          groundingChunkIndices: [0],
        },
      ],
    },
  }
  return { finishReason: turn.finish === 'length' ? 'MAX_TOKENS' : 'STOP', ...grounding }
}

function response(
  said: Said,
  parts: readonly Fields[],
  ending: Fields,
  usage = said.usage,
): Fields {
  const { id, model, promptFeedback } = said
  if (promptFeedback) {
    const { prompt } = said
    const promptOnly = { promptTokenCount: prompt, totalTokenCount: prompt }
    return { promptFeedback, usageMetadata: promptOnly, modelVersion: model, responseId: id }
  }
  const content = parts.length === 0 ? {} : { content: { parts, role: 'model' } }
  return {
    candidates: [{ ...content, ...ending, index: 0 }],
    usageMetadata: usage,
    modelVersion: model,
    responseId: id,
  }
}

function streamed(said: Said): Fields[] {
  if (said.promptFeedback) return [response(said, [], {})]
  const early = { promptTokenCount: said.prompt, totalTokenCount: said.prompt }
  const { pieces, ending } = said
  const list = pieces.map((piece) => response(said, [piece], {}, early))
  // The reason to finish comes with the last piece, or in one without any.
  list.push(response(said, [], ending))
  return list
}
