import { type Static, Type } from '@sinclair/typebox'

import { type FormField, needs, takes, TAKES_FALLBACKS, TAKES_MODEL, TAKES_USER } from './form.ts'
import {
  decimal,
  ExtraParams,
  Fallbacks,
  integer,
  list,
  maybeOneOf,
  open,
  OptionalModelName,
  Stream,
  text,
  User,
} from './open.ts'

// POST /images/generations (JSON), /images/edits (form or JSON), /images/variations (form).

/** An image by reference: a URL, a data URL or an uploaded file. */
export const ImageReference = open({
  image_url: maybeOneOf([Type.String(), open({})], 'An image, as a URL or a data URL.'),
  file_id: text('An uploaded image.'),
})
export type ImageReference = Static<typeof ImageReference>

const output = {
  n: integer('How many images to make.'),
  size: text('Width and height, such as `1024x1024`, or `auto`.'),
  quality: text('How much effort to spend on the image.'),
  background: text('`transparent`, `opaque` or `auto`.'),
  response_format: text('`url` or `b64_json`.'),
  output_format: text('`png`, `jpeg` or `webp`.'),
  output_compression: integer('Compression of JPEG and WebP, 0 to 100.'),
  partial_images: integer('How many unfinished images to stream.'),
  moderation: text('How strictly to filter.'),
  seed: integer('Asks for repeatable results.'),
  negative_prompt: text('What should not be in the image.'),
  num_inference_steps: integer('How many refinement steps to run.'),
}

export const ImageGenerationRequest = open(
  {
    model: OptionalModelName,
    prompt: Type.String({ description: 'What the image should show.' }),
    ...output,
    style: text('`vivid` or `natural`, for models that know it.'),
    aspect_ratio: text('Shape of the image, such as `16:9`.'),
    guidance_scale: decimal('How closely to follow the prompt.'),
    stream: Stream,
    user: User,
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'An image to make.',
)
export type ImageGenerationRequest = Static<typeof ImageGenerationRequest>

export const ImageEditRequest = open(
  {
    model: OptionalModelName,
    prompt: Type.String({ description: 'What to change.' }),
    images: list(ImageReference, 'The images to start from.'),
    image: maybeOneOf(
      [Type.String(), ImageReference, Type.Array(Type.String()), Type.Array(ImageReference)],
      'The same, in the spelling of forms.',
    ),
    mask: maybeOneOf([Type.String(), ImageReference], 'Where to change it.'),
    ...output,
    input_fidelity: text('How closely to keep to the given images.'),
    stream: Stream,
    user: User,
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'Images to change.',
)
export type ImageEditRequest = Static<typeof ImageEditRequest>

/** The schema's fields that a form can carry, under the same names. */
const outputForm: readonly FormField[] = [
  takes('n', 'integer', 'How many images to make.'),
  takes('size', 'string', 'Width and height, such as `1024x1024`, or `auto`.'),
  takes('response_format', 'string', '`url` or `b64_json`.'),
]

export const IMAGE_EDIT_FORM: readonly FormField[] = [
  needs('image', 'file[]', 'The images to start from.'),
  needs('prompt', 'string', 'What to change.'),
  TAKES_MODEL,
  takes('mask', 'file', 'A PNG whose transparent parts say where to change it.'),
  ...outputForm,
  takes('quality', 'string', 'How much effort to spend on the image.'),
  takes('background', 'string', '`transparent`, `opaque` or `auto`.'),
  takes('input_fidelity', 'string', 'How closely to keep to the given images.'),
  takes('output_format', 'string', '`png`, `jpeg` or `webp`.'),
  takes('output_compression', 'integer', 'Compression of JPEG and WebP, 0 to 100.'),
  takes('partial_images', 'integer', 'How many unfinished images to stream.'),
  takes('num_inference_steps', 'integer', 'How many refinement steps to run.'),
  takes('seed', 'integer', 'Asks for repeatable results.'),
  takes('negative_prompt', 'string', 'What should not be in the image.'),
  takes('stream', 'boolean', 'Send the image as server-sent events.'),
  TAKES_USER,
  TAKES_FALLBACKS,
]

export const IMAGE_VARIATION_FORM: readonly FormField[] = [
  needs('image', 'file', 'The image to vary.'),
  TAKES_MODEL,
  ...outputForm,
  TAKES_USER,
  TAKES_FALLBACKS,
]
