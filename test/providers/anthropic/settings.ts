import { hello, type Pair, weather, weatherTool } from './conversations.ts'

/** How the model shall go about it. */
export const settings: Readonly<Record<string, Pair>> = {
  'budget-thinking': {
    request: {
      model: 'claude-haiku-4-5',
      messages: [hello],
      max_tokens: 5000,
      reasoning_effort: 'low',
      temperature: 0.2,
      seed: 7,
    },
    dropped: ['seed', 'temperature'],
    params: {
      model: 'claude-haiku-4-5',
      messages: [hello],
      max_tokens: 11_400,
      thinking: { type: 'enabled', budget_tokens: 6400 },
    },
  },
  'forced-choice': {
    request: {
      model: 'claude-opus-4-6',
      messages: [hello],
      max_tokens: 100,
      tools: [
        weather,
        {
          type: 'function',
          function: { name: 'now!', strict: true, parameters: { type: 'object', properties: {} } },
        },
        { type: 'function', function: { name: 'unused' } },
      ],
      tool_choice: {
        type: 'allowed_tools',
        allowed_tools: {
          mode: 'required',
          tools: [
            { type: 'function', function: { name: 'get_weather' } },
            { type: 'function', function: { name: 'now!' } },
          ],
        },
      },
      top_p: 0.5,
      top_k: 40,
    },
    params: {
      model: 'claude-opus-4-6',
      messages: [hello],
      max_tokens: 100,
      tools: [
        weatherTool,
        {
          name: 'now_',
          input_schema: { type: 'object', properties: {}, additionalProperties: false },
          strict: true,
        },
      ],
      tool_choice: { type: 'any' },
      top_p: 0.5,
      top_k: 40,
    },
  },
  'later-system': {
    request: {
      model: 'claude-opus-4-8',
      max_tokens: 100,
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Hi' },
        { role: 'developer', content: 'Be brief.' },
        { role: 'assistant', content: 'Hello' },
        { role: 'developer', content: 'From now on answer in German.' },
        { role: 'user', content: 'And now?' },
      ],
    },
    params: {
      model: 'claude-opus-4-8',
      max_tokens: 100,
      system: 'Be kind.',
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'system', content: 'Be brief.' },
        { role: 'assistant', content: 'Hello' },
        // Only between what the user says and its answer may an instruction stand.
        { role: 'user', content: 'And now?' },
        { role: 'system', content: 'From now on answer in German.' },
      ],
    },
  },
  'own-parameters': {
    request: {
      model: 'claude-opus-4-5',
      max_tokens: 9000,
      messages: [hello],
      thinking: { type: 'enabled', budget_tokens: 2000 },
      output_config: { effort: 'high' },
      inference_geo: 'us',
      web_search_options: {
        search_context_size: 'low',
        user_location: { type: 'approximate', approximate: { country: 'CH' } },
      },
      mcp_servers: [{ type: 'url', name: 'docs', url: 'https://mcp.example/sse' }],
      context_management: { edits: [{ type: 'compact_20260112' }] },
    },
    betas: 'caller-beta-1,mcp-client-2025-11-20,context-management-2025-06-27,compact-2026-01-12',
    params: {
      model: 'claude-opus-4-5',
      max_tokens: 9000,
      messages: [hello],
      thinking: { type: 'enabled', budget_tokens: 2000 },
      output_config: { effort: 'high' },
      inference_geo: 'us',
      tools: [
        {
          type: 'web_search_20250305',
          name: 'web_search',
          max_uses: 1,
          user_location: { type: 'approximate', country: 'CH' },
        },
        // The toolset and the two parameters below are known to the SDK in its beta form only.
        { type: 'mcp_toolset', mcp_server_name: 'docs' } as never,
      ],
      ...({
        mcp_servers: [{ type: 'url', name: 'docs', url: 'https://mcp.example/sse' }],
        context_management: { edits: [{ type: 'compact_20260112' }] },
      } as object),
    },
  },
}
