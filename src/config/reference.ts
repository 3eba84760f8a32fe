import type { Report } from './problem.ts'
import { isRecord } from './record.ts'

/** Environment variables as the caller read them; see `env.ts`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** How a value may be written in the file; the object form is what Bifrost's API answers with. */
export type Written =
  | string
  | {
      readonly value?: string
      readonly ref?: string
      readonly type?: 'plain_text' | 'env' | 'vault'
      readonly env_var?: string
      readonly from_env?: boolean
    }

export type Resolved =
  | { readonly kind: 'value'; readonly value: string; readonly reference: string | undefined }
  /** Cannot be had now; `why` names the reference, never a value. */
  | { readonly kind: 'unavailable'; readonly why: string }

/** Whether a value of a checked file is such a reference. */
export function isWritten(value: unknown): value is Written {
  return typeof value === 'string' || isRecord(value)
}

/** Finds the value behind `env.NAME` or the object form. White space around a value is not part of it. */
export function resolve(written: Written, env: Environment): Resolved {
  const source = typeof written === 'string' ? written : fromObject(written)
  if (source.startsWith('vault.')) {
    return { kind: 'unavailable', why: `${source} cannot be read: there is no vault support yet` }
  }
  if (!source.startsWith('env.')) {
    return { kind: 'value', value: source.trim(), reference: undefined }
  }
  const name = source.slice(4).trim()
  // Secrets mounted from files usually end in a line break.
  const value = env[name]?.trim()
  if (!value) return { kind: 'unavailable', why: `environment variable ${name} is not set` }
  return { kind: 'value', value, reference: `env.${name}` }
}

function fromObject(written: Exclude<Written, string>): string {
  const { value = '', ref, type, env_var: variable, from_env: fromEnv } = written
  if (type === 'vault') return prefixed('vault.', ref ?? value)
  if (type === 'env' || fromEnv === true) return prefixed('env.', variable || ref || value)
  return value
}

function prefixed(prefix: string, name: string): string {
  return name.startsWith(prefix) ? name : prefix + name
}

/** Like `resolve` where there is no key to skip: what cannot be had is a problem. Undefined after one. */
export function resolveOrReport(
  written: Written,
  context: { readonly env: Environment; readonly report: Report },
  pointer: string,
): { readonly value: string; readonly reference: string | undefined } | undefined {
  const resolved = resolve(written, context.env)
  if (resolved.kind === 'value') return resolved
  context.report.problem(pointer, resolved.why)
  return undefined
}
