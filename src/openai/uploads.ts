import { type Static, Type } from '@sinclair/typebox'

import { type FormField, needs } from './form.ts'
import { object, open, text } from './open.ts'

// /uploads: a large file in parts.

const provider = text('The provider that keeps it. Read by the gateway.')

export const UploadCreateRequest = open(
  {
    filename: Type.String({ description: 'Name of the whole file.' }),
    purpose: Type.String({ description: 'What it is for, as in a file upload.' }),
    bytes: Type.Integer({ description: 'Size of the whole file.' }),
    mime_type: Type.String({ description: 'Media type of the whole file.' }),
    expires_after: object('When to delete it: `anchor` and `seconds`.'),
    provider,
  },
  'A file to upload in parts.',
)
export type UploadCreateRequest = Static<typeof UploadCreateRequest>

export const UPLOAD_PART_FORM: readonly FormField[] = [
  needs('data', 'file', 'The bytes of this part.'),
]

export const UploadCompleteRequest = open(
  {
    part_ids: Type.Array(Type.String(), { description: 'The parts, in order.' }),
    md5: text('Checksum of the whole file.'),
    provider,
  },
  'The parts of a finished upload.',
)
export type UploadCompleteRequest = Static<typeof UploadCompleteRequest>

export const UploadCancelRequest = open({ provider }, 'Nothing is required.')
export type UploadCancelRequest = Static<typeof UploadCancelRequest>
