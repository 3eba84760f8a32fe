import type { AppRule } from '#config/apps.ts'
import { linearPattern } from '#lib/linear.ts'

// The program that a caller is, as its user agent says. Found out where rows are written.

/** The program behind a user agent; undefined when nothing in it is a name. */
export type AppOf = (userAgent: string) => string | undefined

/** Callers send what they like; so many of them are remembered. */
const maxKnown = 2000

/** The first rule that matches decides, then the built-in ones, and then the first product that is named. */
export function createApps(rules: readonly AppRule[]): AppOf {
  const matchers = [...rules, ...BUILT_IN_APPS].map(({ pattern, match, app }) => ({
    matches: matcherOf(pattern, match),
    app,
  }))
  const known = new Map<string, string | undefined>()
  return (userAgent) => {
    if (known.has(userAgent)) return known.get(userAgent)
    const lower = userAgent.toLowerCase()
    const found = matchers.find(({ matches }) => matches(lower, userAgent))
    const app = found ? found.app : productOf(userAgent)
    if (known.size >= maxKnown) known.clear()
    known.set(userAgent, app)
    return app
  }
}

function matcherOf(
  pattern: string,
  match: AppRule['match'],
): (lower: string, userAgent: string) => boolean {
  if (match === 'regex') {
    try {
      const matches = linearPattern(pattern)
      return (_, userAgent) => matches(userAgent)
    } catch {
      // It was checked where it came from; what another version took is no reason not to write.
      return () => false
    }
  }
  const wanted = pattern.toLowerCase()
  switch (match) {
    case 'contains':
      return (lower) => lower.includes(wanted)
    case 'starts_with':
      return (lower) => lower.startsWith(wanted)
    case 'exact':
      return (lower) => lower === wanted
  }
}

