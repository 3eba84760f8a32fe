import { type Static, Type } from '@sinclair/typebox'

import { ExtraParams, Fallbacks, integer, ModelName, open, text, User } from './open.ts'

// POST /embeddings.

export const EmbeddingRequest = open(
  {
    model: ModelName,
    input: Type.Union(
      [
        Type.String(),
        Type.Array(Type.String()),
        Type.Array(Type.Integer()),
        Type.Array(Type.Array(Type.Integer())),
      ],
      { description: 'What to embed: a text, several texts, or the same as token ids.' },
    ),
    encoding_format: text('`float` for numbers, `base64` for packed little-endian floats.'),
    dimensions: integer('How long each vector should be.'),
    user: User,
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'Texts to turn into vectors.',
)
export type EmbeddingRequest = Static<typeof EmbeddingRequest>
