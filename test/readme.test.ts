// The README is executed: what it says to type is typed, what it says to expect is compared.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { describe as describeConfig } from '#config/describe.ts'
import { environmentSettings } from '#config/env.ts'
import { loadConfig } from '#config/load.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'

import manifest from '../package.json' with { type: 'json' }
import { benchSection, providerTable, replaceUnder } from '../src/build/readme.ts'
import { startGateway } from './helpers/gateway.ts'
import type { TestGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

const root = join(import.meta.dir, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const address = 'http://localhost:8080'

const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({
  language: language!,
  text: text!,
}))
const prose = readme.replaceAll(/^```.*?^```$/gms, '')
/** What stands between backticks in the prose. */
const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!)
const shell = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text)

let gateway: TestGateway
let dir: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'asbru-readme-'))
  gateway = await startGateway({ logs: true })
})

afterAll(async () => {
  await gateway.stop()
  rmSync(dir, { recursive: true, force: true })
})

interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

async function run(command: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: dir, ...env },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ])
  return { stdout, stderr, exitCode }
}

/** The program under test with arguments, as its user would call it. */
function asbru(args: readonly string[], env?: Record<string, string>): Promise<Ran> {
  const binary = process.env['ASBRU_BINARY']
  const program = binary === undefined ? [process.execPath, 'src/main.ts'] : [binary]
  return run([...program, ...args], env)
}

/** The words of a simple command: single quotes, and a comment at its end. */
function wordsOf(command: string): string[] {
  const words = command.matchAll(/(?<=^|\s)(?:'([^']*)'|(#.*)|(\S+))/g)
  return [...words].flatMap(([, quoted, comment, plain]) =>
    comment === undefined ? [quoted ?? plain!] : [],
  )
}

interface Example {
  readonly words: readonly string[]
  /** The comment below the command, without its `# `. */
  readonly expected: string | undefined
}

