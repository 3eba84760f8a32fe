// Every operation the gateway knows, by the name that Bifrost uses in `extra_fields.request_type`,
// in `allowed_requests` and in metrics. Paths are relative to `/openai` and to a provider's base URL alike.

export type Method = 'GET' | 'POST' | 'DELETE'

/** How a streamed answer of an endpoint is framed and how it ends. */
export type StreamFraming =
  /** `data:` only, ended by `data: [DONE]`, a finish reason per choice before it. */
  | 'chat'
  /** `event:` + `data:`, ended by one of the terminal event types, no `[DONE]`. */
  | 'responses'
  /** Other server-sent events, ended by the upstream's close. */
  | 'events'

export interface EndpointFacts {
  readonly method: Method
  /** `{name}` is one path segment; `{name...}` is the rest of the path. */
  readonly path: string
  readonly body: 'json' | 'multipart' | 'json-or-multipart' | 'none'
  readonly framing?: StreamFraming
  /** The request names a model, which chooses the provider. */
  readonly model: 'required' | 'optional' | 'none'
  /** One line for the OpenAPI document. */
  readonly summary: string
}

function facts<const T extends Record<string, EndpointFacts>>(table: T): T {
  return table
}

const json = 'json' as const
const multipart = 'multipart' as const
const either = 'json-or-multipart' as const
const none = 'none' as const
const required = 'required' as const
const optional = 'optional' as const

// prettier-ignore
export const ENDPOINTS = facts({
  chat_completion: { method: 'POST', path: '/chat/completions', body: json, framing: 'chat', model: required, summary: 'Create a chat completion' },
  chat_list: { method: 'GET', path: '/chat/completions', body: none, model: none, summary: 'List stored chat completions' },
  chat_retrieve: { method: 'GET', path: '/chat/completions/{completion_id}', body: none, model: none, summary: 'Get a stored chat completion' },
  chat_update: { method: 'POST', path: '/chat/completions/{completion_id}', body: json, model: none, summary: 'Update the metadata of a stored chat completion' },
  chat_delete: { method: 'DELETE', path: '/chat/completions/{completion_id}', body: none, model: none, summary: 'Delete a stored chat completion' },
  chat_messages: { method: 'GET', path: '/chat/completions/{completion_id}/messages', body: none, model: none, summary: 'List the messages of a stored chat completion' },
  text_completion: { method: 'POST', path: '/completions', body: json, framing: 'chat', model: required, summary: 'Create a completion' },
  responses: { method: 'POST', path: '/responses', body: json, framing: 'responses', model: optional, summary: 'Create a response' },
  count_tokens: { method: 'POST', path: '/responses/input_tokens', body: json, model: optional, summary: 'Count the input tokens of a response' },
  compaction: { method: 'POST', path: '/responses/compact', body: json, model: required, summary: 'Compact a conversation' },
  responses_retrieve: { method: 'GET', path: '/responses/{response_id}', body: none, framing: 'responses', model: none, summary: 'Get a response' },
  responses_delete: { method: 'DELETE', path: '/responses/{response_id}', body: none, model: none, summary: 'Delete a response' },
  responses_cancel: { method: 'POST', path: '/responses/{response_id}/cancel', body: json, model: none, summary: 'Cancel a background response' },
  responses_input_items: { method: 'GET', path: '/responses/{response_id}/input_items', body: none, model: none, summary: 'List the input items of a response' },
  embedding: { method: 'POST', path: '/embeddings', body: json, model: required, summary: 'Create embeddings' },
  moderation: { method: 'POST', path: '/moderations', body: json, model: optional, summary: 'Classify text and images' },
  speech: { method: 'POST', path: '/audio/speech', body: json, framing: 'events', model: required, summary: 'Turn text into speech' },
  transcription: { method: 'POST', path: '/audio/transcriptions', body: multipart, framing: 'events', model: required, summary: 'Transcribe audio' },
  translation: { method: 'POST', path: '/audio/translations', body: multipart, model: required, summary: 'Translate audio to English' },
  image_generation: { method: 'POST', path: '/images/generations', body: json, framing: 'events', model: optional, summary: 'Generate images' },
  image_edit: { method: 'POST', path: '/images/edits', body: either, framing: 'events', model: optional, summary: 'Edit images' },
  image_variation: { method: 'POST', path: '/images/variations', body: multipart, model: optional, summary: 'Vary an image' },
  list_models: { method: 'GET', path: '/models', body: none, model: none, summary: 'List models of every configured provider' },
  model_retrieve: { method: 'GET', path: '/models/{model...}', body: none, model: none, summary: 'Get a model' },
  model_delete: { method: 'DELETE', path: '/models/{model...}', body: none, model: none, summary: 'Delete a fine-tuned model' },
  file_upload: { method: 'POST', path: '/files', body: multipart, model: none, summary: 'Upload a file' },
  file_list: { method: 'GET', path: '/files', body: none, model: none, summary: 'List files' },
  file_retrieve: { method: 'GET', path: '/files/{file_id}', body: none, model: none, summary: 'Get a file' },
  file_delete: { method: 'DELETE', path: '/files/{file_id}', body: none, model: none, summary: 'Delete a file' },
  file_content: { method: 'GET', path: '/files/{file_id}/content', body: none, model: none, summary: 'Download a file' },
  upload_create: { method: 'POST', path: '/uploads', body: json, model: none, summary: 'Start an upload in parts' },
  upload_part: { method: 'POST', path: '/uploads/{upload_id}/parts', body: multipart, model: none, summary: 'Add a part to an upload' },
  upload_complete: { method: 'POST', path: '/uploads/{upload_id}/complete', body: json, model: none, summary: 'Complete an upload' },
  upload_cancel: { method: 'POST', path: '/uploads/{upload_id}/cancel', body: json, model: none, summary: 'Cancel an upload' },
  batch_create: { method: 'POST', path: '/batches', body: json, model: none, summary: 'Create a batch' },
  batch_list: { method: 'GET', path: '/batches', body: none, model: none, summary: 'List batches' },
  batch_retrieve: { method: 'GET', path: '/batches/{batch_id}', body: none, model: none, summary: 'Get a batch' },
  batch_cancel: { method: 'POST', path: '/batches/{batch_id}/cancel', body: json, model: none, summary: 'Cancel a batch' },
  video_generation: { method: 'POST', path: '/videos', body: either, model: optional, summary: 'Create a video' },
  video_list: { method: 'GET', path: '/videos', body: none, model: none, summary: 'List videos' },
  video_retrieve: { method: 'GET', path: '/videos/{video_id}', body: none, model: none, summary: 'Get a video' },
  video_download: { method: 'GET', path: '/videos/{video_id}/content', body: none, model: none, summary: 'Download a video' },
  video_delete: { method: 'DELETE', path: '/videos/{video_id}', body: none, model: none, summary: 'Delete a video' },
  video_remix: { method: 'POST', path: '/videos/{video_id}/remix', body: json, model: none, summary: 'Remix a video' },
  container_create: { method: 'POST', path: '/containers', body: json, model: none, summary: 'Create a container' },
  container_list: { method: 'GET', path: '/containers', body: none, model: none, summary: 'List containers' },
  container_retrieve: { method: 'GET', path: '/containers/{container_id}', body: none, model: none, summary: 'Get a container' },
  container_delete: { method: 'DELETE', path: '/containers/{container_id}', body: none, model: none, summary: 'Delete a container' },
  container_file_create: { method: 'POST', path: '/containers/{container_id}/files', body: either, model: none, summary: 'Create a container file' },
  container_file_list: { method: 'GET', path: '/containers/{container_id}/files', body: none, model: none, summary: 'List container files' },
  container_file_retrieve: { method: 'GET', path: '/containers/{container_id}/files/{file_id}', body: none, model: none, summary: 'Get a container file' },
  container_file_content: { method: 'GET', path: '/containers/{container_id}/files/{file_id}/content', body: none, model: none, summary: 'Download a container file' },
  container_file_delete: { method: 'DELETE', path: '/containers/{container_id}/files/{file_id}', body: none, model: none, summary: 'Delete a container file' },
})

