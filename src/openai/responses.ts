import { type Static, Type } from '@sinclair/typebox'

import {
  decimal,
  ExtraParams,
  Fallbacks,
  flag,
  integer,
  list,
  maybe,
  maybeOneOf,
  Metadata,
  ModelName,
  object,
  open,
  OptionalModelName,
  Stream,
  text,
  typed,
  User,
} from './open.ts'

// POST /responses and its two relatives. The model may be absent where a stored prompt names it.

/** One piece of an input item's content. */
export const InputPart = typed(
  {
    text: text('The text of a text part.'),
    file_id: text('An uploaded file or image.'),
    detail: text('How closely to look at an image.'),
  },
  'A part of the content; `type` says which of the other fields counts.',
)
export type InputPart = Static<typeof InputPart>

/** A message, a tool call, a tool's output, a reasoning item, a reference … */
export const InputItem = open(
  {
    type: text('What the item is; without it, a message.'),
    id: text('Id the item had in an earlier answer.'),
    role: text('Who speaks, for messages.'),
    status: text('How far the item had got.'),
    content: maybeOneOf(
      [Type.String(), Type.Array(InputPart)],
      'What is said: plain text or a list of parts.',
    ),
    call_id: text('Ties a call and its output together.'),
    name: text('Name of the called function.'),
    arguments: maybeOneOf([Type.String(), open({})], 'Arguments of a call, JSON text.'),
  },
  'An item of the conversation.',
)
export type InputItem = Static<typeof InputItem>

/** Something the model may call, or a built-in of the provider. */
export const ResponseTool = typed(
  {
    name: text('Name the model calls it by, for functions.'),
    description: text('When and how the model should use it.'),
    parameters: Type.Optional(
      Type.Unknown({ description: 'JSON Schema of the arguments, forwarded as it is.' }),
    ),
    strict: flag('Hold the model to the schema exactly.'),
  },
  'A tool; `type` is `function` or the name of a built-in tool.',
)
export type ResponseTool = Static<typeof ResponseTool>

const shared = {
  input: maybeOneOf(
    [Type.String(), Type.Array(InputItem)],
    'A question as plain text, or the items of a conversation.',
  ),
  instructions: text('What the model should keep to, above the conversation.'),
  previous_response_id: text('Continue after this stored response.'),
}

const settings = {
  conversation: maybeOneOf([Type.String(), open({})], 'The stored conversation to continue.'),
  tools: list(ResponseTool, 'What the model may call.'),
  tool_choice: maybeOneOf(
    [Type.String(), open({})],
    '`none`, `auto`, `required`, or an object that names a tool.',
  ),
  parallel_tool_calls: flag('Whether several tools may be called in one turn.'),
  reasoning: maybe(
    open({
      effort: text('How long to think.'),
      summary: text('How much of the thinking to sum up.'),
      generate_summary: text('Older name of `summary`.'),
      max_tokens: integer('Most tokens to spend on reasoning.'),
    }),
    'How the model reasons.',
  ),
  text: maybe(
    open({
      format: maybe(typed({ schema: object('JSON Schema to follow.') }), 'Form of the answer.'),
      verbosity: text('How long the answer should be: `low`, `medium` or `high`.'),
    }),
    'How the answer is written.',
  ),
  truncation: text('What to do when the conversation is too long: `auto` or `disabled`.'),
}

export const ResponsesRequest = open(
  {
    model: OptionalModelName,
    ...shared,
    ...settings,
    stream: Stream,
    stream_options: maybe(
      open({ include_obfuscation: flag('Pad the events so that their sizes tell nothing.') }),
      'Only with `stream: true`.',
    ),
    max_output_tokens: integer('Most tokens to produce, hidden reasoning included.'),
    max_tool_calls: integer('Most calls of built-in tools.'),
    temperature: decimal('How freely the model picks its words; 0 is the most predictable.'),
    top_p: decimal('Consider only the likeliest tokens that together have this probability.'),
    top_logprobs: integer('How many alternatives to return for each token.'),
    include: list(Type.String(), 'Extra parts of the answer to return.'),
    prompt: object('A stored prompt: `id`, `version`, `variables`.'),
    background: flag('Answer at once and work on; fetch the result later.'),
    store: flag('Keep the response with the provider.'),
    metadata: Metadata,
    service_tier: text('Which price and latency class to use.'),
    user: User,
    safety_identifier: text('A stable, anonymous id of your end user.'),
    prompt_cache_key: text('Groups requests that share a prefix.'),
    prompt_cache_retention: text('How long a cached prefix is kept.'),
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'A conversation to continue, with built-in tools and stored state.',
)
export type ResponsesRequest = Static<typeof ResponsesRequest>

export const CountTokensRequest = open(
  { model: OptionalModelName, ...shared, ...settings, fallbacks: Fallbacks },
  'A conversation whose input tokens are to be counted.',
)
export type CountTokensRequest = Static<typeof CountTokensRequest>

export const CompactRequest = open(
  {
    model: ModelName,
    ...shared,
    prompt_cache_key: text('Groups requests that share a prefix.'),
    fallbacks: Fallbacks,
  },
  'A conversation to shorten without losing its thread.',
)
export type CompactRequest = Static<typeof CompactRequest>

export const ResponsesCancelRequest = open(
  { provider: text('The provider that runs the response.') },
  'Nothing is required.',
)
export type ResponsesCancelRequest = Static<typeof ResponsesCancelRequest>
