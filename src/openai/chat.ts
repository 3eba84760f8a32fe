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
  Stream,
  text,
  textOrList,
  typed,
  User,
} from './open.ts'

// POST /chat/completions. Roles, part types and tool types are open words: which of them exist is for
// the provider to say.

/** One piece of a message's content. */
export const ContentPart = typed(
  {
    text: text('The text of a `text` part.'),
    refusal: text('The text of a `refusal` part.'),
    image_url: maybeOneOf(
      [Type.String(), open({ url: Type.String(), detail: text() })],
      'An image, as a URL or a data URL.',
    ),
    input_audio: object('Audio: `data` in base64 and its `format`.'),
    file: object('A document: `file_id`, or `file_data` as a data URL with a `filename`.'),
    cache_control: object(
      'Marks the end of a cacheable prefix, for providers that cache on request.',
    ),
  },
  'A part of the content; `type` says which of the other fields counts.',
)
export type ContentPart = Static<typeof ContentPart>

/** A call of a tool that an assistant message records. */
export const ToolCall = open(
  {
    id: text('The id that the tool message answers to.'),
    type: text('`function` or `custom`.'),
    function: maybe(
      open({
        name: Type.String({ description: 'Name of the called function.' }),
        arguments: maybeOneOf(
          [Type.String(), open({})],
          'JSON text as the model wrote it; some servers use an object.',
        ),
      }),
      'The called function.',
    ),
    custom: object('The called custom tool: `name` and `input`.'),
  },
  'One call of a tool.',
)
export type ToolCall = Static<typeof ToolCall>

/** One turn of the conversation. */
export const ChatMessage = open(
  {
    role: Type.String({
      description: 'Who speaks: `system`, `developer`, `user`, `assistant` or `tool`.',
    }),
    content: maybeOneOf(
      [Type.String(), Type.Array(ContentPart)],
      'What is said: plain text or a list of parts.',
    ),
    name: text('Tells participants of the same role apart.'),
    tool_call_id: text('The call that a tool message answers.'),
    tool_calls: list(ToolCall, 'The tool calls an assistant message made.'),
    function_call: object('The function call an assistant message made. Deprecated.'),
    refusal: text('The refusal an assistant message consisted of.'),
    audio: object('Refers to audio of an earlier answer.'),
    reasoning: text('What the model thought, as plain text.'),
    reasoning_content: text('The same as `reasoning`, by its other common name.'),
    reasoning_details: list(
      open({}),
      'What the model thought, in pieces with their signatures; send them back unchanged.',
    ),
  },
  'A message of the conversation.',
)
export type ChatMessage = Static<typeof ChatMessage>

/** Something the model may call. */
export const ChatTool = typed(
  {
    function: maybe(
      open({
        name: Type.String({ description: 'Name the model calls it by.' }),
        description: text('When and how the model should use it.'),
        parameters: Type.Optional(
          Type.Unknown({ description: 'JSON Schema of the arguments, forwarded as it is.' }),
        ),
        strict: flag('Hold the model to the schema exactly.'),
      }),
      'A function, for tools of type `function`.',
    ),
    custom: object('A tool with free-form input, for tools of type `custom`.'),
  },
  'A tool; `type` is `function`, `custom`, or what the provider knows besides.',
)
export type ChatTool = Static<typeof ChatTool>

export const StreamOptions = maybe(
  open({
    include_usage: flag('End the stream with a chunk that carries the usage.'),
    include_obfuscation: flag('Pad the chunks so that their sizes tell nothing.'),
  }),
  'Only with `stream: true`.',
)

export const ChatRequest = open(
  {
    model: ModelName,
    messages: Type.Array(ChatMessage, { description: 'The conversation so far, oldest first.' }),
    stream: Stream,
    stream_options: StreamOptions,
    max_completion_tokens: integer('Most tokens to produce, hidden reasoning included.'),
    max_tokens: integer('Older name of `max_completion_tokens`.'),
    temperature: decimal('How freely the model picks its words; 0 is the most predictable.'),
    top_p: decimal('Consider only the likeliest tokens that together have this probability.'),
    top_k: integer('Consider only this many of the likeliest tokens; not every provider has it.'),
    n: integer('How many answers to produce.'),
    stop: textOrList('Where to stop: one text or several.'),
    seed: integer('Asks for repeatable sampling.'),
    frequency_penalty: decimal('Above zero discourages tokens the more often they appeared.'),
    presence_penalty: decimal('Above zero discourages tokens that appeared at all.'),
    logit_bias: object('Token id to bias.'),
    logprobs: maybeOneOf(
      [Type.Boolean(), Type.Integer()],
      'Return the probabilities of the produced tokens.',
    ),
    top_logprobs: integer('How many alternatives to return for each token.'),
    tools: list(ChatTool, 'What the model may call.'),
    tool_choice: maybeOneOf(
      [Type.String(), open({})],
      '`none`, `auto`, `required`, or an object that names one tool.',
    ),
    parallel_tool_calls: flag('Whether several tools may be called in one turn.'),
    functions: list(open({ name: Type.String() }), 'Older form of `tools`.'),
    function_call: maybeOneOf([Type.String(), open({})], 'Older form of `tool_choice`.'),
    response_format: maybe(
      typed({ json_schema: object('Name, schema and strictness for `json_schema`.') }),
      '`text`, `json_object`, or `json_schema` with a schema to follow.',
    ),
    reasoning_effort: text(
      'How long to think, from `none` to `xhigh`; models differ in what they know.',
    ),
    reasoning: object('Reasoning settings as an object: `effort`, `max_tokens`, `summary`.'),
    reasoning_max_tokens: integer('Most tokens to spend on reasoning.'),
    verbosity: text('How long the answer should be: `low`, `medium` or `high`.'),
    modalities: list(Type.String(), 'Forms of the answer: `text`, `audio`.'),
    audio: object('Voice and format of spoken answers.'),
    prediction: object('Text that the answer will mostly repeat, to speed it up.'),
    web_search_options: object('Lets search models search the web.'),
    service_tier: text('Which price and latency class to use.'),
    store: flag('Keep the completion with the provider.'),
    metadata: Metadata,
    user: User,
    safety_identifier: text('A stable, anonymous id of your end user.'),
    prompt_cache_key: text('Groups requests that share a prefix.'),
    prompt_cache_retention: text('How long a cached prefix is kept.'),
    fallbacks: Fallbacks,
    extra_params: ExtraParams,
  },
  'A conversation to continue.',
)
export type ChatRequest = Static<typeof ChatRequest>

export const ChatUpdateRequest = open(
  {
    metadata: Type.Union([open({}), Type.Null()], {
      description: 'Replaces the stored pairs of text.',
    }),
  },
  'New metadata of a stored completion.',
)
export type ChatUpdateRequest = Static<typeof ChatUpdateRequest>
