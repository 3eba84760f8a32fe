import { chatChunk, sse, usageChunk } from './rig.ts'

// Event streams as providers send them, good and odd. Each ends properly; tests cut them.

export interface Fixture {
  readonly name: string
  readonly path: string
  readonly request: Readonly<Record<string, unknown>>
  readonly stream: string
  readonly end: 'done' | 'error' | 'terminal'
  /** Events with data that the caller gets, the end marker not counted. */
  readonly events: number
  /** From here on the stream counts as complete though it may lack its formal end. */
  readonly complete: string
}

const chat = '/chat/completions'
const chatRequest = { model: 'gpt-x', messages: [{ role: 'user', content: 'hi' }], stream: true }
const plain = sse(
  chatChunk('Grüße, '),
  chatChunk('\ud83c\udf08'),
  chatChunk('', { finish: 'stop' }),
  usageChunk,
  '[DONE]',
)

function response(type: string, sequence: number, more: object = {}): string {
  const status = type.slice('response.'.length)
  const data = {
    type,
    sequence_number: sequence,
    response: { id: 'r', object: 'response', status, output: [], ...more },
  }
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`
}

function delta(sequence: number): string {
  const data = {
    type: 'response.output_text.delta',
    sequence_number: sequence,
    item_id: 'i',
    output_index: 0,
    content_index: 0,
    delta: 'Hä',
  }
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
}

const usage = { input_tokens: 7, output_tokens: 3, total_tokens: 10 }
const responsesRequest = { model: 'gpt-x', input: 'hi', stream: true }

export const FIXTURES: readonly Fixture[] = [
  {
    name: 'chat',
    path: chat,
    request: chatRequest,
    stream: plain,
    end: 'done',
    events: 3,
    complete: '"finish_reason":"stop"}]}',
  },
  {
    name: 'chat with CRLF',
    path: chat,
    request: chatRequest,
    stream: plain.replaceAll('\n', '\r\n'),
    end: 'done',
    events: 3,
    complete: '"finish_reason":"stop"}]}',
  },
  {
    name: 'chat with CR',
    path: chat,
    request: chatRequest,
    stream: plain.replaceAll('\n', '\r'),
    end: 'done',
    events: 3,
    complete: '"finish_reason":"stop"}]}',
  },
  {
    name: 'chat with every kind of line end',
    path: chat,
    request: chatRequest,
    stream: `data: ${chatChunk('a')}\r\n\ndata: ${chatChunk('b')}\n\r\ndata:${chatChunk('', { finish: 'stop' })}\r\rdata: [DONE]\n\n`,
    end: 'done',
    events: 3,
    complete: '"finish_reason":"stop"}]}',
  },
  {
    name: 'chat with a byte order mark, comments, pings and retries',
    path: chat,
    request: chatRequest,
    stream: `\ufeff: PROCESSING\n\nretry: 3000\n\ndata: ${chatChunk('a')}\n\n: still here\n\nevent: ping\n\nid: 7\n\ndata:\n\ndata: ${chatChunk('b')}\n: tail }\n\ndata: ${chatChunk('', { finish: 'stop' })}\n\ndata: [DONE]\n\n`,
    end: 'done',
    events: 3,
    complete: '"finish_reason":"stop"}]}',
  },
  {
    name: 'chat with data over several lines',
    path: chat,
    request: chatRequest,
    stream: sse(chatChunk('a'), chatChunk('', { finish: 'stop' }))
      .replaceAll('"choices"', '\ndata: "choices"')
      .concat('data: [DONE]\n\n'),
    end: 'done',
    events: 2,
    complete: '"finish_reason":"stop"}]}',
  },
  {
    name: 'chat with two interleaved choices',
    path: chat,
    request: { ...chatRequest, n: 2 },
    stream: sse(
      chatChunk('a'),
      chatChunk('b', { index: 1 }),
      chatChunk('', { finish: 'stop' }),
      chatChunk('c', { index: 1 }),
      chatChunk('', { finish: 'length', index: 1 }),
      '[DONE]',
    ),
    end: 'done',
    events: 5,
    complete: '"finish_reason":"length"}]}',
  },
  {
    name: 'chat that fails',
    path: chat,
    request: chatRequest,
    stream: sse(
      chatChunk('a'),
      '{"error":{"message":"overloaded","type":"server_error","code":"busy"}}',
    ),
    end: 'error',
    events: 2,
    complete: 'never',
  },
  {
    name: 'text completion',
    path: '/completions',
    request: { model: 'gpt-x', prompt: 'hi', stream: true },
    stream: sse(
      '{"id":"t","object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":null}]}',
      '{"id":"t","object":"text_completion","choices":[{"index":0,"text":"","finish_reason":"length"}]}',
      '[DONE]',
    ),
    end: 'done',
    events: 2,
    complete: '"finish_reason":"length"}]}',
  },
  ...(['completed', 'incomplete', 'failed'] as const).map((status) => {
    const stream =
      response('response.created', 0) +
      delta(1) +
      response(`response.${status}`, 2, {
        usage,
        ...(status === 'failed' && { error: { code: 'server_error', message: 'no' } }),
      })
    return {
      name: `a response that is ${status}`,
      path: '/responses',
      request: responsesRequest,
      stream,
      end: 'terminal' as const,
      events: 3,
      complete: stream.trimEnd(),
    }
  }),
  {
    name: 'a response that breaks off with an error event',
    path: '/responses',
    request: responsesRequest,
    stream: `${response('response.created', 0)}event: error\ndata: {"type":"error","sequence_number":1,"code":"busy","message":"overloaded","param":null}\n\n`,
    end: 'error',
    events: 2,
    complete: 'never',
  },
  {
    name: 'speech',
    path: '/audio/speech',
    request: { model: 'tts', input: 'hi', voice: 'alloy', stream_format: 'sse' },
    stream: sse(
      '{"type":"speech.audio.delta","audio":"AAAA"}',
      '{"type":"speech.audio.done","usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}',
    ),
    end: 'terminal',
    events: 2,
    complete: '"total_tokens":3}}',
  },
  {
    name: 'images',
    path: '/images/generations',
    request: { model: 'gpt-image', prompt: 'a cat', stream: true },
    stream:
      'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"AA","partial_image_index":0}\n\n' +
      'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"AAAA","usage":{"total_tokens":3}}\n\n',
    end: 'terminal',
    events: 2,
    complete: '"total_tokens":3}}',
  },
]
