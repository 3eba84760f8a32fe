import type { KnownEndpoint } from '#core/endpoint.ts'

import { speak, transcribe, translate } from './audio.ts'
import { cancelBatch, createBatch, listBatches, retrieveBatch } from './batches.ts'
import { chat } from './chat.ts'
import { complete } from './completions.ts'
import * as containers from './containers.ts'
import { embed } from './embeddings.ts'
import * as files from './files.ts'
import { editImage, generateImage, varyImage } from './images.ts'
import { deleteModel, listModels, moderate, retrieveModel } from './models.ts'
import type { Handle } from './request.ts'
import * as stored from './response-store.ts'
import { createResponse } from './responses.ts'
import * as chats from './stored-chat.ts'
import * as videos from './videos.ts'

/** Who answers what; an endpoint the gateway learns cannot be forgotten here. */
export const ENDPOINT_HANDLERS: Readonly<Record<KnownEndpoint, Handle>> = {
  chat_completion: chat,
  chat_list: chats.listChats,
  chat_retrieve: chats.retrieveChat,
  chat_update: chats.updateChat,
  chat_delete: chats.deleteChat,
  chat_messages: chats.listChatMessages,
  text_completion: complete,
  responses: createResponse,
  count_tokens: stored.countResponseTokens,
  compaction: stored.compactResponse,
  responses_retrieve: stored.retrieveResponse,
  responses_delete: stored.deleteResponse,
  responses_cancel: stored.cancelResponse,
  responses_input_items: stored.listInputItems,
  embedding: embed,
  moderation: moderate,
  speech: speak,
  transcription: transcribe,
  translation: translate,
  image_generation: generateImage,
  image_edit: editImage,
  image_variation: varyImage,
  list_models: listModels,
  model_retrieve: retrieveModel,
  model_delete: deleteModel,
  file_upload: files.uploadFile,
  file_list: files.listFiles,
  file_retrieve: files.retrieveFile,
  file_delete: files.deleteFile,
  file_content: files.downloadFile,
  upload_create: files.createUpload,
  upload_part: files.addPart,
  upload_complete: files.completeUpload,
  upload_cancel: files.cancelUpload,
  batch_create: createBatch,
  batch_list: listBatches,
  batch_retrieve: retrieveBatch,
  batch_cancel: cancelBatch,
  video_generation: videos.createVideo,
  video_list: videos.listVideos,
  video_retrieve: videos.retrieveVideo,
  video_download: videos.downloadVideo,
  video_delete: videos.deleteVideo,
  video_remix: videos.remixVideo,
  container_create: containers.createContainer,
  container_list: containers.listContainers,
  container_retrieve: containers.retrieveContainer,
  container_delete: containers.deleteContainer,
  container_file_create: containers.createContainerFile,
  container_file_list: containers.listContainerFiles,
  container_file_retrieve: containers.retrieveContainerFile,
  container_file_content: containers.downloadContainerFile,
  container_file_delete: containers.deleteContainerFile,
}