function examplesIn(text: string): Example[] {
  const commands = text.replaceAll(/\\\n\s*/g, '').matchAll(/^([^#\s].*)\n((?:# .*\n)*)/gm)
  return [...commands].map(([, command, comment]) => ({
    words: wordsOf(command!),
    expected: comment === '' ? undefined : comment!.replaceAll(/^# /gm, '').trim(),
  }))
}

const examples = shell.flatMap(examplesIn)
const curls = examples.filter(({ words }) => words[0] === 'curl')

/** What `curl` prints; without a curl on this machine `fetch` does the same for the flags we use. */
async function curl(words: readonly string[]): Promise<string> {
  const args = words.slice(1).map((word) => word.replace(address, gateway.url))
  if (Bun.which('curl') !== null) {
    const { stdout, exitCode, stderr } = await run(['curl', ...args])
    expect([exitCode, stderr.includes('curl:')]).toEqual([0, false])
    return stdout
  }
  const headers = new Headers()
  let url = ''
  let body: string | undefined
  let withHead = false
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!
    if (word === '-H') {
      const [name = '', value = ''] = args[++at]!.split(/: (.*)/)
      headers.set(name, value)
    } else if (word === '-d') body = args[++at]!
    else if (word === '-i') withHead = true
    else if (word !== '-s') url = word
  }
  const response = await fetch(url, { method: body === undefined ? 'GET' : 'POST', headers, body })
  const fields = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const head = withHead ? `HTTP/1.1 ${response.status} \r\n${fields}\r\n` : ''
  return head + (await response.text())
}

type Json = Record<string, unknown>

/** `actual` with what the README leaves open written as the README writes it: `…`, and how long it took. */
function asWritten(actual: unknown, written: unknown, name = ''): unknown {
  if (written === '…' && typeof actual === 'string') return written
  if (name === 'latency' && typeof actual === 'number') return written
  if (!isObject(actual) || !isObject(written)) return actual
  return Object.fromEntries(
    Object.entries(actual).map(([key, value]) => [key, asWritten(value, written[key], key)]),
  )
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Compares text with text, so that the order of the members counts too. */
function expectWritten(output: string, expected: string): void {
  const tail = /^… ?,(.*)$/s.exec(expected)?.[1]
  const written = JSON.parse(tail === undefined ? expected : `{${tail}`) as Json
  const actual = JSON.parse(output) as Json
  const shown = tail === undefined ? actual : Object.fromEntries(lastOf(actual, written))
  expect(JSON.stringify(asWritten(shown, written))).toBe(JSON.stringify(written))
}

/** As many members from the end as `written` has. */
function lastOf(actual: Json, written: Json): [string, unknown][] {
  return Object.entries(actual).slice(-Object.keys(written).length)
}

describe('a curl of the README', () => {
  test('exists in every kind that is checked below', () => {
    expect(curls.length).toBeGreaterThanOrEqual(5)
    expect(curls.filter(({ expected }) => expected !== undefined).length).toBeGreaterThanOrEqual(2)
    // Wherever the text says curl, an example was found.
    expect(curls).toHaveLength(readme.match(/^curl /gm)!.length)
  })

  test.each(curls.map(({ words, expected }, index) => [index + 1, words, expected] as const))(
    'number %i answers as the README says',
    async (_, words, expected) => {
      expect(words.some((word) => word.startsWith(address))).toBe(true)
      const output = await curl(words)
      const fault = words.map((word) => /!([^"]*)"/.exec(word)?.[1]).find(Boolean)
      if (expected !== undefined) expectWritten(output, expected)
      else if (fault !== undefined) {
        const [, status, seconds] = /status=(\d+);retry-after=(\d+)/.exec(fault)!
        expect(output).toMatch(new RegExp(`^HTTP/1\\.1 ${status}\\b`))
        expect(output.toLowerCase()).toContain(`\r\nretry-after: ${seconds}\r\n`)
      } else if (!words.includes('-d')) {
        // What is asked about calls has seen those before it.
        const answer = JSON.parse(output) as {
          logs?: unknown[]
          total_requests?: number
          overview?: { stats: { total_requests: number } }
        }
        const { logs, overview, total_requests: total } = answer
        expect(logs?.length ?? total ?? overview?.stats.total_requests).toBeGreaterThan(0)
      } else {
        const body = JSON.parse(words[words.indexOf('-d') + 1]!) as { messages: Json[] }
        const answer = JSON.parse(output) as { choices: { message: Json }[] }
        expect(answer.choices[0]!.message['content']).toBe(body.messages[0]!['content'])
        const without = words.some((word) => word.startsWith('x-bf-'))
        expect('extra_fields' in answer).toBe(!without)
      }
    },
  )
})

test('the programs of the README print what they asked for', async () => {
  const programs = blocks.filter(({ language }) => language === 'ts')
  expect(programs).toHaveLength(2)
  // The second needs a provider of another dialect, which the mock plays.
  await using upstream = await startUpstream()
  const keys = [{ value: 'sk-fake' }]
  const other = await startGateway({
    config: { providers: { anthropic: { keys, network_config: { base_url: upstream.url } } } },
  })
  for (const { text } of programs) {
    expect(text).toContain(address)
    const said = [...text.matchAll(/content: '([^']*)'/g)].at(-1)![1]!
    const program = text.replaceAll(address, other.url)
    const { stdout, stderr, exitCode } = await run([process.execPath, '-e', program])
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: said, stderr: '', exitCode: 0 })
  }
  const [, second] = upstream.requests
  expect(second!.json().messages).toHaveLength(3)
  await other.stop()
})

describe('the configuration of the README', () => {
  const [config, ...more] = blocks.filter(({ language }) => language === 'jsonc')
  const variables = [...new Set(config!.text.match(/(?<=env\.)\w+/g))]
  const providers = [...config!.text.matchAll(/^ {4}"([^"]+)": \{/gm)].map(([, name]) => name!)

  test('is valid, without a warning, with its providers', async () => {
    expect(more).toEqual([])
    expect(providers.length).toBeGreaterThan(1)
    expect(variables.length).toBeGreaterThan(1)
    const path = join(dir, 'config.json')
    writeFileSync(path, config!.text)
    const env = Object.fromEntries(variables.map((name) => [name, `secret-of-${name}`]))
    const { stdout, exitCode } = await asbru(['check', path, '--json'], env)
    const report = JSON.parse(stdout) as Json & { config: { providers: Json } }
    expect(report).toMatchObject({ ok: true, problems: [], warnings: [] })
    expect(Object.keys(report.config.providers)).toEqual([...providers, 'mock'])
    expect(stdout).not.toContain('secret-of-')
    expect(exitCode).toBe(0)
  })

  test('is checked against the schema that is printed and served', async () => {
    const { stdout, exitCode } = await asbru(['check', '--schema'])
    expect(exitCode).toBe(0)
    const served = await fetch(`${gateway.url}/schema/config.json`)
    expect(JSON.parse(stdout)).toEqual(await served.json())
  })

  test('has the defaults of the table of settings', () => {
    const table = /^\| setting \| default \|.*\n\|.*\n((?:\|.*\n)+)/m.exec(readme)![1]!
    const rows = table
      .trim()
      .split('\n')
      .flatMap((line) => {
        const [, names, defaults] = line.split('|').map((cell) => cell.replaceAll('`', '').trim())
        const values = defaults!.split(', ')
        return names!.split(', ').map((name, index) => [name, values[index]!] as const)
      })
    const { snapshot, problems } = loadConfig({
      text: '{ "providers": { "openai": {} } }',
      env: {},
      vendors: VENDOR_FACTS,
      operations: OPERATION_NAMES,
      generation: 1,
    })
    expect(problems).toEqual([])
    const { client, providers: all } = describeConfig(snapshot!) as {
      client: Json
      providers: { openai: { network_config: Json } }
    }
    const network = all.openai.network_config
    const real = Object.fromEntries(
      rows.map(([name]) => {
        const [section, field] = name.split('.') as [string, string]
        return [name, (section === 'client' ? client : network)[field]]
      }),
    )
    const written = Object.fromEntries(
      rows.map(([name, value]) => [
        name,
        value === 'as below' ? network['default_request_timeout_in_seconds'] : JSON.parse(value),
      ]),
    )
    expect(rows.length).toBeGreaterThan(10)
    expect(real).toEqual(written)
  })
})

describe('what the README names exists', () => {
  test('files and folders', () => {
    const missing: string[] = []
    let folder = 'src'
    const files = spans.filter(
      (span) => /^[\w./*-]+\.ts$/.test(span) || /^src\/[\w./-]*$/.test(span),
    )
    for (const file of files) {
      const path = file.startsWith('src/') ? file : join('src', file)
      // A bare name is a neighbour of the file named before it.
      const whole = file.includes('/') ? path : join(folder, file)
      folder = dirname(whole)
      const found = whole.includes('*')
        ? [...new Bun.Glob(whole).scanSync(root)].length > 0
        : existsSync(join(root, whole))
      if (!found) missing.push(file)
    }
    for (const name of spans.find((span) => span.startsWith('lib ← '))!.split(' ← ')) {
      const path = join(root, 'src', name)
      if (!existsSync(path) && !existsSync(`${path}.ts`)) missing.push(name)
    }
    expect(missing).toEqual([])
    expect(files.length).toBeGreaterThan(10)
  })

  test('scripts, and the version of Bun', () => {
    const scripts = [...readme.matchAll(/\bbun(?:@\S+)? run ([\w:-]+)/g)].map(([, name]) => name!)
    expect(scripts.length).toBeGreaterThan(4)
    expect(scripts.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([])
    const versions = readme.match(/\bbun@[\d.]+/g)!
    expect([...new Set(versions)]).toEqual([manifest.packageManager])
  })

  test('commands and flags', async () => {
    const { stdout: help, exitCode } = await asbru(['help'])
    expect(exitCode).toBe(0)
    const code = [...spans, ...blocks.map(({ text }) => text)]
    const commands = code.flatMap((text) =>
      [...text.matchAll(/(?<=^|\s{2,}|\n)asbru \[?([a-z]+)/g)].map(([, name]) => name!),
    )
    const listed = [...help.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!)
    expect([...new Set(commands)].toSorted()).toEqual(listed.toSorted())
    const flags = spans.flatMap((span) => span.match(/(?<=^| )--[a-z-]+/g) ?? [])
    expect(flags.length).toBeGreaterThan(5)
    expect(flags.filter((flag) => !help.includes(`${flag} `))).toEqual([])
  })

  test('environment variables', () => {
    const variables = spans.filter((span) => /^ASBRU_[A-Z_]+$/.test(span))
    const unread = variables.filter(
      (name) => !Object.values(environmentSettings({ [name]: 'x' })).some(Boolean),
    )
    expect(variables).toHaveLength(6)
    expect(unread).toEqual([])
  })

  test('pages for operators', async () => {
    const paths = readme.match(/(?<=[\s`])\/(?:docs|health|schema)\b[\w/.]*/g)!
    for (const path of new Set(paths)) {
      const response = await fetch(gateway.url + path)
      expect([path, response.status]).toEqual([path, 200])
    }
    expect(new Set(paths).size).toBeGreaterThanOrEqual(4)
  })
})

describe('tables that are made', () => {
  test('the providers are those of the registry (`bun src/build/readme.ts` rewrites them)', () => {
    expect(replaceUnder(readme, 'providers', providerTable())).toBe(readme)
  })

  const table = '| scenario | floor |\n| --- | ---: |\n| unary | 1.0 |'
  const about =
    'A CPU, 2 cores, linux, Bun 1.4.5, 2026-11-21; load before 0.1; gateway: compiled; pinned.'

  test('figures come out of a bench, printed or as JSON', () => {
    expect(benchSection(`… unary\n${table}\n\n${about}\nPROBLEM none\n`)).toBe(
      `${table}\n\n${about}`,
    )
    const report = {
      machine: { cpu: 'A CPU', cores: 2, os: 'linux', bun: '1.4.5', date: '2026-11-21', load: 0.1 },
      placed: 'pinned',
      gateway: 'compiled',
      table,
    }
    expect(benchSection(JSON.stringify(report))).toBe(`${table}\n\n${about}`)
    expect(() => benchSection('nothing')).toThrow('no table')
  })

  test('replace what they made before and nothing else', () => {
    const page = '# A\n\n<!-- t -->\n\n| old |\n\nText.\n\n| other |\n'
    const once = replaceUnder(page, 't', table)
    expect(once).toBe(`# A\n\n<!-- t -->\n\n${table}\n\nText.\n\n| other |\n`)
    expect(replaceUnder(once, 't', table)).toBe(once)
    expect(replaceUnder('<!-- t -->\n\n## B\n', 't', table)).toBe(
      `<!-- t -->\n\n${table}\n\n## B\n`,
    )
    expect(() => replaceUnder(page, 'u', table)).toThrow('<!-- u -->')
  })
})
