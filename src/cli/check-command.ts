import type { Environment } from '#config/reference.ts'
import { readSource } from '#config/source.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import { check } from './check.ts'
import { parseFlags } from './flags.ts'
import { output } from './output.ts'

/** `asbru check [FILE] [--schema] [--json]`. Returns the exit code: 0 valid, 1 not, 2 used wrongly. */
export async function checkCommand(argv: readonly string[], env: Environment): Promise<number> {
  const parsed = parseFlags(argv, env, { schema: 'boolean', json: 'boolean' })
  if (!parsed.ok) {
    console.error(`asbru: ${parsed.message}\nSee asbru help.`)
    return parsed.exitCode
  }
  const [file, stray] = parsed.positionals
  if (stray !== undefined) {
    console.error(`asbru: check takes one file, not '${stray}' as well.`)
    return 2
  }
  const { flags, own } = parsed
  const named = file !== undefined || flags.configGiven
  const path = file ?? flags.configPath
  const exists = named || (await readSource(path)).kind !== 'missing'
  let text = ''
  const code = await check({
    configPath: exists ? path : undefined,
    schema: own['schema'] === true,
    json: own['json'] === true,
    vendors: VENDOR_FACTS,
    operations: OPERATION_NAMES,
    write: (part) => {
      text += part
    },
    env,
  })
  return await output(text, code)
}