/** An operation with a route of its own. */
export type KnownEndpoint = keyof typeof ENDPOINTS

/** Every operation a call can be: the known ones, the relays, and whatever else the OpenAI API has. */
export type Endpoint = KnownEndpoint | 'passthrough' | 'realtime' | 'websocket_responses'

/** All names that may stand in `allowed_requests`, streams and relays included. */
export const OPERATION_NAMES: readonly string[] = [
  ...Object.entries<EndpointFacts>(ENDPOINTS).flatMap(([name, { framing }]) =>
    framing ? [name, `${name}_stream`] : [name],
  ),
  'passthrough',
  'passthrough_stream',
  'realtime',
  'websocket_responses',
]

/** Streamed, sounds and transcripts may be bytes or text all the same: what was asked for does not tell. */
const eventsOnly: ReadonlySet<Endpoint> = new Set([
  'chat_completion',
  'text_completion',
  'responses',
  'responses_retrieve',
  'image_generation',
  'image_edit',
])

/** Whether a streamed answer of this operation can be nothing but server-sent events. */
export function streamsOnlyEvents(endpoint: Endpoint): boolean {
  return eventsOnly.has(endpoint)
}

const bytesOnly: ReadonlySet<Endpoint> = new Set([
  'file_content',
  'container_file_content',
  'video_download',
  'passthrough',
])

/** Whether answers of this operation are the caller's own bytes, whatever they look like. */
export function answersBytes(endpoint: Endpoint): boolean {
  return bytesOnly.has(endpoint)
}

/** The name that `extra_fields.request_type`, logs and metrics carry. */
export function requestType(endpoint: Endpoint, stream: boolean): string {
  return stream ? `${endpoint}_stream` : endpoint
}

/** How a streamed answer of this operation ends; passthrough routes are ended by the upstream's close. */
export function framingOf(endpoint: Endpoint): StreamFraming {
  const known = (ENDPOINTS as Record<string, EndpointFacts | undefined>)[endpoint]
  return known?.framing ?? 'events'
}
