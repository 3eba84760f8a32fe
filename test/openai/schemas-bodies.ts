import type { KnownEndpoint } from '#core/endpoint.ts'

// Bodies that callers send, by endpoint; the first of each is the smallest.

const parameters = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Oslo'] } },
  required: ['city'],
  additionalProperties: false,
}

const conversation = [
  { role: 'developer', content: 'Be brief.' },
  {
    role: 'user',
    name: 'ada',
    content: [
      { type: 'text', text: 'What is this?', cache_control: { type: 'ephemeral' } },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'low' } },
      { type: 'image_url', image_url: 'data:image/png;base64,AA==' },
      { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
      { type: 'file', file: { file_id: 'file-1' } },
      { type: 'video_url', video_url: { url: 'https://example.com/a.mp4' } },
    ],
  },
  {
    role: 'assistant',
    content: null,
    refusal: null,
    reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'hm', signature: 's' }],
    tool_calls: [
      { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"city":"Oslo"}' } },
      { id: 'call_2', type: 'custom', custom: { name: 'g', input: 'x' } },
    ],
  },
  { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'sunny' }] },
  { role: 'some-future-role' },
]

export const VALID: { readonly [E in KnownEndpoint]?: readonly object[] } = {
  chat_completion: [
    { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
    { model: 'm', messages: [] },
    {
      model: 'openai/gpt-4o',
      messages: conversation,
      temperature: 7,
      top_p: 1,
      max_tokens: -1,
      n: 1,
      stop: ['a', 'b', 'c', 'd', 'e'],
      seed: 2 ** 60,
      stream: true,
      stream_options: { include_usage: true },
      logit_bias: { 50256: -100 },
      logprobs: true,
      top_logprobs: 5,
      tools: [
        { type: 'function', function: { name: 'f', description: 'd', parameters, strict: true } },
        { type: 'custom', custom: { name: 'g', format: { type: 'text' } } },
        { type: 'web_search_20250305', name: 'web_search', max_uses: 3 },
      ],
      tool_choice: { type: 'function', function: { name: 'f' } },
      response_format: { type: 'json_schema', json_schema: { name: 'a', schema: parameters } },
      reasoning_effort: 'whatever comes next',
      reasoning: { effort: 'low', max_tokens: 5 },
      modalities: ['text', 'audio'],
      audio: { voice: 'alloy', format: 'mp3' },
      metadata: { team: 'x' },
      fallbacks: ['anthropic/claude', 'gpt-4o-mini'],
      extra_params: { a: { b: 1 } },
    },
    { model: 'm', messages: [], stop: 'x', tool_choice: 'auto', logprobs: 3, service_tier: 'auto' },
  ],
  chat_update: [{ metadata: { a: 'b' } }, { metadata: null }],
  text_completion: [
    { model: 'm', prompt: 'Once' },
    { model: 'm', prompt: ['a', 'b'], echo: true, best_of: 2, logprobs: 1, suffix: 'end' },
    { model: 'm', prompt: [1, 2] },
    { model: 'm', prompt: [[1, 2], [3]] },
    { model: 'm', prompt_embeds: 'AA==' },
  ],
  responses: [
    { model: 'm', input: 'hi' },
    { prompt: { id: 'pmpt_1', variables: { a: 'b' } } },
    {
      model: 'm',
      input: [
        { role: 'user', content: 'hi' },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hi' }] },
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 's' }] },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'x' },
        { type: 'item_reference', id: 'msg_1' },
      ],
      tools: [{ type: 'function', name: 'f', parameters }, { type: 'web_search' }],
      tool_choice: { type: 'function', name: 'f' },
      text: { format: { type: 'json_schema', name: 'a', schema: parameters }, verbosity: 'low' },
      reasoning: { effort: 'low', summary: 'auto' },
      conversation: { id: 'conv_1' },
      include: ['reasoning.encrypted_content'],
      stream: true,
      stream_options: { include_obfuscation: false },
      metadata: { a: 'b' },
      background: true,
    },
  ],
  count_tokens: [{ input: 'hi' }, { model: 'm', input: [{ role: 'user', content: 'hi' }] }],
  compaction: [{ model: 'm' }, { model: 'm', input: [{ role: 'user', content: 'hi' }] }],
  responses_cancel: [{}, { provider: 'azure' }],
  embedding: [
    { model: 'm', input: 'hi' },
    { model: 'm', input: [] },
    { model: 'm', input: ['a', 'b'], encoding_format: 'base64', dimensions: 8 },
    { model: 'm', input: [1, 2, 3] },
    { model: 'm', input: [[1, 2], [3]] },
  ],
  moderation: [
    { input: 'hi' },
    { model: 'm', input: ['a'] },
    {
      input: [
        { type: 'text', text: 'a' },
        { type: 'image_url', image_url: { url: 'u' } },
      ],
    },
  ],
  speech: [
    { model: 'm', input: 'hi' },
    { model: 'm', input: 'hi', voice: 'alloy', speed: 1.5, stream_format: 'sse' },
    { model: 'm', input: 'hi', voice: { id: 'v_1' } },
    { model: 'm', input: 'hi', voice: [{ speaker: 'a', voice: 'b' }] },
  ],
  image_generation: [{ prompt: 'a cat' }, { model: 'm', prompt: 'a cat', n: 2, size: '9x9' }],
  image_edit: [
    { prompt: 'a hat' },
    { prompt: 'a hat', images: [{ image_url: 'u' }, { file_id: 'f' }], mask: { file_id: 'g' } },
    { prompt: 'a hat', image: 'data:,', stream: true },
    { prompt: 'a hat', image: ['u', 'v'] },
  ],
  upload_create: [{ filename: 'f', purpose: 'batch', bytes: 9, mime_type: 'text/plain' }],
  upload_complete: [{ part_ids: [] }, { part_ids: ['part_1'], md5: 'x' }],
  upload_cancel: [{}],
  batch_create: [
    { input_file_id: 'f', endpoint: '/v1/chat/completions', completion_window: '24h' },
    { provider: 'anthropic', requests: [{ custom_id: 'a', params: { model: 'm' } }] },
  ],
  batch_cancel: [{}, { provider: 'bedrock' }],
  video_generation: [
    { prompt: 'waves' },
    { model: 'm', prompt: 'waves', seconds: '8', input_reference: { image_url: 'u' } },
    { prompt: 'waves', seconds: 8, input_reference: 'file-1' },
  ],
  video_remix: [{ prompt: 'more' }],
  container_create: [{ name: 'box' }, { name: 'box', file_ids: ['f'], memory_limit: '4g' }],
  container_file_create: [{ file_id: 'f' }],
}
