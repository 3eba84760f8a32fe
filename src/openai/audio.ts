import { type Static, Type } from '@sinclair/typebox'

import { type FormField, needs, NEEDS_MODEL, takes, TAKES_FALLBACKS } from './form.ts'
import { decimal, ExtraParams, Fallbacks, maybeOneOf, ModelName, open, text } from './open.ts'

// POST /audio/speech takes JSON; transcriptions and translations take forms.

export const SpeechRequest = open(
  {
    model: ModelName,
    input: Type.String({ description: 'What to say.' }),
    voice: maybeOneOf(
      [Type.String(), open({}), Type.Array(open({}))],
      'Who says it: the name of a voice, an object with its `id`, or a list for several speakers.',
    ),
    instructions: text('How to say it.'),
    response_format: text('Audio format of the answer, such as `mp3` or `wav`.'),
    speed: decimal('How fast to say it; 1 is normal.'),
    stream_format: text('`audio` for bytes, `sse` for server-sent events.'),
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'Text to speak.',
)
export type SpeechRequest = Static<typeof SpeechRequest>

export const TRANSCRIPTION_FORM: readonly FormField[] = [
  needs('file', 'file', 'The recording.'),
  NEEDS_MODEL,
  takes('language', 'string', 'Spoken language as a two-letter code.'),
  takes('prompt', 'string', 'Text that sets the style or the spelling of names.'),
  takes(
    'response_format',
    'string',
    '`json`, `text`, `srt`, `vtt`, `verbose_json` or `diarized_json`.',
  ),
  takes('temperature', 'number', 'How freely the model picks its words.'),
  takes('timestamp_granularities', 'string[]', 'Times for each `word`, each `segment`, or both.'),
  takes('include', 'string[]', 'Extra parts of the answer to return.'),
  takes('chunking_strategy', 'object', 'How to cut the recording: `auto` or settings.'),
  takes('known_speaker_names', 'string[]', 'Names of the speakers whose voices are given.'),
  takes('known_speaker_references', 'string[]', 'A voice sample for each name, as a data URL.'),
  takes('stream', 'boolean', 'Send the transcript piece by piece as server-sent events.'),
  TAKES_FALLBACKS,
]

export const TRANSLATION_FORM: readonly FormField[] = [
  needs('file', 'file', 'The recording, in any language.'),
  NEEDS_MODEL,
  takes('prompt', 'string', 'English text that sets the style.'),
  takes('response_format', 'string', '`json`, `text`, `srt`, `vtt` or `verbose_json`.'),
  takes('temperature', 'number', 'How freely the model picks its words.'),
  TAKES_FALLBACKS,
]
