import { type Static, Type } from '@sinclair/typebox'

import { type FormField, needs, TAKES_PROVIDER } from './form.ts'
import { list, object, open, text } from './open.ts'

// POST /containers and /containers/{container_id}/files (form or JSON).

const provider = text('The provider that runs it. Read by the gateway.')

export const ContainerCreateRequest = open(
  {
    name: Type.String({ description: 'Your name for the container.' }),
    expires_after: object('When to delete it: `anchor` and `minutes`.'),
    file_ids: list(Type.String(), 'Uploaded files to copy in.'),
    memory_limit: text('How much memory it gets, such as `4g`.'),
    network_policy: object('What it may reach.'),
    provider,
  },
  'A sandbox for code to make.',
)
export type ContainerCreateRequest = Static<typeof ContainerCreateRequest>

export const ContainerFileRequest = open(
  { file_id: Type.String({ description: 'The uploaded file to copy in.' }), provider },
  'An uploaded file to copy into the container.',
)
export type ContainerFileRequest = Static<typeof ContainerFileRequest>

export const CONTAINER_FILE_FORM: readonly FormField[] = [
  needs('file', 'file', 'The file, with its name.'),
  TAKES_PROVIDER,
]
