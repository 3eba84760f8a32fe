import type { Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { readUsage } from '#openai/usage.ts'
import type { Reading, Translated } from '#providers/provider.ts'

import { pricedAnswer } from './costs.ts'
import type { Upstream } from './dispatch.ts'
import { unreadable } from './event-source.ts'
import { extraFields, rawWanted, sentText, wantsExtraFields, withExtraFields } from './extra.ts'
import { plainHeaders } from './forward.ts'
import { nameModels } from './models.ts'
import type { Outcome } from './outcome.ts'
import type { Settle } from './record.ts'
import { redact } from './redact.ts'
import { relayEvents } from './relay-events.ts'
import { answers, readText, wrongForm } from './whole.ts'

/**
 * Turns a successful answer in a vendor's dialect into what the caller gets. Throws `GatewayError` when the provider
 * said 200 and meant something else.
 */
export async function readTranslated(
  call: Call,
  upstream: Upstream,
  reading: Reading,
  base: Omit<Outcome, 'kind'> & Pick<Outcome, 'target' | 'status' | 'headers'>,
  snapshot: Snapshot,
  settle: Settle,
): Promise<Outcome> {
  const { response, connection, target } = upstream
  const provider = target.settings.name
  const type = response.headers.get('content-type') ?? ''
  const isStream = reading.streamType !== '' && type.toLowerCase().startsWith(reading.streamType)
  if (isStream && call.stream && reading.stream) {
    return await relayEvents(call, upstream, base, snapshot, settle)
  }
  const { timers } = target.settings.network
  let original: string | undefined
  let translated: Translated
  if (isStream && reading.collect) {
    translated = await collect(upstream, reading, timers.idleMs)
  } else {
    connection.enter('total_timeout', call.stream ? timers.totalMs : 0)
    const received = plainHeaders(response.headers)
    original = await readText(response, received, provider)
    settle.books.received(performance.now())
    await answers.join()
    if (isStream || call.stream) throw unexpected(original, upstream, isStream)
    translated = read(() => reading.whole({ text: original!, headers: received }))
  }
  connection.close()
  settle.books.received(performance.now())
  const usage =
    translated.usage === undefined ? undefined : readUsage(translated.usage, translated.serviceTier)
  let { text } = translated
  if (wantsExtraFields(call, snapshot)) {
    const wanted = rawWanted(call, target.settings, snapshot)
    const raw = {
      request: wanted.request ? sentText(upstream.outbound) : undefined,
      response: wanted.response ? original : undefined,
    }
    const json = extraFields(call, target, performance.now() - upstream.sentAt, 0, raw)
    text = withExtraFields(text, text.length - 1, text.length > 2, json)
  }
  text = pricedAnswer(call, target, snapshot, nameModels(call, target, snapshot, text), usage)
  settle.books.answered(text)
  settle.success(usage)
  return { ...base, kind: 'json', text }
}

function read<T>(reading: () => T): T {
  try {
    return reading()
  } catch (thrown) {
    throw unreadable(thrown)
  }
}

/** Reads a stream for a caller who wants the answer whole. */
async function collect(
  { response, connection, target }: Upstream,
  reading: Reading,
  idleMs: number,
): Promise<Translated> {
  const collecting = reading.collect!()
  const reader = response.body?.getReader()
  connection.onAbort = () => {
    reader?.cancel().catch(() => undefined)
  }
  for (;;) {
    connection.enter('idle_timeout', idleMs)
    const { value, done = true } = (await reader?.read()) ?? {}
    if (value) read(() => collecting.push(value))
    if (done) break
  }
  connection.onAbort = undefined
  if (connection.reason) throw connection.reason
  read(() => collecting.end())
  const result = collecting.result()
  if (result) return result
  throw new GatewayError(
    'upstream_truncated',
    `Provider '${target.settings.name}' ended its stream without finishing it.`,
  )
}

/** A document where a stream was expected, or the other way round; the document may say why. */
function unexpected(text: string, upstream: Upstream, isStream: boolean): GatewayError {
  const { target, credential } = upstream
  const { name } = target.settings
  if (isStream) return wrongForm(name, 'a stream, which was not asked for')
  if (!/"error"/i.test(text.slice(0, 1000)))
    return wrongForm(name, 'no stream, where one was asked for')
  const failure = target.provider.parseError(502, redact(text, credential), {})
  return new GatewayError('upstream_error', failure.message, { upstream: failure })
}
