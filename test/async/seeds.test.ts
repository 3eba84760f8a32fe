import { expect, test } from 'bun:test'
import { join } from 'node:path'

import { startRig } from './rig.ts'

// The examples of the contract, run as they are written but for the address of the gateway.

const python = Bun.spawnSync(['python3', '-c', 'import openai'])
if (python.exitCode !== 0) console.log('no Python with the openai package here: skipped')

const folder = join(import.meta.dir, '../fixtures/async')
const node = Bun.which('node')
const javascript: [string, string[]][] = [
  ['Bun', [process.execPath, 'run', '-']],
  ...(node === null ? [] : [['Node', [node, '--input-type=module', '-']] as [string, string[]]]),
]
const programs: [string, string, string[]][] = [
  ...['chat.py', 'responses.py'].flatMap((name): [string, string, string[]][] =>
    python.exitCode === 0 ? [[name, 'Python', ['python3', '-']]] : [],
  ),
  ...['chat.mjs', 'responses.mjs'].flatMap((name) =>
    javascript.map(([what, command]): [string, string, string[]] => [name, what, command]),
  ),
]

test.each(programs)(
  '%s in %s',
  async (name, _, command) => {
    await using rig = await startRig()
    const written = await Bun.file(join(folder, name)).text()
    const program = written.replace('http://localhost:8080', rig.gateway.url)
    expect(program).not.toBe(written)
    const run = Bun.spawn(command, {
      cwd: join(import.meta.dir, '../..'),
      stdin: new Blob([program]),
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [out, error] = await Promise.all([run.stdout.text(), run.stderr.text()])
    expect([await run.exited, error]).toEqual([0, ''])
    expect(out.trim()).not.toBe('')
    // The provider was asked once, however often the job was.
    expect(rig.upstream.requests).toHaveLength(1)
    expect(rig.upstream.requests[0]!.json()).toMatchObject({ model: 'gpt-4o-mini' })
  },
  30_000,
)
