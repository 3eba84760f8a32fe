import { watched } from '#lib/deadline.ts'

import { startGateway } from '../helpers/gateway.ts'
import type { TestGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'
import type { Upstream } from '../helpers/upstream.ts'

// The gateway in front of a fake provider, and what its answers look like to a caller who believes nothing.

export const PROVIDER_KEY = 'sk-provider/real+0123456789'

export interface RigOptions {
  readonly client?: object
  readonly network?: object
  /** Merged into the `openai` provider. */
  readonly provider?: object
  readonly others?: (upstreamUrl: string) => Record<string, object>
  /** Where `openai` is, instead of the fake upstream. */
  readonly baseUrl?: string
}

export interface Rig extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly upstream: Upstream
  /** POST of JSON, or of text as it is, under `/openai/v1`. */
  post(
    path: string,
    body: unknown,
    init?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Response>
  /** A streamed chat completion. */
  chat(
    more?: object,
    init?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Response>
  /** How the last call, or the one this matches, was settled. */
  settled(matches?: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
}

/** A gateway whose provider `openai` is a fake upstream. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      client: options.client ?? {},
      providers: {
        openai: {
          keys: [{ name: 'main', value: PROVIDER_KEY, models: ['*'], weight: 1 }],
          network_config: { base_url: options.baseUrl ?? upstream.url, ...options.network },
          ...options.provider,
        },
        ...options.others?.(upstream.url),
      },
    },
  })
  const post: Rig['post'] = (path, body, init) =>
    fetch(`${gateway.url}/openai/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...init?.headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(init?.signal && { signal: init.signal }),
    })
  return {
    gateway,
    upstream,
    post,
    chat: (more, init) => post('/chat/completions', { ...CHAT, stream: true, ...more }, init),
    settled: (matches = () => true) =>
      gateway.logged(
        (line) => /^request (?:served|failed)/.test(String(line.message)) && matches(line),
      ),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}

export const CHAT = { model: 'openai/gpt-x', messages: [{ role: 'user', content: 'hi' }] }

/** One chunk of a chat stream as its data. */
export function chatChunk(content: string, more: { finish?: string; index?: number } = {}): string {
  const { finish, index = 0 } = more
  return JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'gpt-x',
    choices: [{ index, delta: content === '' ? {} : { content }, finish_reason: finish ?? null }],
  })
}

export const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }
export const usageChunk = JSON.stringify({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt-x',
  choices: [],
  usage: USAGE,
})

/** The data of each event as an event stream. */
export function sse(...events: string[]): string {
  return events.map((data) => `data: ${data}\n\n`).join('')
}

export interface StrictEvent {
  readonly name: string | undefined
  readonly data: any
}

export interface StrictStream {
  readonly events: readonly StrictEvent[]
  readonly comments: number
  /** How it ended: by the marker, by an error event, by a terminal event. */
  readonly end: 'done' | 'error' | 'terminal'
  readonly text: string
}

/**
 * Reads a whole event stream and throws unless it is beyond doubt: every event whole, every data JSON, exactly one
 * end and nothing after it.
 */
export function strictly(text: string): StrictStream {
  const events: StrictEvent[] = []
  let comments = 0
  const ends: StrictStream['end'][] = []
  let block: string[] = []
  const lines = text.split(/\r\n|\n|\r/)
  // After the last line end there is nothing, and the line before it is blank.
  if (lines.pop() !== '' || (lines.at(-1) ?? '') !== '') {
    throw new Error(`no whole event at the end: ${JSON.stringify(text.slice(-80))}`)
  }
  for (const line of lines) {
    if (line !== '') {
      block.push(line)
      continue
    }
    const whole = block
    block = []
    if (whole.length === 0) continue
    if (whole.every((own) => own.startsWith(':'))) {
      comments++
      continue
    }
    if (ends.length > 0) throw new Error(`an event after the end: ${whole.join('|')}`)
    const event = dispatch(whole)
    if (event === undefined) ends.push('done')
    else {
      events.push(event)
      if (event.data.error && !String(event.data.type).startsWith('response.')) ends.push('error')
      else if (/^response\.(?:completed|failed|incomplete)$/.test(event.data.type))
        ends.push('terminal')
    }
  }
  const last = events.at(-1)
  if (ends.length === 0 && /\.(?:done|completed)$/.test(String(last?.data.type)))
    ends.push('terminal')
  if (ends.length !== 1) throw new Error(`${ends.length} ends: ${text.slice(-300)}`)
  return { events, comments, end: ends[0]!, text }
}

/** One event; undefined for the end marker. */
function dispatch(lines: readonly string[]): StrictEvent | undefined {
  let name: string | undefined
  const data: string[] = []
  for (const line of lines) {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
    else if (line.startsWith('event:')) name = line.slice(6).trim()
    else if (!/^(?::|id:|retry:)/.test(line)) throw new Error(`not a field: ${line}`)
  }
  if (data.length === 0) throw new Error(`an event without data: ${lines.join('|')}`)
  const text = data.join('\n')
  return text === '[DONE]' ? undefined : { name, data: JSON.parse(text) }
}

/** The answer's stream, strictly read. */
export async function strictStream(response: Response): Promise<StrictStream> {
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${await response.text()}`)
  return strictly(await response.text())
}

/** The contents of all chat deltas of one choice. */
export function contentOf(stream: StrictStream, index = 0): string {
  return stream.events
    .flatMap(({ data }) => data.choices ?? [])
    .filter((choice: any) => choice.index === index)
    .map((choice: any) => choice.delta.content ?? '')
    .join('')
}

/** Resolves when no deadline is watched any more; only for tests that run alone in their process. */
export async function untilIdle(): Promise<void> {
  await until(() => watched() === 0)
}

/** Resolves when `condition` holds; a test that waits in vain runs into its own timeout. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5)
}

/** The envelope of an error answer. */
export async function failure(
  response: Response,
): Promise<{ status: number; error: any; body: any; headers: Headers }> {
  const body: any = await response.json()
  return { status: response.status, error: body.error, body, headers: response.headers }
}
