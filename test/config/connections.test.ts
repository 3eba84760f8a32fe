import { expect, test } from 'bun:test'
import { join } from 'node:path'

import { describe as described } from '#config/describe.ts'

import { accepted, load, providerOf } from './rig.ts'

// What is said of a provider's connections: whom they trust, how many there are, how long they are kept.

async function fixture(name: string): Promise<string> {
  const text = await Bun.file(join(import.meta.dir, '../fixtures/tls', name)).text()
  return text.slice(text.indexOf('-----BEGIN')).trim()
}

const one = await fixture('name.pem')
const other = await fixture('other.pem')

function ollama(provider: object, env: Record<string, string> = {}) {
  const snapshot = accepted({ providers: { ollama: provider } }, { env })
  expect(snapshot.warnings).toEqual([])
  const settings = providerOf(snapshot, 'ollama')
  const shown = described(snapshot) as {
    providers: { ollama: { network_config: Record<string, unknown> } }
  }
  return { settings, network: settings.network, shown: shown.providers.ollama.network_config }
}

test('certificates are read from the file or from a variable, and not printed', () => {
  const { network, shown } = ollama(
    { network_config: { ca_cert_pem: 'env.CA' } },
    { CA: `# Ours\n${one}\n\n# Theirs\n${other}\n` },
  )
  expect(network.caCertPem).toBe(`${one}\n${other}`)
  expect(shown['ca_cert_pem']).toBe('[present]')
})

test('those of a proxy are added while there is one', () => {
  const proxy = { url: 'http://proxy.example.com:3128', ca_cert_pem: other }
  const certificates = (proxyConfig: object, network: object = {}) =>
    ollama({
      proxy_config: proxyConfig,
      network_config: { base_url: 'https://a.example.com', ...network },
    }).network.caCertPem
  expect(certificates({ type: 'http', ...proxy })).toBe(other)
  expect(certificates({ type: 'http', ...proxy }, { ca_cert_pem: one })).toBe(`${one}\n${other}`)
  expect(certificates({ type: 'none', ca_cert_pem: other })).toBeUndefined()
  expect(certificates({ type: 'http', url: proxy.url, ca_cert_pem: '' })).toBeUndefined()
})

const broken = one.replace(/MII.{20}/, 'AAAA')

test.each([
  ['that is no PEM', 'network_config', 'nonsense', 'is no PEM'],
  ['that has no end', 'network_config', '-----BEGIN CERTIFICATE-----\nAAAA', 'is no PEM'],
  ['that is damaged', 'network_config', broken, 'certificate 1 of 1 cannot be read'],
  ['behind a good one', 'proxy_config', `${one}\n${broken}`, 'certificate 2 of 2 cannot be read'],
  ['that is not there', 'proxy_config', 'env.NO_SUCH', 'NO_SUCH is not set'],
])('a certificate %s is a problem in %s', (_, part, pem, words) => {
  const proxy = { type: 'http', url: 'http://proxy.example.com' }
  const { problems } = load({
    providers: {
      ollama: { [part]: { ...(part === 'proxy_config' && proxy), ca_cert_pem: pem } },
    },
  })
  expect(problems).toHaveLength(1)
  expect(problems[0]).toMatchObject({ pointer: `/providers/ollama/${part}/ca_cert_pem` })
  expect(problems[0]!.message).toContain(words)
})

test('connections are limited by what is the smaller limit', () => {
  const limit = (network: object, provider: object = {}) =>
    ollama({ network_config: network, ...provider }).settings.concurrency
  const queue = { concurrency_and_buffer_size: { concurrency: 20, buffer_size: 100 } }
  expect(limit({})).toBe(1000)
  expect(limit({ max_conns_per_host: 5000 })).toBe(1000)
  expect(limit({ max_conns_per_host: 7 })).toBe(7)
  expect(limit({ max_conns_per_host: 7 }, queue)).toBe(7)
  expect(limit({ max_conns_per_host: 50 }, queue)).toBe(20)
})

test('how long they are kept, and what is spoken', () => {
  const { network, shown } = ollama({
    network_config: { keep_alive_timeout_in_seconds: 30, enforce_http2: true },
  })
  expect(network).toMatchObject({ keepAliveMs: 30_000, enforceHttp2: true })
  expect(shown).toMatchObject({ keep_alive_timeout_in_seconds: 30, enforce_http2: true })
  const { network: usual, shown: silent } = ollama({})
  expect(usual.keepAliveMs).toBeUndefined()
  const zero = ollama({ network_config: { keep_alive_timeout_in_seconds: 0 } })
  expect(zero.network.keepAliveMs).toBeUndefined()
  expect(usual.enforceHttp2).toBeUndefined()
  expect(silent).not.toContainAnyKeys(['keep_alive_timeout_in_seconds', 'enforce_http2'])
})
