// `asbru explain FILE`: what a gateway with this configuration would do with a request, without one running.

import { loadConfig } from '#config/load.ts'
import { isRecord } from '#config/record.ts'
import type { Environment } from '#config/reference.ts'
import { readSource } from '#config/source.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { toGatewayError } from '#core/errors.ts'
import { createLogger } from '#core/log.ts'
import { createExplainer } from '#http/explain.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import { offlineGateway } from '../app.ts'
import { problemLine } from './check.ts'
import { parseFlags } from './flags.ts'
import { output } from './output.ts'

/**
 * `asbru explain FILE [--config FILE]`; `-` reads standard input. The file describes a request as `/api/explain` takes
 * it, or is the body of a chat completion or of a response. Returns the exit code: 0 explained, 1 the request would be
 * refused or the configuration is not valid, 2 used wrongly.
 */
export async function explain(argv: readonly string[], env: Environment): Promise<number> {
  // The parser of flags takes a lone dash for one.
  const isStandardInput = argv.includes('-')
  const parsed = parseFlags(
    argv.filter((argument) => argument !== '-'),
    env,
  )
  if (!parsed.ok) {
    console.error(`asbru: ${parsed.message}\nSee asbru help.`)
    return parsed.exitCode
  }
  const [file = isStandardInput ? '-' : undefined, stray] = parsed.positionals
  if (file === undefined || stray !== undefined) {
    console.error('asbru: explain takes one file that holds a request.\nSee asbru help.')
    return 2
  }
  const { configPath, configGiven } = parsed.flags
  const source = await readSource(configPath)
  if (source.kind === 'unreadable' || (source.kind === 'missing' && configGiven)) {
    const why = source.kind === 'missing' ? 'does not exist' : source.problem.message
    console.error(`asbru: ${configPath}: ${why}`)
    return 1
  }
  const { snapshot, problems } = loadConfig({
    text: source.kind === 'text' ? source.text : undefined,
    path: source.kind === 'text' ? configPath : undefined,
    env,
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    generation: 1,
  })
  if (!snapshot) {
    for (const problem of problems) console.error(problemLine(configPath, problem))
    return 1
  }
  const log = createLogger({ level: 'error', style: 'json', write: (line) => console.error(line) })
  const explainer = createExplainer(offlineGateway(snapshot, log))
  let explanation: Record<string, unknown>
  try {
    const text = await (isStandardInput ? Bun.stdin : Bun.file(file)).text()
    explanation = JSON.parse(await explainer(asRequest(text))) as Record<string, unknown>
  } catch (thrown) {
    console.error(`asbru: ${file}: ${messageOf(thrown)}`)
    return 1
  }
  const text = `${JSON.stringify(explanation, null, 2)}\n`
  return await output(text, explanation['refused'] === true ? 1 : 0)
}

/** A body alone becomes the request that it is most likely the body of. */
function asRequest(text: string): string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The explainer says what is wrong with it.
    return text
  }
  if (!isRecord(value) || 'path' in value) return text
  const path = 'input' in value && !('messages' in value) ? '/v1/responses' : '/v1/chat/completions'
  // The body keeps the bytes it was written in.
  return `{"path":"${path}","body":${text}}`
}

function messageOf(thrown: unknown): string {
  const { code } = (thrown ?? {}) as { code?: unknown }
  if (code === 'ENOENT') return 'there is no such file'
  // What the system says; errors of the gateway's own have codes as well.
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return `the file cannot be read (${code})`
  return toGatewayError(thrown).message
}
