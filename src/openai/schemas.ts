import type { TSchema } from '@sinclair/typebox'

import type { KnownEndpoint } from '#core/endpoint.ts'

import { SpeechRequest, TRANSCRIPTION_FORM, TRANSLATION_FORM } from './audio.ts'
import { BatchCancelRequest, BatchCreateRequest } from './batches.ts'
import { ChatRequest, ChatUpdateRequest } from './chat.ts'
import { CompletionRequest } from './completions.ts'
import { CONTAINER_FILE_FORM, ContainerCreateRequest, ContainerFileRequest } from './containers.ts'
import { EmbeddingRequest } from './embeddings.ts'
import { FILE_UPLOAD_FORM } from './files.ts'
import type { FormField } from './form.ts'
import {
  IMAGE_EDIT_FORM,
  IMAGE_VARIATION_FORM,
  ImageEditRequest,
  ImageGenerationRequest,
} from './images.ts'
import { ModerationRequest } from './moderations.ts'
import {
  CompactRequest,
  CountTokensRequest,
  ResponsesCancelRequest,
  ResponsesRequest,
} from './responses.ts'
import {
  UPLOAD_PART_FORM,
  UploadCancelRequest,
  UploadCompleteRequest,
  UploadCreateRequest,
} from './uploads.ts'
import { VIDEO_FORM, VideoGenerationRequest, VideoRemixRequest } from './videos.ts'

/** The schema of each JSON body; feeds `checkRequest` and the OpenAPI document. */
export const REQUEST_SCHEMAS: { readonly [E in KnownEndpoint]?: TSchema } = {
  chat_completion: ChatRequest,
  chat_update: ChatUpdateRequest,
  text_completion: CompletionRequest,
  responses: ResponsesRequest,
  count_tokens: CountTokensRequest,
  compaction: CompactRequest,
  responses_cancel: ResponsesCancelRequest,
  embedding: EmbeddingRequest,
  moderation: ModerationRequest,
  speech: SpeechRequest,
  image_generation: ImageGenerationRequest,
  image_edit: ImageEditRequest,
  upload_create: UploadCreateRequest,
  upload_complete: UploadCompleteRequest,
  upload_cancel: UploadCancelRequest,
  batch_create: BatchCreateRequest,
  batch_cancel: BatchCancelRequest,
  video_generation: VideoGenerationRequest,
  video_remix: VideoRemixRequest,
  container_create: ContainerCreateRequest,
  container_file_create: ContainerFileRequest,
}

/** Endpoints whose JSON body may be absent altogether. */
export const OPTIONAL_BODIES: ReadonlySet<KnownEndpoint> = new Set<KnownEndpoint>([
  'responses_cancel',
  'upload_cancel',
  'batch_cancel',
])

/** The fields of each multipart body. */
export const FORM_FIELDS: { readonly [E in KnownEndpoint]?: readonly FormField[] } = {
  transcription: TRANSCRIPTION_FORM,
  translation: TRANSLATION_FORM,
  image_edit: IMAGE_EDIT_FORM,
  image_variation: IMAGE_VARIATION_FORM,
  file_upload: FILE_UPLOAD_FORM,
  upload_part: UPLOAD_PART_FORM,
  video_generation: VIDEO_FORM,
  container_file_create: CONTAINER_FILE_FORM,
}
