import { type Static, Type } from '@sinclair/typebox'

import { type FormField, needs, takes, TAKES_FALLBACKS, TAKES_MODEL } from './form.ts'
import {
  ExtraParams,
  Fallbacks,
  integer,
  maybeOneOf,
  open,
  OptionalModelName,
  text,
} from './open.ts'

// POST /videos (form or JSON) and /videos/{video_id}/remix.

export const VideoGenerationRequest = open(
  {
    model: OptionalModelName,
    prompt: Type.String({ description: 'What the video should show.' }),
    input_reference: maybeOneOf([Type.String(), open({})], 'An image to start from.'),
    seconds: maybeOneOf([Type.String(), Type.Number()], 'How long the video should be.'),
    size: text('Width and height, such as `1280x720`.'),
    seed: integer('Asks for repeatable results.'),
    negative_prompt: text('What should not be in the video.'),
    video_uri: text('A video to start from.'),
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'A video to make.',
)
export type VideoGenerationRequest = Static<typeof VideoGenerationRequest>

export const VIDEO_FORM: readonly FormField[] = [
  needs('prompt', 'string', 'What the video should show.'),
  TAKES_MODEL,
  takes('input_reference', 'file', 'An image to start from.'),
  takes('seconds', 'string', 'How long the video should be.'),
  takes('size', 'string', 'Width and height, such as `1280x720`.'),
  takes('seed', 'integer', 'Asks for repeatable results.'),
  takes('negative_prompt', 'string', 'What should not be in the video.'),
  takes('video_uri', 'string', 'A video to start from.'),
  TAKES_FALLBACKS,
]

export const VideoRemixRequest = open(
  {
    prompt: Type.String({ description: 'What to change.' }),
    provider: text('The provider that made the video. Read by the gateway.'),
  },
  'A change to a finished video.',
)
export type VideoRemixRequest = Static<typeof VideoRemixRequest>
