import { type Static, Type } from '@sinclair/typebox'

import { list, Metadata, object, open, OptionalModelName, text } from './open.ts'

// /batches. Which of file, inline requests, endpoint and window is needed depends on the provider.

const provider = text('The provider that runs it. Read by the gateway.')

export const BatchCreateRequest = open(
  {
    input_file_id: text('The uploaded file with one request on each line.'),
    requests: list(
      open({
        custom_id: Type.String({
          description: 'Your name for the request, repeated in its result.',
        }),
        method: text('`POST`.'),
        url: text('The endpoint of this request.'),
        body: object('The request itself.'),
        params: object('The request itself, in the dialect of providers that call it so.'),
      }),
      'The requests, for providers that take them inline.',
    ),
    endpoint: text('The endpoint of all requests, such as `/v1/chat/completions`.'),
    completion_window: text('How long it may take, such as `24h`.'),
    metadata: Metadata,
    output_expires_after: object('When to delete the results: `anchor` and `seconds`.'),
    model: OptionalModelName,
    provider,
  },
  'Many requests to run later at a lower price.',
)
export type BatchCreateRequest = Static<typeof BatchCreateRequest>

export const BatchCancelRequest = open({ provider }, 'Nothing is required.')
export type BatchCancelRequest = Static<typeof BatchCancelRequest>
