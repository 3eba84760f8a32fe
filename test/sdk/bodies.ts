// What each method is called with: good bodies for the endpoints that the gateway validates, something
// lively for all others.

/** Every byte value once: what text handling would damage. */
export const BYTES = Uint8Array.from({ length: 256 }, (_, index) => index)

/** A body for routes the gateway knows nothing about; each value is there to catch a re-serialisation. */
const ANYTHING = {
  name: 'sample ü 😀',
  model: 'gpt-6-luna',
  description: null,
  metadata: { team: 'a', 'key with space': '"quoted"' },
  nested: [{ deep: [1, 2.5, -0.001, 1e21, true, null, { z: 1, a: 2 }] }],
}

const image = () => new File([BYTES], 'picture ü.png', { type: 'image/png' })
const audio = () => new File([BYTES], 'sound.mp3', { type: 'audio/mpeg' })
const lines = () => new File(['{"a":1}\n{"a":2}\n'], 'lines.jsonl', { type: 'application/jsonl' })
const video = () => new File([BYTES], 'clip.mp4', { type: 'video/mp4' })

const chat = {
  model: 'openai/gpt-6-luna',
  messages: [
    { role: 'developer', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Hi ü 😀', new_part_field: { deep: [1] } }] },
  ],
  temperature: 0.25,
  metadata: { team: 'a' },
  new_request_field: { deep: [1, 2.5] },
}

const response = {
  model: 'openai/gpt-6-luna',
  input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hi ü' }] }],
  instructions: 'Be brief.',
  tools: [{ type: 'web_search', new_tool_field: 1 }],
  new_request_field: { deep: [1] },
}

const BODIES: Record<string, () => object> = {
  'chat.completions.create': () => chat,
  'chat.completions.update': () => ({ metadata: { team: 'b' } }),
  'completions.create': () => ({
    model: 'openai/gpt-3.5-turbo-instruct',
    prompt: 'Once',
    max_tokens: 5,
  }),
  'responses.create': () => response,
  'responses.compact': () => response,
  'responses.inputTokens.count': () => response,
  'beta.responses.create': () => response,
  'beta.responses.compact': () => response,
  'beta.responses.inputTokens.count': () => response,
  'embeddings.create': () => ({
    model: 'openai/text-embedding-3-small',
    input: ['a', 'ü'],
    dimensions: 2,
  }),
  'moderations.create': () => ({ model: 'openai/omni-moderation-latest', input: 'text' }),
  'audio.speech.create': () => ({ model: 'openai/gpt-4o-mini-tts', input: 'Hi', voice: 'alloy' }),
  'audio.transcriptions.create': () => ({
    file: audio(),
    model: 'openai/gpt-4o-transcribe',
    language: 'en',
    temperature: 0.5,
    timestamp_granularities: ['word', 'segment'],
  }),
  'audio.translations.create': () => ({ file: audio(), model: 'openai/whisper-1', prompt: 'ü' }),
  'audio.voices.create': () => ({ name: 'me', consent: 'cons_1', audio_sample: audio() }),
  'audio.voiceConsents.create': () => ({ name: 'me', language: 'en-US', recording: audio() }),
  'images.generate': () => ({
    model: 'openai/gpt-image-1',
    prompt: 'A cat ü',
    n: 1,
    size: '1024x1024',
  }),
  'images.edit': () => ({
    model: 'openai/gpt-image-1',
    prompt: 'Hat',
    image: [image(), image()],
    mask: image(),
  }),
  'images.createVariation': () => ({ model: 'openai/dall-e-2', image: image(), n: 2 }),
  'contentProvenanceChecks.create': () => ({ file: image() }),
  'files.create': () => ({
    file: lines(),
    purpose: 'batch',
    expires_after: { anchor: 'created_at', seconds: 3600 },
  }),
  'uploads.create': () => ({
    bytes: 256,
    filename: 'a.bin',
    mime_type: 'text/plain',
    purpose: 'assistants',
  }),
  'uploads.complete': () => ({ part_ids: ['part_1', 'part_2'] }),
  'uploads.parts.create': () => ({ data: lines() }),
  'batches.create': () => ({
    input_file_id: 'file_1',
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { team: 'a' },
  }),
  'videos.create': () => ({
    model: 'openai/sora-2',
    prompt: 'A cat',
    seconds: '4',
    input_reference: image(),
  }),
  'videos.createCharacter': () => ({ name: 'Mia', video: video() }),
  'videos.edit': () => ({ prompt: 'Hat', video: video() }),
  'videos.extend': () => ({ prompt: 'More', seconds: '4', video: video() }),
  'videos.remix': () => ({ prompt: 'Night' }),
  'containers.create': () => ({
    name: 'box',
    expires_after: { anchor: 'last_active_at', minutes: 20 },
  }),
  'containers.files.create': () => ({ file: lines() }),
  'skills.create': () => ({ files: [lines(), lines()] }),
  'skills.versions.create': () => ({ files: [lines()], default: true }),
  'realtime.calls.create': () => ({
    sdp: 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n',
    session: { type: 'realtime', model: 'gpt-realtime' },
  }),
}

/** The body for a method, or one that any route would take unchanged. */
export function bodyOf(name: string): object {
  return (BODIES[name] ?? (() => ANYTHING))()
}

/** Methods whose body names a model with the gateway's provider prefix. */
export const PREFIXED = new Set(
  Object.entries(BODIES)
    .filter(([, body]) => /"model":"openai\//.test(JSON.stringify(body())))
    .map(([name]) => name),
)
