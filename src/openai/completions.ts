import { type Static, Type } from '@sinclair/typebox'

import { StreamOptions } from './chat.ts'
import {
  decimal,
  ExtraParams,
  Fallbacks,
  flag,
  integer,
  maybeOneOf,
  ModelName,
  object,
  open,
  Stream,
  text,
  textOrList,
  User,
} from './open.ts'

// POST /completions, the text completion that came before chat.

export const CompletionRequest = open(
  {
    model: ModelName,
    prompt: maybeOneOf(
      [
        Type.String(),
        Type.Array(Type.String()),
        Type.Array(Type.Integer()),
        Type.Array(Type.Array(Type.Integer())),
      ],
      'The beginning to continue: a text, several texts, or the same as token ids.',
    ),
    suffix: text('What comes after the gap to fill.'),
    max_tokens: integer('Most tokens to produce.'),
    temperature: decimal('How freely the model picks its words; 0 is the most predictable.'),
    top_p: decimal('Consider only the likeliest tokens that together have this probability.'),
    n: integer('How many continuations to produce.'),
    best_of: integer('Produce this many and return the best.'),
    echo: flag('Repeat the prompt in the answer.'),
    logprobs: maybeOneOf(
      [Type.Integer(), Type.Boolean()],
      'How many alternatives to return for each token.',
    ),
    stop: textOrList('Where to stop: one text or several.'),
    seed: integer('Asks for repeatable sampling.'),
    frequency_penalty: decimal('Above zero discourages tokens the more often they appeared.'),
    presence_penalty: decimal('Above zero discourages tokens that appeared at all.'),
    logit_bias: object('Token id to bias.'),
    stream: Stream,
    stream_options: StreamOptions,
    user: User,
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'A text to continue.',
)
export type CompletionRequest = Static<typeof CompletionRequest>
