import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'

import { PROVIDERS } from '#providers/registry.ts'

// The house rules that a reviewer would otherwise have to watch for. Each rule is a function of a path and a text,
// so that a planted violation can show that it can fail.

interface Source {
  /** Below `src`, with forward slashes. */
  readonly path: string
  readonly text: string
}

type Rule = (source: Source) => readonly string[]

/** A folder imports only itself and what stands to its left. `app` and `main` are files. */
const layers = [
  ...['lib', 'core', 'openai', 'config', 'prices', 'store', 'providers', 'mcp'],
  ...['pipeline', 'metrics', 'tracing', 'http'],
  ...['app', 'bench', 'cli', 'build', 'main'],
]

const transpiler = new Bun.Transpiler({ loader: 'ts' })

function layerOf(path: string): string {
  return (path.includes('/') ? path.slice(0, path.indexOf('/')) : path).replace(/\.ts$/, '')
}

/** Type-only imports do not count: the transpiler drops them, and so does the program. */
function importsOf({ path, text }: Source): string[] {
  const folder = path.split('/').slice(0, -1).join('/')
  return transpiler.scanImports(text).flatMap(({ path: target }) => {
    if (target.startsWith('#')) return [target.slice(1)]
    return target.startsWith('.') ? [join(folder, target).replaceAll('\\', '/')] : []
  })
}

const pointsDown: Rule = (source) => {
  const own = layers.indexOf(layerOf(source.path))
  if (own === -1) return [`${source.path} is in a folder that has no place among the layers`]
  return importsOf(source)
    .filter((target) => {
      if (target === '../package.json') return false
      const rank = layers.indexOf(layerOf(target))
      return rank === -1 || rank > own
    })
    .map((target) => `${source.path} imports ${target}, which stands above it`)
}

/** Tools for developers, which never run where the gateway does. */
const isTool = (path: string): boolean => /^(?:bench|build)\//.test(path)

const readsEnvironment: Rule = ({ path, text }) => {
  if (path.startsWith('config/') || path.startsWith('build/')) return []
  return /\b(?:process|Bun|import\.meta)\s*\.\s*env\b/.test(withoutComments(text))
    ? [`${path} reads the environment`]
    : []
}

/** Who opens connections to the outside: every one of them is limited, timed and counted. */
const openers = new Set([
  'pipeline/dispatch.ts',
  'pipeline/reach.ts',
  'pipeline/relay-socket.ts',
  'pipeline/socks.ts',
  'pipeline/tunnel.ts',
  'pipeline/detect.ts',
  'pipeline/errand.ts',
  // What they are opened with.
  'pipeline/fetch-session.ts',
  // A command that asks the gateway itself.
  'cli/tail.ts',
])

