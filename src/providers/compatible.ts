import type { Call } from '#core/call.ts'
import type { KnownEndpoint } from '#core/endpoint.ts'
import { ENDPOINTS } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'

import { chatByResponses, RESPONSES_FATES } from './ask-responses.ts'
import { respondByChat } from './bridge.ts'
import type { ChatDoor } from './bridge.ts'
import { compatibleFates, losses } from './compatible-fates.ts'
import type { Fates } from './fates.ts'
import { mendingOf } from './mending/mender.ts'
import { readsOf } from './mending/reads.ts'
import { overrideOf } from './override.ts'
import type { Outbound, Provider, Target } from './provider.ts'
import type { Mends, Quirks } from './quirks.ts'
import { readRefusal } from './refusal.ts'
import { EVERY_MODEL, needsResponses } from './responses-models.ts'
import type { ResponsesRule } from './responses-models.ts'
import { rewriteBody } from './rewrite.ts'
import { quirksFor } from './rewrite/resolve.ts'

/** A vendor of the OpenAI-compatible family, as data. */
export interface Vendor {
  readonly name: string
  /** Without the version path; undefined when it must be configured. */
  readonly baseUrl?: string
  /** Stands between the base URL and `/chat/completions`; a configured base URL may already end with it. */
  readonly versionPath?: string
  readonly keyEnv?: readonly string[]
  readonly keyless?: boolean
  readonly detectPath?: string
  /** What it has itself. A vendor with chat and without `responses` is asked for those by chat. */
  readonly offers: readonly KnownEndpoint[] | 'everything'
  /** How its chat serves Responses. */
  readonly door?: ChatDoor
  /** Models whose chat has to be asked by Responses. */
  readonly byResponses?: readonly ResponsesRule[]
  readonly passthrough?: boolean
  /** Header for the key, default `authorization` with `Bearer `. */
  readonly keyHeader?: string
  /** Member of a `*_key_config` object that holds the base URL of that key's server. */
  readonly keyUrl?: readonly [config: string, member: string]
  readonly headers?: Readonly<Record<string, string>>
  /** Of chat and text completions. */
  readonly quirks?: Quirks
  /** Of other operations. */
  readonly quirksOf?: Readonly<Partial<Record<KnownEndpoint, Quirks>>>
  readonly mends?: Mends
  /** Models that take the beginning of an answer as an assistant message that comes last. */
  readonly prefills?: (model: string) => boolean
  /** As in `Provider`; read off the quirks where it is not said. */
  readonly lacks?: Provider['lacks']
}

const everything = new Set(Object.keys(ENDPOINTS) as KnownEndpoint[])

/** A `Provider` that speaks the OpenAI dialect, with the vendor's differences applied by splices. */
export function compatible(vendor: Vendor): Provider {
  const versionPath = vendor.versionPath ?? '/v1'
  const keyHeader = vendor.keyHeader
  const native = vendor.offers === 'everything' ? everything : new Set(vendor.offers)
  const bridges = native.has('chat_completion') && !native.has('responses')
  const door = { ...vendor.door, reads: { ...readsOf(vendor.mends), ...vendor.door?.reads } }

  function request(call: Call, target: Target): Outbound {
    if (bridges && call.endpoint === 'responses') {
      return respondByChat(call, target, door, (chat) => request(chat, target))
    }
    if (asksResponses(call, target, vendor.byResponses)) {
      return chatByResponses(call, target, target.model ?? '', (asked) => request(asked, target))
    }
    const { name } = target.settings
    const quirks = quirksOf(vendor, call)
    const { body, contentType, dropped } = rewriteBody(call, target.model, name, quirks)
    const headers: Record<string, string> = { ...vendor.headers }
    if (contentType !== undefined) headers['content-type'] = contentType
    const url = urlOf(call, target, vendor, versionPath)
    const mending = mendingOf(vendor.mends, call, target)
    return { method: call.method, url, headers, body, dropped, mending }
  }

  return {
    name: vendor.name,
    keyEnv: vendor.keyEnv ?? [],
    keyless: vendor.keyless ?? false,
    baseUrl: vendor.baseUrl,
    detectPath: vendor.detectPath,
    offers: bridges ? new Set<KnownEndpoint>([...native, 'responses']) : native,
    composesResponses: bridges,
    passthrough: vendor.passthrough ?? false,
    fates: fatesOf(vendor, native),
    lacks:
      vendor.lacks ?? ((model) => Object.keys(losses(quirksFor(vendor.quirks ?? {}, {}, model)))),
    ...(vendor.prefills && { prefills: vendor.prefills }),
    request,
    authorize({ headers }, credential) {
      if (keyHeader === undefined) headers['authorization'] = `Bearer ${credential}`
      else headers[keyHeader] = credential
    },
    parseError: readRefusal,
  }
}

function asksResponses(call: Call, target: Target, rules: Vendor['byResponses']): boolean {
  if (!rules || call.endpoint !== 'chat_completion') return false
  const own = target.key?.vendor['openai_key_config'] as Record<string, unknown> | undefined
  if (own?.['use_responses_api'] === true) return true
  return needsResponses(call, target.model ?? '', rules)
}

function fatesOf(vendor: Vendor, native: ReadonlySet<KnownEndpoint>): Fates | undefined {
  if (!native.has('chat_completion')) return undefined
  if (vendor.byResponses !== EVERY_MODEL) return compatibleFates(vendor.quirks)
  return { ...RESPONSES_FATES, ...losses(vendor.quirksOf?.responses) }
}

function quirksOf({ quirks, quirksOf: others }: Vendor, { endpoint }: Call): Quirks | undefined {
  if (endpoint === 'chat_completion' || endpoint === 'text_completion') return quirks
  return others?.[endpoint as KnownEndpoint]
}

function urlOf(call: Call, target: Target, vendor: Vendor, versionPath: string): string {
  const { settings } = target
  const override = overrideOf(call, settings)
  if (override?.startsWith('http')) return override + call.query
  const base = keyUrl(target, vendor) ?? settings.network.baseUrl ?? vendor.baseUrl
  if (base === undefined) {
    throw new GatewayError(
      'provider_not_configured',
      `Provider '${settings.name}' needs a base URL: set providers.${settings.name}.network_config.base_url.`,
    )
  }
  if (override !== undefined) return base + override + call.query
  const prefix = base.endsWith(versionPath) ? base : base + versionPath
  return prefix + call.path + call.query
}

function keyUrl(target: Target, vendor: Vendor): string | undefined {
  if (!vendor.keyUrl || !target.key) return undefined
  const config = target.key.vendor[vendor.keyUrl[0]] as Record<string, unknown> | undefined
  const url = config?.[vendor.keyUrl[1]]
  return typeof url === 'string' && url !== '' ? url.replace(/\/+$/, '') : undefined
}
