import { GatewayError } from '#core/errors.ts'
import { newId } from '#lib/id.ts'
import { parseExact } from '#lib/json.ts'
import type { AnswerWriter } from '#openai/answer/writer.ts'
import { integer, isRecord, record, text } from '#openai/conversation/fields.ts'
import type { Fields } from '#openai/conversation/fields.ts'

import type { StreamReader } from '../provider.ts'
import { eventObject, lineReader } from '../stream-reader.ts'
import { reportedFailure } from './errors.ts'

/** Says a whole answer of `/api/chat`. Throws `GatewayError` when it is none, or says that it failed. */
export function readWhole(answer: unknown, writer: AnswerWriter): void {
  if (!isRecord(answer)) throw noAnswer()
  const failure = reportedFailure(answer)
  if (failure) throw failure
  if (!isRecord(answer['message'])) throw noAnswer()
  writer.start({ model: text(answer['model']) })
  say(answer, writer)
}

function noAnswer(): GatewayError {
  return new GatewayError('upstream_malformed', 'The provider sent an answer without a message.')
}

/** Says a stream of `/api/chat`: an answer's form on every line, each with the next piece of it. */
export function streamReader(writer: AnswerWriter): StreamReader {
  let began = false
  return lineReader((line) => {
    const piece = pieceOf(line)
    const failure = 'error' in piece ? reportedFailure(piece) : undefined
    if (failure) throw failure
    if (!began) {
      began = true
      writer.start({ model: text(piece['model']) })
    }
    say(piece, writer)
  })
}

/** One line. Arguments of tools may hold integers that only exact reading keeps. */
function pieceOf(line: string): Fields {
  const piece = eventObject(line)
  return line.includes('"tool_calls"') ? record(parseExact(line)) : piece
}

function say(piece: Fields, writer: AnswerWriter): void {
  const message = record(piece['message'])
  const { thinking, content, tool_calls } = message
  if (typeof thinking === 'string' && thinking !== '') {
    writer.reasoning({ type: 'reasoning.text', index: 0, text: thinking })
  }
  if (typeof content === 'string') writer.text(content)
  if (Array.isArray(tool_calls)) {
    for (const call of tool_calls as unknown[]) sayCall(record(call), writer)
  }
  const { logprobs } = piece
  if (Array.isArray(logprobs) && logprobs.length > 0) writer.logprobs(logprobs.map(tokenOf))
  if (piece['done'] === true) finish(piece, writer)
}

function sayCall(call: Fields, writer: AnswerWriter): void {
  const fn = record(call['function'])
  const name = text(fn['name'])
  if (name === undefined) {
    throw new GatewayError('upstream_malformed', 'The provider sent a tool call without a name.')
  }
  // Older servers give no ids, and results have to name one.
  const id = text(call['id']) || `call_${newId()}`
  const at = writer.openCall({ id, name })
  const given = fn['arguments']
  writer.callArguments(at, isRecord(given) ? JSON.stringify(given) : (text(given) ?? ''))
}

/** The vendor's token objects are OpenAI's, with what is empty left out. */
function tokenOf(given: unknown): Record<string, unknown> {
  const { token, logprob, bytes, top_logprobs } = record(given)
  return {
    token: text(token) ?? '',
    logprob: typeof logprob === 'number' ? logprob : 0,
    bytes: Array.isArray(bytes) ? (bytes as unknown[]) : null,
    top_logprobs: Array.isArray(top_logprobs) ? (top_logprobs as unknown[]) : [],
  }
}

const durations = ['total_duration', 'load_duration', 'prompt_eval_duration', 'eval_duration']

function finish(last: Fields, writer: AnswerWriter): void {
  // Besides these it names what happened to the model, such as `load` and `unload`.
  writer.finish(last['done_reason'] === 'length' ? 'length' : 'stop')
  const extra = Object.fromEntries(
    durations.flatMap((name) => (typeof last[name] === 'number' ? [[name, last[name]]] : [])),
  )
  writer.usage({
    // Left out where it is 0.
    input: integer(last['prompt_eval_count']) ?? 0,
    output: integer(last['eval_count']) ?? 0,
    ...(Object.keys(extra).length > 0 && { extra }),
  })
  writer.end()
}
