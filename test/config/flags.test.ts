import { describe, expect, test } from 'bun:test'
import { join, resolve } from 'node:path'

import { environmentSettings, readEnvironment, userConfigDir } from '#config/env.ts'

import { parseFlags } from '../../src/cli/flags.ts'
import type { OwnFlags } from '../../src/cli/flags.ts'

const home = { XDG_CONFIG_HOME: '/home/me/.config', HOME: '/home/me' }

function flags(line: string, env: Record<string, string> = home, own: OwnFlags = {}) {
  const result = parseFlags(line === '' ? [] : line.split(' '), env, own)
  if (!result.ok) throw new Error(result.message)
  return result
}

function complaint(line: string, env: Record<string, string> = home): string {
  const result = parseFlags(line.split(' '), env)
  if (result.ok) throw new Error('accepted')
  expect(result.exitCode).toBe(2)
  return result.message
}

test('defaults', () => {
  const base = userConfigDir(home)!
  expect(flags('').flags).toEqual({
    appDir: resolve(join(base, 'asbru')),
    host: 'localhost',
    port: 8080,
    logLevel: 'info',
    logStyle: 'json',
    configPath: resolve(join(base, 'asbru', 'config.json')),
    configGiven: false,
    help: false,
    version: false,
  })
})

test('every spelling of a flag', () => {
  for (const line of ['--port 9000', '--port=9000', '-port 9000', '-port=9000']) {
    expect(flags(line).flags.port).toBe(9000)
  }
  const { flags: all } = flags(
    '-app-dir /data -host 0.0.0.0 --log-level=WARN -log-style pretty --config c.json --port 0',
  )
  expect(all).toMatchObject({
    appDir: resolve('/data'),
    host: '0.0.0.0',
    port: 0,
    logLevel: 'warn',
    logStyle: 'pretty',
    configPath: resolve('c.json'),
    configGiven: true,
  })
  for (const line of ['--help', '-h', '-help']) expect(flags(line).flags.help).toBe(true)
  for (const line of ['--version', '-v', '-version']) expect(flags(line).flags.version).toBe(true)
})

test('the configuration of another app dir', () => {
  expect(flags('--app-dir /data').flags).toMatchObject({
    configPath: resolve('/data/config.json'),
    configGiven: false,
  })
})

test('commands and their own flags', () => {
  const own = { schema: 'boolean', chunks: 'string' } as const
  const result = flags('check --schema -chunks 5 --port 1 file', home, own)
  expect(result.positionals).toEqual(['check', 'file'])
  expect(result.own).toEqual({ schema: true, chunks: '5' })
  expect(flags('-- --port', home).positionals).toEqual(['--port'])
})

describe('the environment', () => {
  test('ours beats Bifrost’s, which beats the container’s; a flag beats them all', () => {
    const env = { ...home, APP_PORT: '1', BIFROST_PORT: '2', ASBRU_PORT: '3' }
    expect(flags('', env).flags.port).toBe(3)
    expect(flags('', { ...env, ASBRU_PORT: '' }).flags.port).toBe(2)
    expect(flags('', { ...home, APP_PORT: '1' }).flags.port).toBe(1)
    expect(flags('--port 4', env).flags.port).toBe(4)
  })

  test('every name', () => {
    expect(
      flags('', {
        APP_DIR: '/d',
        BIFROST_HOST: '::',
        LOG_LEVEL: 'debug',
        LOG_STYLE: 'pretty',
        ASBRU_CONFIG: '/etc/c.json',
      }).flags,
    ).toMatchObject({
      appDir: resolve('/d'),
      host: '::',
      logLevel: 'debug',
      logStyle: 'pretty',
      configPath: resolve('/etc/c.json'),
      configGiven: true,
    })
    expect(environmentSettings({ BIFROST_LOG_LEVEL: ' info ' }).logLevel).toEqual({
      name: 'BIFROST_LOG_LEVEL',
      value: 'info',
    })
  })

  test('a bad variable is named', () => {
    expect(complaint('serve', { ...home, APP_PORT: 'http' })).toContain('APP_PORT must be a number')
    expect(complaint('serve', { ...home, LOG_LEVEL: 'inf' })).toBe(
      'LOG_LEVEL must be one of debug, info, warn, error. Did you mean "info"?',
    )
  })

  test('without a home the current folder is the app dir', () => {
    expect(flags('', {}).flags.appDir).toBe(resolve('.'))
  })

  test('the folder of each system', () => {
    const env = { HOME: '/h', APPDATA: 'C:\\R', XDG_CONFIG_HOME: '/x' }
    expect(userConfigDir(env, 'linux')).toBe('/x')
    expect(userConfigDir({ HOME: '/h' }, 'linux')).toBe('/h/.config')
    expect(userConfigDir(env, 'darwin')).toBe('/h/Library/Application Support')
    expect(userConfigDir(env, 'win32')).toBe('C:\\R')
    expect(userConfigDir({}, 'linux')).toBeUndefined()
  })

  test('is a copy', () => {
    const env = readEnvironment()
    env['ASBRU_TEST_ONLY'] = '1'
    expect(readEnvironment()['ASBRU_TEST_ONLY']).toBeUndefined()
  })
})

describe('complaints', () => {
  const cases: readonly [line: string, words: string][] = [
    ['--prot 1', 'unknown flag --prot. Did you mean "--port"?'],
    ['-prot 1', 'unknown flag --prot.'],
    ['--no-such', 'unknown flag --no-such.'],
    ['-x', 'unknown flag -x.'],
    ['--port', '--port needs a value'],
    ['--port --host a', '--port needs a value'],
    ['--port=', '--port needs a value'],
    ['--port 70000', '--port must be a number from 0 to 65535, not "70000"'],
    ['--port 1e3', '--port must be a number'],
    ['--port=-1', '--port must be a number'],
    ['--help=maybe', '--help takes no value'],
    ['--log-style xml', '--log-style must be one of json, pretty.'],
  ]
  for (const [line, words] of cases) test(line, () => expect(complaint(line)).toContain(words))
})
