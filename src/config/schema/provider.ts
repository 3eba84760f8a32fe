import { Type } from '@sinclair/typebox'
import type { Static } from '@sinclair/typebox'

import {
  closed,
  count,
  duration,
  flag,
  idle,
  map,
  oneOf,
  open,
  seconds,
  secret,
  text,
  url,
  words,
} from './fields.ts'
import { KeyConfig } from './key.ts'

const ofBifrost = 'Fractions are allowed; 0 means the default.'
const ofOurs = 'Fractions are allowed; 0 switches it off.'

export const NetworkConfig = closed({
  base_url: Type.Optional(url({ description: "Where calls go; absent = the provider's own." })),
  extra_headers: Type.Optional(
    map(text(), { description: 'Sent with every call to this provider.' }),
  ),
  default_request_timeout_in_seconds: Type.Optional(
    seconds({
      default: 300,
      description: `An attempt at a call that does not stream, as a whole; callers limit all attempts together with x-bf-timeout-total. ${ofBifrost}`,
    }),
  ),
  stream_idle_timeout_in_seconds: Type.Optional(
    seconds({ default: 120, description: `Between two pieces of a stream. ${ofBifrost}` }),
  ),
  connect_timeout_in_seconds: Type.Optional(
    seconds({ default: 10, description: `Until a connection stands. ${ofOurs}` }),
  ),
  response_headers_timeout_in_seconds: Type.Optional(
    seconds({
      description: `From sending a call to its status line. Default: the request timeout. ${ofOurs}`,
    }),
  ),
  first_token_timeout_in_seconds: Type.Optional(
    seconds({
      description: `From sending a call to the first meaningful event of its stream. Default: the request timeout. ${ofOurs}`,
    }),
  ),
  stream_total_timeout_in_seconds: Type.Optional(
    seconds({ default: 3600, description: `An attempt at a stream, as a whole. ${ofOurs}` }),
  ),
  insecure_skip_verify: Type.Optional(
    flag(false, 'Accepts any TLS certificate; for tests against servers of your own only.'),
  ),
  ca_cert_pem: Type.Optional(text({ description: 'Additional certificate authorities, PEM.' })),
  allow_private_network: Type.Optional(
    flag(
      false,
      'Lets `base_url` be a private address. Loopback always may; link-local and metadata addresses never.',
    ),
  ),
  max_retries: Type.Optional(
    count({
      default: 0,
      maximum: 100,
      description:
        'How often a failed call is tried again with the same key; other keys are tried besides.',
    }),
  ),
  retry_backoff_initial: Type.Optional(
    duration({
      default: 500,
      description: 'Longest wait before the first retry; it doubles from there.',
    }),
  ),
  retry_backoff_max: Type.Optional(
    duration({ default: 5000, description: 'Longest wait of all.' }),
  ),
  retry_backoff_initial_ms: Type.Optional(
    duration({ description: 'Older name of `retry_backoff_initial`.' }),
  ),
  retry_backoff_max_ms: Type.Optional(
    duration({ description: 'Older name of `retry_backoff_max`.' }),
  ),
  keep_alive_timeout_in_seconds: Type.Optional(
    seconds({
      description:
        'How long an idle connection is kept, to the next four seconds. Default: five minutes.',
    }),
  ),
  max_conns_per_host: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'A limit of `concurrency` besides: a connection carries one call at a time.',
    }),
  ),
  enforce_http2: Type.Optional(
    flag(false, 'Speaks HTTP/2 over TLS, and does not talk to servers that do not.'),
  ),
  beta_header_overrides: idle(map(Type.Boolean())),
  stream_throughput_guard: idle(
    closed({
      minimum_output_characters_per_second: Type.Integer({ minimum: 1, maximum: 100_000 }),
      probe_window_in_seconds: Type.Optional(Type.Number({ default: 5, minimum: 1, maximum: 60 })),
    }),
  ),
})

export const ProxyConfig = closed({
  type: oneOf(['none', 'http', 'socks5', 'environment'], {
    description: '`environment` takes HTTPS_PROXY or HTTP_PROXY and honours NO_PROXY.',
  }),
  url: Type.Optional(text()),
  username: Type.Optional(text()),
  password: Type.Optional(secret()),
  ca_cert_pem: Type.Optional(
    text({ description: 'Additional certificate authorities for what goes through it, PEM.' }),
  ),
})

export const CustomProviderConfig = closed({
  base_provider_type: Type.String({
    minLength: 1,
    description: 'The built-in provider whose wire format this one speaks.',
  }),
  is_key_less: Type.Optional(flag(false)),
  allowed_requests: Type.Optional(
    map(Type.Boolean(), {
      description: 'Operation → allowed. Absent = all; present = only those that are true.',
    }),
  ),
  request_path_overrides: Type.Optional(
    map(Type.String(), {
      description: 'Operation → path under `base_url`, or a full URL.',
    }),
  ),
})

export const ProviderConfig = closed({
  keys: Type.Optional(Type.Array(KeyConfig)),
  network_config: Type.Optional(NetworkConfig),
  concurrency_and_buffer_size: Type.Optional(
    closed({
      concurrency: count({ default: 1000, minimum: 1, description: 'Calls in flight at once.' }),
      buffer_size: count({ default: 5000, description: 'Calls that may wait for one of them.' }),
      max_wait_in_seconds: Type.Optional(
        seconds({
          default: 60,
          description:
            'How long a call waits at most before it is refused; 0 = as long as its caller does.',
        }),
      ),
    }),
  ),
  proxy_config: Type.Optional(ProxyConfig),
  fallbacks: Type.Optional(
    words(
      'Tried in this order when a call fails that names no fallbacks itself: `provider/model`, or a provider for the same model.',
    ),
  ),
  hedging: Type.Optional(
    Type.Boolean({
      description: 'Whether slow calls get a second candidate; absent = as `client.hedging` says.',
    }),
  ),
  send_back_raw_request: Type.Optional(flag(false)),
  send_back_raw_response: Type.Optional(flag(false)),
  custom_provider_config: Type.Optional(CustomProviderConfig),
  store_raw_request_response: idle(flag(false)),
  openai_config: idle(open({ disable_store: Type.Optional(Type.Boolean()) })),
  prompt_cache: idle(Type.Unknown()),
})

export type NetworkConfig = Static<typeof NetworkConfig>
export type ProxyConfig = Static<typeof ProxyConfig>
export type CustomProviderConfig = Static<typeof CustomProviderConfig>
export type ProviderConfig = Static<typeof ProviderConfig>

/**
 * Names that Bifrost has built in. A file may configure one that this build cannot reach; it is then left
 * out with a warning instead of being taken for a misspelt custom provider.
 */
export const BIFROST_PROVIDERS: readonly string[] = (
  'openai anthropic bedrock bedrock_mantle cohere azure vertex mistral ollama groq gemini opencode-go ' +
  'opencode-zen openrouter sgl parasail perplexity replicate elevenlabs deepgram cerebras deepseek vllm ' +
  'huggingface fireworks nebius xai runway runware sarvam'
).split(' ')
