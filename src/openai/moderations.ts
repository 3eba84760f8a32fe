import { type Static, Type } from '@sinclair/typebox'

import { Fallbacks, maybeOneOf, open, OptionalModelName, text, typed } from './open.ts'

// POST /moderations.

export const ModerationRequest = open(
  {
    model: OptionalModelName,
    input: Type.Union(
      [
        Type.String(),
        Type.Array(Type.String()),
        Type.Array(
          typed({
            text: text('The text of a `text` part.'),
            image_url: maybeOneOf(
              [Type.String(), open({ url: Type.String() })],
              'An image, as a URL or a data URL.',
            ),
          }),
        ),
      ],
      { description: 'What to classify: a text, several texts, or text and image parts.' },
    ),
    fallbacks: Fallbacks,
  },
  'Texts and images to classify.',
)
export type ModerationRequest = Static<typeof ModerationRequest>
