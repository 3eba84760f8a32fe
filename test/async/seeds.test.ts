import { expect, test } from 'bun:test'
import { join } from 'node:path'

import { startRig } from './rig.ts'

// The examples of the contract, run as they are written but for the address of the gateway.

const python = Bun.spawnSync(['python3', '-c', 'import openai'])
if (python.exitCode !== 0) console.log('no Python with the openai package here: skipped')

const folder = join(import.meta.dir, '../fixtures/async')

test.each(['chat.py', 'responses.py', 'chat.mjs', 'responses.mjs'])(
  '%s',
  async (name) => {
    const isPython = name.endsWith('.py')
    if (isPython && python.exitCode !== 0) return
    await using rig = await startRig()
    const written = await Bun.file(join(folder, name)).text()
    const program = written.replace('http://localhost:8080', rig.gateway.url)
    expect(program).not.toBe(written)
    const run = Bun.spawn(isPython ? ['python3', '-'] : [process.execPath, 'run', '-'], {
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
