import { Secret } from '#lib/secret.ts'

import { addressKind } from './address.ts'
import type { Context } from './context.ts'
import { below } from './problem.ts'
import { resolveOrReport } from './reference.ts'
import type { Environment } from './reference.ts'
import type { ProxyConfig } from './schema/provider.ts'

/** User name and password have a byte for their length. */
const maxSocksBytes = 255

/** The proxy for a provider whose calls go to `target`; undefined = none. */
export function buildProxy(
  config: ProxyConfig,
  target: string | undefined,
  pointer: string,
  context: Context,
): Secret | undefined {
  const { report } = context
  if (config.type === 'none') return undefined
  if (config.type === 'environment') {
    const found = proxyFromEnvironment(target, context.env)
    if (found === undefined) return undefined
    const proxy = httpUrl(found.value)
    if (proxy) return new Secret(trimmed(proxy))
    report.problem(below(pointer, 'type'), `${found.name} is not an http:// or https:// URL`)
    return undefined
  }
  const at = below(pointer, 'url')
  const written = config.url ?? ''
  if (written === '') {
    report.problem(at, `is required for a proxy of type ${config.type}`)
    return undefined
  }
  const address = resolveOrReport(written, context, at)
  const username = resolveOrReport(config.username ?? '', context, below(pointer, 'username'))
  const password = resolveOrReport(config.password ?? '', context, below(pointer, 'password'))
  if (!address || !username || !password) return undefined
  const isSocks = config.type === 'socks5'
  const proxy = isSocks ? socksUrl(address.value) : httpUrl(address.value)
  if (!proxy) {
    report.problem(at, isSocks ? 'must be a socks5:// URL' : 'must be an http:// or https:// URL')
    return undefined
  }
  for (const [name, { value }] of Object.entries({ username, password })) {
    if (isSocks && Buffer.byteLength(value) > maxSocksBytes) {
      report.problem(below(pointer, name), `must have at most ${maxSocksBytes} bytes for socks5`)
      return undefined
    }
  }
  if (username.value !== '') proxy.username = encodeURIComponent(username.value)
  if (password.value !== '') proxy.password = encodeURIComponent(password.value)
  return new Secret(trimmed(proxy))
}

/**
 * The proxy for a provider without a `proxy_config`: what the environment says, as every client does. Undefined also
 * when what it says is no URL, since nobody asked for it here.
 */
export function ambientProxy(target: string | undefined, env: Environment): Secret | undefined {
  const found = proxyFromEnvironment(target, env)
  const proxy = found && httpUrl(found.value)
  return proxy && new Secret(trimmed(proxy))
}

function httpUrl(text: string): URL | undefined {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url : undefined
}

/** `socks5://host:1080`; the port may be missing, and so may the scheme. */
function socksUrl(text: string): URL | undefined {
  const url = URL.parse(text.includes('://') ? text : `socks5://${text}`)
  if (!url || url.hostname === '' || !/^socks5h?:$/.test(url.protocol)) return undefined
  const socks = new URL(`socks5://${url.host}`)
  socks.username = url.username
  socks.password = url.password
  if (socks.port === '') socks.port = '1080'
  return socks
}

/** Without the slash that `URL` puts behind a bare host. */
function trimmed(url: URL): string {
  return url.href.replace(/\/$/, '')
}

function proxyFromEnvironment(
  target: string | undefined,
  env: Environment,
): { readonly name: string; readonly value: string } | undefined {
  const url = target === undefined ? null : URL.parse(target)
  if (url && (addressKind(url.hostname) === 'loopback' || isExempt(url, env))) return undefined
  const names = url?.protocol === 'http:' ? ['HTTP_PROXY'] : ['HTTPS_PROXY']
  for (const name of names.flatMap((upper) => [upper, upper.toLowerCase()])) {
    const value = env[name]?.trim()
    if (value) return { name, value }
  }
  return undefined
}

/** NO_PROXY: `*`, a host, a domain with or without its leading dot, each with an optional port. */
function isExempt(url: URL, env: Environment): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return (env['NO_PROXY'] || env['no_proxy'] || '').split(/[\s,]+/).some((entry) => {
    const rule = entry.toLowerCase()
    if (rule === '*') return true
    const withPort = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(rule)
    if (withPort && withPort[3] !== port) return false
    const name = withPort?.[1] ?? withPort?.[2] ?? rule.replace(/^\[|\]$/g, '')
    const domain = name.replace(/^\*?\.?/, '')
    return domain !== '' && (host === domain || host.endsWith(`.${domain}`))
  })
}
