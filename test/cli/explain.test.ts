import { describe, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'

import { run, scratch } from './program.ts'

// `asbru explain`: without a gateway running, and without sending anything.

const CHAT = { model: 'openai/gpt-x', messages: [{ role: 'user', content: 'hi' }] }
const secret = 'sk-very-secret-0123456789'
const config = {
  providers: {
    openai: {
      keys: [{ name: 'main', value: secret, models: ['*'], weight: 1 }],
      // Nobody listens there: whoever asked would get no answer.
      network_config: { base_url: 'http://127.0.0.1:1', allow_private_network: true },
    },
  },
}

describe('explain', () => {
  test.each([
    ['a chat', CHAT, '/v1/chat/completions'],
    ['a response', { model: 'openai/gpt-x', input: 'hi' }, '/v1/responses'],
    [
      'a request',
      { path: '/v1/embeddings', body: { model: 'openai/e', input: 'x' } },
      '/v1/embeddings',
    ],
  ])('says what would be done with %s', async (_, document, path) => {
    using dir = scratch()
    writeFileSync(dir.file('config.json'), JSON.stringify(config))
    writeFileSync(dir.file('request.json'), JSON.stringify(document))
    const { code, stdout, stderr } = await run([
      'explain',
      dir.file('request.json'),
      '--config',
      dir.file('config.json'),
    ])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).not.toContain(secret)
    const { candidates } = JSON.parse(stdout)
    expect(candidates).toHaveLength(1)
    expect(candidates[0]).toMatchObject({
      provider: 'openai',
      keys: [{ name: 'main', verdict: 'allowed', share: 1 }],
      prospects: [
        {
          request: {
            url: `http://127.0.0.1:1${path}`,
            headers: { authorization: '[redacted]' },
          },
        },
      ],
    })
  })

  test('finds the configuration in the app dir, and does without one', async () => {
    using dir = scratch()
    const file = dir.file('request.json')
    writeFileSync(file, JSON.stringify({ ...CHAT, model: 'mock/echo' }))
    const { code, stdout } = await run(['explain', file, '--app-dir', dir.path])
    expect([code, JSON.parse(stdout).provider]).toEqual([0, 'mock'])
    writeFileSync(dir.file('config.json'), JSON.stringify(config))
    writeFileSync(file, JSON.stringify(CHAT))
    expect((await run(['explain', file, '--app-dir', dir.path])).code).toBe(0)
  })

  test('says why a request would be refused, and fails', async () => {
    using dir = scratch()
    const file = dir.file('request.json')
    writeFileSync(file, JSON.stringify({ ...CHAT, messages: 'hi' }))
    const { code, stdout } = await run(['explain', file, '--app-dir', dir.path])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      refused: true,
      status: 400,
      error: { error: { param: 'messages' } },
    })
  })

  test('says what is wrong with how it was called', async () => {
    using dir = scratch()
    const bad = dir.file('bad.json')
    writeFileSync(bad, '{"model": ')
    const files = [
      [[], 2, 'takes one file'],
      [['a.json', 'b.json'], 2, 'takes one file'],
      [[dir.file('none.json')], 1, 'there is no such file'],
      [[dir.path], 1, 'the file cannot be read (EISDIR)'],
      [[bad], 1, 'not valid JSON'],
      [[bad, '--config', dir.file('none.json')], 1, 'does not exist'],
      [[bad, '--nonsense'], 2, '--nonsense'],
    ] as const
    for (const [args, status, said] of files) {
      const { code, stderr, stdout } = await run(['explain', ...args, '--app-dir', dir.path])
      expect([code, stdout]).toEqual([status, ''])
      expect(stderr).toContain(said)
    }
    writeFileSync(dir.file('config.json'), '{"providers": {"openai": {"kees": []}}}')
    const { code, stderr } = await run(['explain', bad, '--app-dir', dir.path])
    expect(code).toBe(1)
    expect(stderr).toContain('kees')
  })
})
