import type { Conversation } from '#openai/conversation/conversation.ts'
import { invalid, isRecord, record, text, unsupported } from '#openai/conversation/fields.ts'

import type { Exchange } from '../exchange.ts'
import { camelCased, ownParam } from './extensions.ts'
import type { ModelFacts } from './models.ts'
import { jsonSchema, openApiSchema } from './schema.ts'
import { thinkingOf } from './thinking.ts'

// `generationConfig` ("GenerationConfig", as read in November 2026).

type Config = Record<string, unknown>

const maxStops = 5
const maxSeed = 2 ** 31 - 1

/** Throws a 400 naming the parameter that the vendor cannot be given. */
export function generationConfig(exchange: Exchange, facts: ModelFacts): Config {
  const { conversation } = exchange
  const { request, maxTokens, stop } = conversation
  const config: Config = {}
  const set = (name: string, value: unknown): void => {
    if (value !== undefined && value !== null) config[name] = value
  }
  set('temperature', request['temperature'])
  set('topP', request['top_p'])
  set('topK', request['top_k'])
  set('maxOutputTokens', maxTokens)
  if (stop.length > maxStops) {
    throw unsupported('stop', `This provider takes at most ${maxStops} stop texts.`)
  }
  if (stop.length > 0) set('stopSequences', stop)
  set('seed', seedOf(request['seed'], exchange))
  for (const [name, theirs] of penalties) {
    const value = request[name]
    if (typeof value !== 'number' || value === 0) continue
    if (facts.penalties) set(theirs, value)
    else exchange.drop(name)
  }
  if (request['logprobs'] === true) {
    set('responseLogprobs', true)
    set('logprobs', request['top_logprobs'])
  }
  Object.assign(config, formatOf(exchange, facts), spoken(exchange))
  set('mediaResolution', resolutionOf(exchange))
  set('thinkingConfig', thinkingOf(exchange, facts))
  return config
}

const penalties = [
  ['frequency_penalty', 'frequencyPenalty'],
  ['presence_penalty', 'presencePenalty'],
] as const

/** Seeds are 32 bits wide here. */
function seedOf(value: unknown, exchange: Exchange): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && value >= -maxSeed - 1 && value <= maxSeed) return value
  exchange.drop('seed')
  return undefined
}

/** Older models take functions or a form of the answer, not both: the form is then asked for in words. */
export function formatInWords({ format, tools }: Conversation, facts: ModelFacts): string {
  if (facts.combines || tools.length === 0 || format.kind === 'text') return ''
  const schema =
    format.kind === 'schema' ? ` that fits this JSON Schema: ${JSON.stringify(format.schema)}` : ''
  return `When you answer without calling a function, answer with one JSON object${schema} and nothing else.`
}

function formatOf(exchange: Exchange, facts: ModelFacts): Config {
  const { conversation } = exchange
  const { format } = conversation
  if (format.kind === 'text') return {}
  if (formatInWords(conversation, facts) !== '') {
    // Asked for, and not assured.
    exchange.drop('response_format')
    return {}
  }
  const config = { responseMimeType: 'application/json' }
  if (format.kind === 'json') return config
  if (facts.jsonSchema) return { ...config, responseJsonSchema: jsonSchema(format.schema) }
  const schema = openApiSchema(format.schema)
  return schema === undefined ? config : { ...config, responseSchema: schema }
}

/** Forms of the answer besides text ("Speech generation" and "Image generation", as read in November 2026). */
function spoken(exchange: Exchange): Config {
  const { request } = exchange.conversation
  const config: Config = {}
  const modalities = Array.isArray(request['modalities'])
    ? (request['modalities'] as unknown[])
    : []
  const isAudio = modalities.includes('audio')
  modalities.forEach((name, i) => {
    if (name === 'text' || name === 'image' || name === 'audio') return
    throw unsupported(
      `modalities[${i}]`,
      `Answers in the form '${String(name)}' are not supported.`,
    )
  })
  // Models that speak do nothing else.
  if (isAudio) config['responseModalities'] = ['AUDIO']
  else if (modalities.includes('image')) {
    config['responseModalities'] = modalities.map((name) => String(name).toUpperCase())
  }
  const audio = record(request['audio'])
  if (isAudio) {
    const format = text(audio['format'])
    if (format !== undefined && format !== 'wav' && format !== 'pcm16') {
      throw unsupported('audio.format', `This provider speaks wav and pcm16, not '${format}'.`)
    }
    const voiceName = text(audio['voice'])
    if (voiceName !== undefined) {
      config['speechConfig'] = { voiceConfig: { prebuiltVoiceConfig: { voiceName } } }
    }
  } else if (Object.keys(audio).length > 0) {
    exchange.drop('audio')
  }
  for (const [name, theirs] of [
    ['speech_config', 'speechConfig'],
    ['image_config', 'imageConfig'],
  ] as const) {
    const own = ownParam(request, name)
    if (!own) continue
    if (!isRecord(own.value)) throw invalid(own.param, 'Expected an object.')
    config[theirs] = camelCased(own.value)
  }
  return config
}

const resolutions: ReadonlyMap<string, string> = new Map([
  ['low', 'MEDIA_RESOLUTION_LOW'],
  ['high', 'MEDIA_RESOLUTION_HIGH'],
])

/** One for the whole request: where the images differ in detail, nobody's wish is sent. */
function resolutionOf(exchange: Exchange): unknown {
  const { conversation } = exchange
  const own = ownParam(conversation.request, 'media_resolution')
  const wishes = conversation.turns.flatMap(({ parts }) =>
    parts.flatMap((part) =>
      part.type === 'image' && part.detail !== undefined && part.detail !== 'auto' ? [part] : [],
    ),
  )
  const [first] = wishes
  const agreed = wishes.every(({ detail }) => detail === first?.detail)
  const known = first && agreed && !own ? resolutions.get(first.detail ?? '') : undefined
  if (known === undefined)
    for (const { param } of wishes) exchange.drop(`${param}.image_url.detail`)
  return own?.value ?? known
}
