import { describe, expect, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'

import { configJsonSchema } from '#config/schema-document.ts'
import { VERSION } from '#core/version.ts'
import { PRICES_DATE, PRICES_VERSION } from '#prices/data.ts'

import { COMMAND, run, scratch } from './program.ts'

const openai = (value: string): string =>
  JSON.stringify({ providers: { openai: { keys: [{ name: 'k', value, weight: 1 }] } } }, null, 2)

describe('what it says of itself', () => {
  test.each(['help', '--help', '-help', '-h', 'serve --help', 'check -h'])('%s', async (line) => {
    const { code, stdout, stderr } = await run(line.split(' '))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const word of ['serve', 'check', 'mock', 'bench', 'version', '--config', '--port']) {
      expect(stdout).toContain(word)
    }
  })

  test.each<[string, string]>([
    ['mock --help', '--first-token-delay N'],
    ['mock -h', '--never-end'],
    ['bench -help', '--quick'],
  ])('%s tells the flags of that command', async (line, flag) => {
    const { code, stdout, stderr } = await run(line.split(' '))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(flag)
  })

  const versions = ['version', '--version', '-version', '-v', 'serve --version', 'check -v']
  test.each(versions)('%s', async (line) => {
    expect(await run(line.split(' '))).toEqual({
      code: 0,
      stdout: `${VERSION}\nprices of ${PRICES_DATE} (genai-prices ${PRICES_VERSION})\n`,
      stderr: '',
    })
  })
})

describe('what it does not know', () => {
  test('a command', async () => {
    const { code, stdout, stderr } = await run(['sreve'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain("'sreve'")
    expect(stderr).toContain('Usage')
  })

  test.each([
    [['serve', '--prot', '80'], '--prot', '--port'],
    [['-prot', '80'], 'prot', '--port'],
    [['check', '--shema'], '--shema', '--schema'],
  ])('a flag: %j', async (args, given, meant) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(given)
    expect(stderr).toContain(meant)
  })

  test.each<[string[], string]>([
    [['serve', '--port'], '--port needs a value'],
    [['serve', '--port', 'eighty'], '--port must be a number'],
    [['serve', '--port', '65536'], '65535'],
    [['serve', '--port=-1'], '--port'],
    [['serve', '--log-level', 'loud'], 'debug, info, warn, error'],
    [['serve', '--log-style', 'fancy'], 'json, pretty'],
    [['serve', 'something'], "'something'"],
    [['check', 'a.json', 'b.json'], "'b.json'"],
  ])('%j', async (args, says) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(says)
  })

  test('a variable of the environment', async () => {
    const { code, stderr } = await run(['serve'], { env: { ASBRU_PORT: 'eighty' } })
    expect(code).toBe(2)
    expect(stderr).toContain('ASBRU_PORT')
  })
})

describe('check', () => {
  test('a valid file is printed as it would run, secrets hidden', async () => {
    using dir = scratch()
    writeFileSync(dir.file('config.json'), openai('sk-secret-0123456789'))
    for (const args of [
      ['check', dir.file('config.json')],
      ['check', '--config', dir.file('config.json')],
      ['check', '-app-dir', dir.path],
    ]) {
      const { code, stdout } = await run(args)
      expect(code).toBe(0)
      expect(stdout).not.toContain('0123456789')
      const [json] = stdout.split(/\n(?=warning: )/)
      expect(JSON.parse(json!)).toMatchObject({ providers: { openai: {} } })
    }
  })

  // A pipe takes 64 KB at once, and the schema has more.
  test('a reader that is busy at first gets all of it', async () => {
    const busy = '"$@" | { "$@" > /dev/null; "$@" > /dev/null; cat; }'
    const child = Bun.spawn(['sh', '-c', busy, 'sh', ...COMMAND, 'check', '--schema'], {
      env: { PATH: process.env['PATH'] },
    })
    expect(await child.stdout.json()).toEqual(configJsonSchema())
    expect(await child.exited).toBe(0)
  })

  test.skipIf(process.platform !== 'linux')('a full disk is a failure', async () => {
    const child = Bun.spawn(
      ['sh', '-c', '"$@" > /dev/full', 'sh', ...COMMAND, 'check', '--schema'],
      {
        env: { PATH: process.env['PATH'] },
        stderr: 'pipe',
      },
    )
    expect(await child.stderr.text()).toStartWith('asbru: the output cannot be written: ENOSPC')
    expect(await child.exited).toBe(1)
  })

  test('nothing configured is valid too', async () => {
    using dir = scratch()
    expect((await run(['check', '--app-dir', dir.path])).code).toBe(0)
  })

  test('every problem is listed with its place', async () => {
    using dir = scratch()
    const path = dir.file('config.json')
    writeFileSync(
      path,
      '{\n  "providers": {\n    "openai": { "keyz": [] }\n  },\n  "client": {\n    "drop_excess_requests": "yes"\n  }\n}\n',
    )
    const { code, stdout } = await run(['check', path])
    expect(code).toBe(1)
    expect(stdout).toContain(`${path}:3:17 /providers/openai/keyz`)
    expect(stdout).toContain('keys')
    expect(stdout).toMatch(new RegExp(`${path}:6:\\d+ /client/drop_excess_requests`))
  })

  test.each([
    ['no JSON', '{"providers": {', /config\.json:\d+:\d+ /],
    ['nothing', '', /config\.json:\d+:\d+ /],
    ['a list', '[]', /config\.json:1:1 /],
  ])('%s', async (_, text, says) => {
    using dir = scratch()
    writeFileSync(dir.file('config.json'), text)
    const { code, stdout } = await run(['check', dir.file('config.json')])
    expect(code).toBe(1)
    expect(stdout).toMatch(says)
  })

  test('a file that is not there, and one that is a folder', async () => {
    using dir = scratch()
    const missing = await run(['check', dir.file('none.json')])
    expect(missing.code).toBe(1)
    expect(missing.stdout).toContain('no such file')
    mkdirSync(dir.file('folder.json'))
    expect((await run(['check', dir.file('folder.json')])).code).toBe(1)
  })

  test('--schema prints the schema that validates, whole, also through a pipe', async () => {
    const { code, stdout } = await run(['check', '--schema'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(configJsonSchema())))
  })

  test('--json is one document', async () => {
    using dir = scratch()
    writeFileSync(dir.file('config.json'), '{"nope": 1}')
    const { code, stdout } = await run(['check', '--json', dir.file('config.json')])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      problems: [{ pointer: '/nope', line: 1 }],
    })
  })
})
