import type { Environment } from './reference.ts'

// The only file that reads the process environment.

/** A copy of the process environment as it is now. */
export function readEnvironment(): Record<string, string | undefined> {
  return { ...process.env }
}

/**
 * Takes the proxy variables out of this process, whose copy of the environment has been read: `fetch` would obey
 * them for every call, also for one whose configuration says that it goes through no proxy or another one.
 */
export function takeProxiesOver(): void {
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY']) {
    delete process.env[name]
    delete process.env[name.toLowerCase()]
  }
}

/** A value and the variable it came from, so that a complaint can name it. */
export interface Setting {
  readonly name: string
  readonly value: string
}

export interface EnvironmentSettings {
  readonly appDir: Setting | undefined
  readonly port: Setting | undefined
  readonly host: Setting | undefined
  readonly logLevel: Setting | undefined
  readonly logStyle: Setting | undefined
  readonly configPath: Setting | undefined
}

/** Our names first, then Bifrost's, then those of its container. An empty variable counts as not set. */
const names = {
  appDir: ['ASBRU_APP_DIR', 'BIFROST_APP_DIR', 'APP_DIR'],
  port: ['ASBRU_PORT', 'BIFROST_PORT', 'APP_PORT'],
  host: ['ASBRU_HOST', 'BIFROST_HOST', 'APP_HOST'],
  logLevel: ['ASBRU_LOG_LEVEL', 'BIFROST_LOG_LEVEL', 'LOG_LEVEL'],
  logStyle: ['ASBRU_LOG_STYLE', 'BIFROST_LOG_STYLE', 'LOG_STYLE'],
  configPath: ['ASBRU_CONFIG'],
} as const satisfies Record<keyof EnvironmentSettings, readonly string[]>

/** What the environment says about the flags of the command line, unchecked. */
export function environmentSettings(env: Environment): EnvironmentSettings {
  const first = (candidates: readonly string[]): Setting | undefined => {
    for (const name of candidates) {
      const value = env[name]?.trim()
      if (value) return { name, value }
    }
    return undefined
  }
  return {
    appDir: first(names.appDir),
    port: first(names.port),
    host: first(names.host),
    logLevel: first(names.logLevel),
    logStyle: first(names.logStyle),
    configPath: first(names.configPath),
  }
}

/** The folder for an application's own files on this system; undefined when the user has no home. */
export function userConfigDir(
  env: Environment,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  const home = env['HOME'] || env['USERPROFILE']
  if (platform === 'win32') return env['APPDATA'] || (home && `${home}\\AppData\\Roaming`)
  if (platform === 'darwin') return home && `${home}/Library/Application Support`
  return env['XDG_CONFIG_HOME'] || (home && `${home}/.config`)
}
