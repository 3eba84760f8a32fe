import { type Answer, content, events, invalid, json, missing, typedFrame } from './answer.ts'
import type { MockRequest } from './request.ts'
import { countTokens, words } from './text.ts'

const sampleRate = 8000

// prettier-ignore
const SPEECH_TYPES: ReadonlyMap<string, string> = new Map([
  ['mp3', 'audio/mpeg'], ['opus', 'audio/ogg'], ['aac', 'audio/aac'],
  ['flac', 'audio/flac'], ['wav', 'audio/wav'], ['pcm', 'audio/pcm'],
])

/** `POST /audio/speech`: 10 ms of a tone for every character, always the same bytes for the same text. */
export function speak(request: MockRequest): Answer {
  const { body } = request
  if (typeof body.input !== 'string') throw missing('input')
  if (body.voice === undefined) throw missing('voice')
  const format = typeof body.response_format === 'string' ? body.response_format : 'mp3'
  const type = SPEECH_TYPES.get(format)
  if (!type) throw invalid('response_format', [...SPEECH_TYPES.keys()].join(', '))
  const audio = soundOf(format, body.input)
  if (body.stream_format !== 'sse') return content(audio, type)
  const half = audio.length >> 1
  const input = countTokens(body.input)
  const usage = { input_tokens: input, output_tokens: 1, total_tokens: input + 1 }
  return events([
    typedFrame(delta(audio.subarray(0, half))),
    typedFrame(delta(audio.subarray(half))),
    typedFrame({ type: 'speech.audio.done', usage }),
  ])
}

function delta(audio: Uint8Array) {
  return { type: 'speech.audio.delta', audio: Buffer.from(audio).toString('base64') }
}

/** WAV and PCM are real; the other formats are their magic bytes and silence, which no test decodes. */
function soundOf(format: string, text: string): Uint8Array<ArrayBuffer> {
  const samples = tone(Math.min(text.length, 4096) * (sampleRate / 100))
  if (format === 'pcm') return samples
  if (format === 'wav') return wav(samples)
  // prettier-ignore
  const magic: Readonly<Record<string, string>> = { mp3: 'ID3\u0004\u0000', opus: 'OggS', aac: '\u00ff\u00f1', flac: 'fLaC' }
  return Uint8Array.from(Buffer.concat([Buffer.from(magic[format]!, 'latin1'), Buffer.alloc(256)]))
}

function tone(samples: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(samples * 2)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < samples; at++) {
    view.setInt16(at * 2, Math.round(8000 * Math.sin((2 * Math.PI * 440 * at) / sampleRate)), true)
  }
  return bytes
}

function wav(samples: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(36 + samples.length, 4)
  head.write('WAVEfmt ', 8, 'latin1')
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(sampleRate, 24)
  head.writeUInt32LE(sampleRate * 2, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36, 'latin1')
  head.writeUInt32LE(samples.length, 40)
  return Uint8Array.from(Buffer.concat([head, samples]))
}

/** `POST /audio/transcriptions`: says which file it heard. */
export function transcribe(request: MockRequest): Answer {
  return hear(request, 'transcribe')
}

/** `POST /audio/translations` */
export function translate(request: MockRequest): Answer {
  return hear(request, 'translate')
}

function hear({ body, files, stream }: MockRequest, task: string): Answer {
  const file = files.get('file')
  if (!file) throw missing('file')
  const text = `I heard ${file.size} bytes of ${file.name}.`
  const duration = 2.5
  const tokens = countTokens(text)
  const usage = {
    type: 'tokens',
    input_tokens: 25,
    input_token_details: { text_tokens: 0, audio_tokens: 25 },
    output_tokens: tokens,
    total_tokens: 25 + tokens,
  }
  if (stream && task === 'transcribe') {
    return events([
      ...words(text).map((piece) => typedFrame({ type: 'transcript.text.delta', delta: piece })),
      typedFrame({ type: 'transcript.text.done', text, usage }),
    ])
  }
  switch (body.response_format ?? 'json') {
    case 'json':
      return json({ text, usage })
    case 'text':
      return content(`${text}\n`, 'text/plain; charset=utf-8')
    case 'srt':
      return content(`1\n00:00:00,000 --> 00:00:02,500\n${text}\n\n`, 'text/plain; charset=utf-8')
    case 'vtt':
      return content(`WEBVTT\n\n00:00.000 --> 00:02.500\n${text}\n\n`, 'text/plain; charset=utf-8')
    case 'verbose_json':
      return json({
        task,
        language: typeof body.language === 'string' ? body.language : 'english',
        duration,
        text,
        segments: [segment(text, duration)],
        words: words(text).map((word, at, all) => ({
          word: word.trim(),
          start: (duration * at) / all.length,
          end: (duration * (at + 1)) / all.length,
        })),
        usage: { type: 'duration', seconds: 3 },
      })
    case 'diarized_json': {
      const spoken = { id: 'seg_0', start: 0, end: duration, speaker: 'A', text }
      const segments = [{ ...spoken, type: 'transcript.text.segment' }]
      return json({ task, duration, text, segments, usage })
    }
    default:
      throw invalid('response_format', 'json, text, srt, vtt, verbose_json or diarized_json')
  }
}

function segment(text: string, duration: number) {
  return {
    id: 0,
    seek: 0,
    start: 0,
    end: duration,
    text,
    tokens: [1, 2, 3],
    temperature: 0,
    avg_logprob: -0.1,
    compression_ratio: 1,
    no_speech_prob: 0,
  }
}