function productOf(userAgent: string): string | undefined {
  return /^[^\s/(;,]{1,60}/.exec(userAgent)?.[0]
}

const starting = (app: string, ...patterns: readonly string[]): AppRule[] =>
  patterns.map((pattern) => ({ pattern, match: 'starts_with', app }))
const holding = (app: string, ...patterns: readonly string[]): AppRule[] =>
  patterns.map((pattern) => ({ pattern, match: 'contains', app }))

/**
 * User agents of well-known programs, as their sources and request logs have them in November 2026. Programs stand
 * before the libraries that they are made with, since many name both.
 */
export const BUILT_IN_APPS: readonly AppRule[] = [
  // Programs that write code.
  ...starting('Claude Code', 'claude-cli/', 'claude-code/'),
  ...starting('Codex', 'codex_', 'codex-', 'codex/'),
  ...starting('Gemini CLI', 'GeminiCLI/', 'gemini-cli/'),
  ...starting('Qwen Code', 'QwenCode/', 'qwen-code/'),
  ...starting('OpenCode', 'opencode/'),
  ...starting('Crush', 'crush/', 'Charm Crush/'),
  ...starting('Goose', 'goose/'),
  ...starting('Aider', 'aider/'),
  ...starting('Cursor', 'Cursor/', 'cursor-'),
  ...starting('Windsurf', 'windsurf/', 'codeium/'),
  ...starting('Zed', 'Zed/'),
  ...starting('Cline', 'Cline/', 'cline-'),
  ...starting('Roo Code', 'RooCode/', 'roo-code/'),
  ...starting('Kilo Code', 'Kilo-Code/', 'kilocode/'),
  ...starting('Continue', 'Continue/', 'continue-'),
  ...starting('GitHub Copilot', 'GitHubCopilot', 'copilot/', 'copilot-'),
  ...starting('JetBrains AI', 'JetBrains', 'ktor-client-jetbrains'),
  // Programs that people talk to, and that are put together from parts.
  ...holding('Open WebUI', 'open webui', 'open-webui', 'openwebui'),
  ...starting('LibreChat', 'LibreChat'),
  ...starting('LobeChat', 'LobeChat', 'lobe-chat'),
  ...starting('AnythingLLM', 'AnythingLLM'),
  ...starting('Cherry Studio', 'CherryStudio'),
  ...holding('Cherry Studio', ' CherryStudio/'),
  ...starting('Jan', 'Jan/'),
  ...starting('n8n', 'n8n'),
  ...starting('Dify', 'dify'),
  ...starting('Flowise', 'flowise'),
  ...starting('Langflow', 'langflow'),
  ...starting('Zapier', 'Zapier'),
  ...starting('Home Assistant', 'HomeAssistant/'),
  // What programs are made with.
  ...starting('LiteLLM', 'litellm'),
  ...holding('LangGraph', 'langgraph'),
  ...holding('LangChain', 'langchain'),
  ...holding('LlamaIndex', 'llama-index', 'llamaindex', 'llama_index'),
  ...holding('Semantic Kernel', 'semantic-kernel'),
  ...holding('Spring AI', 'spring-ai'),
  ...holding('Haystack', 'haystack'),
  ...holding('CrewAI', 'crewai'),
  ...holding('AutoGen', 'autogen'),
  ...starting('DSPy', 'DSPy/'),
  ...starting('Pydantic AI', 'pydantic-ai/'),
  ...starting('Mastra', 'mastra'),
  ...starting('OpenAI Agents SDK', 'Agents/'),
  ...starting('Vercel AI SDK', 'ai/', 'ai-sdk/'),
  ...holding('Vercel AI SDK', ' ai-sdk/'),
  ...starting('OpenAI Python SDK', 'OpenAI/Python', 'AsyncOpenAI/Python'),
  ...starting('OpenAI Python SDK', 'AzureOpenAI/Python', 'AsyncAzureOpenAI/Python'),
  ...starting('OpenAI Node SDK', 'OpenAI/JS', 'AzureOpenAI/JS'),
  ...starting('OpenAI Go SDK', 'OpenAI/Go'),
  ...starting('OpenAI Java SDK', 'OpenAI/Java', 'OpenAIClientImpl/', 'OpenAIClientAsyncImpl/'),
  ...starting('OpenAI Ruby SDK', 'OpenAI/Ruby', 'OpenAI::Client/'),
  ...starting('OpenAI PHP client', 'openai-php'),
  // That of .NET names only its version.
  ...starting('OpenAI SDK', 'OpenAI/'),
  ...starting('Anthropic SDK', 'Anthropic/', 'AsyncAnthropic/'),
  ...holding('Google Gen AI SDK', 'google-genai-sdk/'),
  ...starting('Mistral SDK', 'mistral-client-', 'speakeasy-sdk/python', 'mistralai'),
  ...starting('Cohere SDK', 'cohere/'),
  ...starting('Ollama client', 'ollama-'),
  // What speaks HTTP.
  ...starting('curl', 'curl/'),
  ...starting('Wget', 'Wget/'),
  ...starting('HTTPie', 'HTTPie/', 'xh/'),
  ...starting('Postman', 'PostmanRuntime/'),
  ...starting('Insomnia', 'insomnia/'),
  ...starting('Bruno', 'bruno-runtime/'),
  ...starting('k6', 'k6/'),
  ...starting('Python Requests', 'python-requests/'),
  ...starting('HTTPX', 'python-httpx/'),
  ...holding('aiohttp', ' aiohttp/'),
  ...starting('urllib', 'Python-urllib/', 'python-urllib3/'),
  ...starting('Axios', 'axios/'),
  ...starting('Node.js', 'node-fetch', 'undici', 'got (', 'node/', 'Node.js/'),
  { pattern: 'node', match: 'exact', app: 'Node.js' },
  ...starting('Bun', 'Bun/'),
  ...starting('Deno', 'Deno/'),
  ...starting('Go', 'Go-http-client/', 'go-resty/'),
  ...starting('Java', 'Java/', 'Java-http-client/', 'Apache-HttpClient/', 'ReactorNetty/'),
  ...starting('OkHttp', 'okhttp/'),
  ...starting('Rust', 'reqwest/'),
  ...starting('Ruby', 'Ruby', 'Faraday', 'rest-client/', 'http.rb/'),
  ...starting('PHP', 'GuzzleHttp/', 'PHP/', 'Symfony HttpClient'),
  ...holding('PowerShell', 'PowerShell/'),
  ...starting('Browser', 'Mozilla/'),
]
