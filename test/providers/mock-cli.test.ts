import { expect, test } from 'bun:test'

const program = `import { mock } from '#cli/mock.ts'; process.exit(await mock(process.argv.slice(1)))`

function start(...argv: string[]) {
  return Bun.spawn({
    cmd: [process.execPath, '-e', program, '--', ...argv],
    cwd: `${import.meta.dir}/../..`,
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of stdout) {
    text += decoder.decode(piece, { stream: true })
    if (text.includes('\n')) break
  }
  return text.split('\n')[0]!
}

test.each(['SIGTERM', 'SIGINT'] as const)('serves with its faults until %s', async (signal) => {
  const running = start(
    '--port',
    '0',
    '--host',
    '127.0.0.1',
    '--status',
    '429',
    '--retry-after',
    '7',
  )
  const line = await firstLine(running.stdout)
  expect(line).toMatch(/^asbru mock listens on http:\/\/127\.0\.0\.1:\d+\/v1$/)
  const response = await fetch(`${line.split(' ').at(-1)}/models`)
  expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7'])
  running.kill(signal)
  expect(await running.exited).toBe(0)
})

test('its flags take one dash too', async () => {
  const running = start('-port', '0', '-host=127.0.0.1', '-status', '503', '-no-done')
  const line = await firstLine(running.stdout)
  const response = await fetch(`${line.split(' ').at(-1)}/models`)
  expect(response.status).toBe(503)
  running.kill()
  expect(await running.exited).toBe(0)
})

test.each([
  [['-prot', '1'], "Unknown option '--prot'"],
  [['--statsu', '1'], "Unknown option '--statsu'"],
  [['--status', '9'], "fault 'status' needs a whole number from 300 to 599"],
  [['--port', 'x'], '--port needs a whole number from 0 to 65535'],
  [['--malformed', 'stray'], 'stray'],
])('refuses %p', async (argv, message) => {
  const running = start(...argv)
  expect(await running.exited).toBe(2)
  expect(await running.stderr.text()).toContain(message)
  expect(await running.stdout.text()).toBe('')
})

test('a port that is taken ends with 1', async () => {
  using taken = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  const running = start('--host', '127.0.0.1', '--port', String(taken.port))
  expect(await running.exited).toBe(1)
  expect(await running.stderr.text()).toStartWith(`cannot listen on 127.0.0.1:${taken.port}: `)
})

test('help names every flag', async () => {
  const running = start('--help')
  expect(await running.exited).toBe(0)
  expect(await running.stdout.text()).toContain('--first-token-delay N')
})
