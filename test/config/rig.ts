import { loadConfig } from '#config/load.ts'
import type { LoadInput } from '#config/load.ts'
import type { Problem } from '#config/problem.ts'
import type { Key, ProviderSettings, Snapshot, VendorFacts } from '#config/snapshot.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'

export const vendors: readonly VendorFacts[] = [
  {
    name: 'openai',
    keyEnv: ['OPENAI_API_KEY', 'OPENAI_KEY'],
    keyless: false,
    baseUrl: 'https://api.openai.com',
  },
  {
    name: 'groq',
    keyEnv: ['GROQ_API_KEY'],
    keyless: false,
    baseUrl: 'https://api.groq.com/openai',
  },
  { name: 'azure', keyEnv: [], keyless: false, baseUrl: undefined },
  { name: 'vllm', keyEnv: [], keyless: true, baseUrl: undefined },
  { name: 'ollama', keyEnv: [], keyless: true, baseUrl: 'http://localhost:11434' },
  { name: 'mock', keyEnv: [], keyless: true, baseUrl: 'http://mock.invalid' },
]

export const operations = OPERATION_NAMES

/** Long enough to have a hint, and easy to look for in output. */
export const openaiKey = 'sk-openai-0123456789abcdef'

type Options = Partial<Omit<LoadInput, 'text'>>

export function load(config: string | object | undefined, options: Options = {}) {
  const text = typeof config === 'object' ? JSON.stringify(config, null, 2) : config
  return loadConfig({
    text,
    path: '/etc/asbru/config.json',
    env: { OPENAI_API_KEY: openaiKey },
    vendors,
    operations,
    generation: 1,
    ...options,
  })
}

export function accepted(config: string | object | undefined, options: Options = {}): Snapshot {
  const { snapshot, problems } = load(config, options)
  if (!snapshot) throw new Error(`refused: ${JSON.stringify(problems, null, 2)}`)
  return snapshot
}

export function refused(config: string | object, options: Options = {}): readonly Problem[] {
  const { snapshot, problems } = load(config, options)
  if (snapshot) throw new Error('accepted, but should have been refused')
  return problems
}

export function providerOf(snapshot: Snapshot, name: string): ProviderSettings {
  const provider = snapshot.providers.get(name)
  if (!provider)
    throw new Error(`no provider ${name} among ${[...snapshot.providers.keys()].join(', ')}`)
  return provider
}

/** The keys of the only provider under test. */
export function keysOf(
  keys: readonly object[],
  options: Options & { version?: 1 | 2 } = {},
): readonly Key[] {
  const { version, ...rest } = options
  const config = { ...(version && { version }), providers: { openai: { keys } } }
  return providerOf(accepted(config, rest), 'openai').keys
}
