import type { KnownEndpoint } from '#core/endpoint.ts'

/** What an operation is called in the README, in the order it is listed there; several share a word. */
const words = {
  chat_completion: 'chat',
  chat_list: 'stored chats',
  chat_retrieve: 'stored chats',
  chat_update: 'stored chats',
  chat_delete: 'stored chats',
  chat_messages: 'stored chats',
  text_completion: 'completions',
  responses: 'responses',
  responses_retrieve: 'stored responses',
  responses_delete: 'stored responses',
  responses_cancel: 'stored responses',
  responses_input_items: 'stored responses',
  count_tokens: 'token counts',
  compaction: 'compaction',
  embedding: 'embeddings',
  moderation: 'moderations',
  speech: 'speech',
  transcription: 'transcriptions',
  translation: 'translations',
  image_generation: 'images',
  image_edit: 'image edits',
  image_variation: 'image variations',
  list_models: 'models',
  model_retrieve: 'models',
  model_delete: 'model deletion',
  file_upload: 'files',
  file_list: 'files',
  file_retrieve: 'files',
  file_delete: 'files',
  file_content: 'files',
  upload_create: 'uploads',
  upload_part: 'uploads',
  upload_complete: 'uploads',
  upload_cancel: 'uploads',
  batch_create: 'batches',
  batch_list: 'batches',
  batch_retrieve: 'batches',
  batch_cancel: 'batches',
  video_generation: 'videos',
  video_list: 'videos',
  video_retrieve: 'videos',
  video_download: 'videos',
  video_delete: 'videos',
  video_remix: 'videos',
  container_create: 'containers',
  container_list: 'containers',
  container_retrieve: 'containers',
  container_delete: 'containers',
  container_file_create: 'containers',
  container_file_list: 'containers',
  container_file_retrieve: 'containers',
  container_file_content: 'containers',
  container_file_delete: 'containers',
} as const satisfies Record<KnownEndpoint, string>

const all = Object.entries(words) as [KnownEndpoint, string][]

/** A set of operations in words: `everything`, or `chat, embeddings`. A word of which a part is missing says so. */
export function describeOffers(offers: ReadonlySet<KnownEndpoint>): string {
  if (all.every(([endpoint]) => offers.has(endpoint))) return 'everything'
  const counts = new Map<string, { had: number; of: number }>()
  for (const [endpoint, word] of all) {
    const count = counts.get(word) ?? { had: 0, of: 0 }
    count.of++
    if (offers.has(endpoint)) count.had++
    counts.set(word, count)
  }
  return [...counts]
    .filter(([, { had }]) => had > 0)
    .map(([word, { had, of }]) => (had === of ? word : `${word} (in part)`))
    .join(', ')
}
