import type { TSchema } from '@sinclair/typebox'

import { Secret } from '#lib/secret.ts'

import { checkUrl } from './address.ts'
import type { Context } from './context.ts'
import { below } from './problem.ts'
import { isWritten, resolve } from './reference.ts'
import { KeyConfig } from './schema/key.ts'

// The `*_key_config` objects of a key. Which of their fields are secret or addresses, the schema says.

type VendorSection = keyof KeyConfig & `${string}_key_config`

export interface Vendor {
  readonly settings: Record<string, unknown>
  /** `section/field` → `env.NAME`. */
  readonly references: Record<string, string>
  /** The first reference that nothing stands behind. */
  unavailable: { readonly pointer: string; readonly why: string } | undefined
}

/** The vendor's own settings with every reference resolved, secret ones as `Secret`. */
export function buildVendor(
  config: KeyConfig,
  pointer: string,
  allowPrivateNetwork: boolean,
  { env, report }: Context,
): Vendor {
  const vendor: Vendor = { settings: {}, references: {}, unavailable: undefined }
  for (const [section, given] of vendorConfigs(config)) {
    const fields: Readonly<Record<string, TSchema>> = KeyConfig.properties[section].properties
    const settings: Record<string, unknown> = {}
    for (const [field, value] of Object.entries(given)) {
      // Deployments became aliases; an unknown field was reported by the validation.
      if (field === 'deployments' || !Object.hasOwn(fields, field)) continue
      const kind: unknown = fields[field]?.['x-kind']
      if (kind === undefined || !isWritten(value)) {
        settings[field] = structuredClone(value)
        continue
      }
      const here = below(pointer, section, field)
      const resolved = resolve(value, env)
      if (resolved.kind === 'unavailable') {
        vendor.unavailable ??= { pointer: here, why: resolved.why }
        continue
      }
      if (resolved.reference !== undefined) {
        vendor.references[`${section}/${field}`] = resolved.reference
      }
      settings[field] = kind === 'secret' ? new Secret(resolved.value) : resolved.value
      if (kind !== 'url') continue
      const checked = checkUrl(resolved.value, allowPrivateNetwork)
      if ('problem' in checked) report.problem(here, checked.problem)
      else settings[field] = checked.url
    }
    vendor.settings[section] = settings
  }
  return vendor
}

/** The vendor sections that a key has. */
export function vendorConfigs(
  config: KeyConfig,
): [VendorSection, NonNullable<KeyConfig[VendorSection]>][] {
  return sections.flatMap((section) => {
    const settings = config[section]
    return settings === undefined ? [] : [[section, settings]]
  })
}

const sections = Object.keys(KeyConfig.properties).filter((name): name is VendorSection =>
  name.endsWith('_key_config'),
)
