import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { environmentSettings, userConfigDir } from '#config/env.ts'
import type { Setting } from '#config/env.ts'
import type { Environment } from '#config/reference.ts'
import { didYouMean } from '#config/suggest.ts'

import { doubleDash } from './dash.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogStyle = 'json' | 'pretty'

export interface Flags {
  readonly appDir: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  readonly logLevel: LogLevel
  readonly logStyle: LogStyle
  readonly configPath: string
  /** Somebody named the file, so that it is an error when it is missing. */
  readonly configGiven: boolean
  readonly help: boolean
  readonly version: boolean
}

export type FlagsResult =
  | {
      readonly ok: true
      readonly flags: Flags
      /** Values of the command's own flags that were given. */
      readonly own: Readonly<Record<string, string | boolean>>
      readonly positionals: readonly string[]
    }
  | { readonly ok: false; readonly message: string; readonly exitCode: 2 }

/** A command's own flags; Bifrost's single dash works for them too. */
export type OwnFlags = Readonly<Record<string, 'string' | 'boolean'>>

const shared = {
  'app-dir': 'string',
  port: 'string',
  host: 'string',
  'log-level': 'string',
  'log-style': 'string',
  config: 'string',
  help: 'boolean',
  version: 'boolean',
} as const satisfies OwnFlags

const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
const logStyles: readonly LogStyle[] = ['json', 'pretty']

/**
 * Reads a command line without the program's name. A flag beats its environment variable, which beats the
 * default. Only the app dir and `--config` are looked at for a configuration, never the current folder.
 */
export function parseFlags(
  argv: readonly string[],
  env: Environment,
  own: OwnFlags = {},
): FlagsResult {
  const known: OwnFlags = { ...shared, ...own }
  const given: Record<string, string | boolean> = {}
  const positionals: string[] = []
  const { tokens } = parseArgs({
    args: argv.map(doubleDash),
    options: Object.fromEntries(Object.entries(known).map(([name, type]) => [name, { type }])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, value, rawName } = token
    const type = Object.hasOwn(known, name) ? known[name] : undefined
    if (type === undefined) {
      const flags = Object.keys(known).map((flag) => `--${flag}`)
      return failure(`unknown flag ${rawName}.${didYouMean(`--${name}`, flags)}`)
    }
    if (type === 'boolean') {
      if (value !== undefined && value !== 'true' && value !== 'false') {
        return failure(`--${name} takes no value`)
      }
      given[name] = value !== 'false'
    } else {
      const swallowed = value?.startsWith('-') === true && token.inlineValue === false
      if (value === undefined || value === '' || swallowed)
        return failure(`--${name} needs a value`)
      given[name] = value
    }
  }
  return settle(given, own, positionals, env)
}

function settle(
  given: Readonly<Record<string, string | boolean>>,
  own: OwnFlags,
  positionals: readonly string[],
  env: Environment,
): FlagsResult {
  const variables = environmentSettings(env)
  const pick = (flag: keyof typeof shared, variable: Setting | undefined): Setting | undefined => {
    const value = given[flag]
    return typeof value === 'string' ? { name: `--${flag}`, value } : variable
  }

  const port = pick('port', variables.port)
  if (port && (!/^\d{1,5}$/.test(port.value) || Number(port.value) > 65_535)) {
    return failure(
      `${port.name} must be a number from 0 to 65535, not ${JSON.stringify(port.value)}`,
    )
  }
  const level = choose(pick('log-level', variables.logLevel), logLevels, 'info')
  if (typeof level === 'object') return level
  const style = choose(pick('log-style', variables.logStyle), logStyles, 'json')
  if (typeof style === 'object') return style

  const base = userConfigDir(env)
  const appDir = resolve(
    pick('app-dir', variables.appDir)?.value ?? (base === undefined ? '.' : join(base, 'asbru')),
  )
  const config = pick('config', variables.configPath)
  return {
    ok: true,
    flags: {
      appDir,
      host: pick('host', variables.host)?.value ?? 'localhost',
      port: Number(port?.value ?? 8080),
      logLevel: level,
      logStyle: style,
      configPath: config ? resolve(config.value) : join(appDir, 'config.json'),
      configGiven: config !== undefined,
      help: given['help'] === true,
      version: given['version'] === true,
    },
    own: Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(own, name))),
    positionals,
  }
}

function choose<T extends string>(
  setting: Setting | undefined,
  choices: readonly T[],
  standard: T,
): T | Extract<FlagsResult, { ok: false }> {
  if (!setting) return standard
  const found = choices.find((choice) => choice === setting.value.toLowerCase())
  if (found !== undefined) return found
  const hint = didYouMean(setting.value, choices)
  return failure(`${setting.name} must be one of ${choices.join(', ')}.${hint}`)
}

function failure(message: string): Extract<FlagsResult, { ok: false }> {
  return { ok: false, message, exitCode: 2 }
}