const opensConnections: Rule = ({ path, text }) => {
  if (openers.has(path) || isTool(path)) return []
  const code = withoutComments(text)
  const found = [
    // A method of that name is followed by its body, a call is not.
    /(?<![.\w'"`])fetch\((?![^()]*\)\s*(?::[^{=]*)?\{)/,
    /\b(?:Bun|globalThis|self)\s*\.\s*fetch\b|=\s*fetch\b/,
    /\bnew (?:WebSocket|EventSource)\b/,
    /\bBun\s*\.\s*(?:connect|udpSocket|dns|sql|redis|s3)\b/,
    /['"]node:(?:https?|http2|net|tls|dgram|dns)(?:\/promises)?['"]/,
  ].filter((pattern) => pattern.test(code))
  return found.map((pattern) => `${path} opens connections (${pattern.source})`)
}

const holdsSql: Rule = ({ path, text }) => {
  if (path.startsWith('store/')) return []
  return /['"]bun:sqlite['"]|\b(?:SELECT\s[^;]*\sFROM|INSERT\s+(?:OR\s+\w+\s+)?INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET|CREATE\s+(?:TABLE|INDEX|TRIGGER)|PRAGMA)\s/.test(
    withoutComments(text),
  )
    ? [`${path} holds SQL`]
    : []
}

/** The dialect that the gateway itself speaks has a vendor's name, so that name is no vendor's here. */
const vendors = [...PROVIDERS.keys()].filter((name) => name !== 'openai')
/** Names that are words as well count only where a name is meant: as a whole text, or before `/` or `:`. */
const alsoWords = new Set(['together', 'fireworks', 'mock', 'perplexity'])
const shared = /^(?:lib|core|openai|pipeline|http|cli)\/|^(?:app|main)\.ts$/

/** What may name a vendor in shared code, and why. */
const mayName: ReadonlyMap<string, readonly string[]> = new Map([
  // A family of clients, not a provider: their SDK has paths and a user agent of its own.
  ['http/azure.ts', ['azure']],
  // The wire contract has a header of this name, which belongs to the caller's identity.
  ['http/caller.ts', ['azure']],
  ['core/call.ts', ['azure']],
  // The command is named after what it starts.
  ['main.ts', ['mock']],
])

const namesVendors: Rule = ({ path, text }) => {
  if (!shared.test(path)) return []
  const code = withoutComments(text)
  // What is imported from a vendor's own folder is named by its path.
  const own = code.replace(/^import .*$/gm, '')
  return vendors
    .filter((name) => !mayName.get(path)?.includes(name))
    .filter((name) => {
      const asName = new RegExp(`['"\`]${name}['"\`/:]`, 'i')
      // Names stand inside identifiers too: `ollamaUrl`, `toAnthropic`.
      const anywhere = new RegExp(`(?<![a-z])${name}|${name[0]!.toUpperCase()}${name.slice(1)}`)
      return asName.test(own) || (!alsoWords.has(name) && anywhere.test(own))
    })
    .map((name) => `${path} names ${name}`)
}

const maxLines = 400
const isShort: Rule = ({ path, text }) => {
  const lines = text.split('\n').length - 1
  return lines > maxLines ? [`${path} has ${lines} lines`] : []
}

const exportsNothing: Rule = ({ path, text }) =>
  path === 'main.ts' && transpiler.scan(text).exports.length > 0
    ? ['main.ts exports something, which a compiled binary would try to serve']
    : []

const rules = {
  pointsDown,
  readsEnvironment,
  opensConnections,
  holdsSql,
  namesVendors,
  isShort,
  exportsNothing,
} satisfies Record<string, Rule>

/** Comments may say what code may not. Good enough for this code: no text here holds a comment's start. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{(,])\/\/.*$/gm, '$1')
}

const root = join(import.meta.dir, '..', 'src')
const sources: Source[] = await Promise.all(
  [...new Bun.Glob('**/*.ts').scanSync(root)]
    .filter((path) => !path.endsWith('.d.ts'))
    .map(async (path) => ({
      path: path.replaceAll('\\', '/'),
      text: await Bun.file(join(root, path)).text(),
    })),
)

test('there is something to check', () => {
  expect(sources.length).toBeGreaterThan(100)
  expect(vendors.length).toBeGreaterThan(15)
})

test.each(Object.entries(rules))('%s', (_, rule) => {
  expect(sources.flatMap((source) => rule(source))).toEqual([])
})

test('what is excused still needs it', () => {
  const paths = new Set(sources.map(({ path }) => path))
  for (const path of [...openers, ...mayName.keys()]) expect(paths).toContain(path)
})

describe('each rule can fail', () => {
  const planted: readonly [keyof typeof rules, string, string][] = [
    ['pointsDown', 'lib/x.ts', `import { y } from '#core/errors.ts'\ny()`],
    ['pointsDown', 'pipeline/x.ts', `import { y } from '../http/respond.ts'\ny()`],
    ['pointsDown', 'providers/x/y.ts', `import { y } from '#pipeline/run.ts'\ny()`],
    ['pointsDown', 'http/x.ts', `const { y } = await import('../app.ts')\ny()`],
    ['pointsDown', 'core/x.ts', `export { y } from '#openai/chat.ts'`],
    ['pointsDown', 'elsewhere/x.ts', ''],
    ['pointsDown', 'core/x.ts', `import { y } from '#elsewhere/x.ts'\ny()`],
    ['readsEnvironment', 'http/x.ts', `const home = process.env['HOME']`],
    ['readsEnvironment', 'bench/x.ts', `const home = Bun.env.HOME`],
    ['readsEnvironment', 'main.ts', `const home = import.meta.env.HOME`],
    ['opensConnections', 'providers/x.ts', `const answer = await fetch(url, { method: 'POST' })`],
    ['opensConnections', 'http/x.ts', `return fetch(request)`],
    ['opensConnections', 'cli/x.ts', `void Bun.fetch(url)`],
    ['opensConnections', 'lib/x.ts', `const send = fetch`],
    ['opensConnections', 'http/x.ts', `const socket = new WebSocket(url)`],
    ['opensConnections', 'core/x.ts', `await Bun.connect({ hostname, port, socket })`],
    ['opensConnections', 'lib/x.ts', `import { connect } from 'node:net'`],
    ['holdsSql', 'pipeline/x.ts', 'db.query(`SELECT id\n FROM logs`)'],
    ['holdsSql', 'http/x.ts', `db.run('DELETE FROM jobs WHERE id = ?')`],
    ['holdsSql', 'app.ts', `import { Database } from 'bun:sqlite'`],
    ['namesVendors', 'pipeline/x.ts', `if (call.provider === 'groq') retry()`],
    ['namesVendors', 'http/x.ts', `const anthropicVersion = headers['x']`],
    ['namesVendors', 'core/x.ts', `function toGemini() {}`],
    ['namesVendors', 'openai/x.ts', 'const model = `azure/${name}`'],
    ['namesVendors', 'cli/x.ts', `providers.has("together")`],
    ['isShort', 'lib/x.ts', '\n'.repeat(401)],
    ['exportsNothing', 'main.ts', 'export const x = 1'],
  ]
  test.each(planted)('%s in %s: %j', (rule, path, text) => {
    expect(rules[rule]({ path, text })).not.toEqual([])
  })

  const fine: readonly [keyof typeof rules, string, string][] = [
    ['pointsDown', 'lib/x.ts', `import type { Call } from '#core/call.ts'\nexport type X = Call`],
    [
      'pointsDown',
      'http/x.ts',
      `import { y } from '#pipeline/run.ts'\nimport z from 'elysia'\ny(z)`,
    ],
    ['readsEnvironment', 'config/env.ts', `process.env`],
    ['readsEnvironment', 'http/x.ts', `// process.env is read elsewhere`],
    ['opensConnections', 'http/x.ts', `serve({ fetch(request) { return app.fetch(request) } })`],
    [
      'opensConnections',
      'http/x.ts',
      `serve({ async fetch(request, server): Promise<Response> {} })`,
    ],
    ['opensConnections', 'pipeline/dispatch.ts', `fetch(url)`],
    ['holdsSql', 'http/x.ts', `const text = 'choose a model from the list'`],
    ['namesVendors', 'openai/x.ts', `text('Ties a call and its output together.')`],
    ['namesVendors', 'providers/x.ts', `'groq'`],
    ['isShort', 'lib/x.ts', '\n'.repeat(400)],
  ]
  test.each(fine)('%s in %s is fine: %j', (rule, path, text) => {
    expect(rules[rule]({ path, text })).toEqual([])
  })
})
