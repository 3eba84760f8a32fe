import type { TSchema } from '@sinclair/typebox'

import { below } from './problem.ts'
import { ConfigFile } from './schema/file.ts'

/** Pointers of everything in a valid configuration that is accepted but changes nothing yet. */
export function idlePointers(value: unknown): string[] {
  const found: string[] = []
  walk(ConfigFile, value, '')
  return found

  function walk(schema: TSchema, part: unknown, pointer: string): void {
    if (schema['x-effect'] === 'none') {
      found.push(pointer)
    } else if (Array.isArray(part)) {
      const items: TSchema | undefined = schema['items']
      if (items) part.forEach((item, i) => walk(items, item, below(pointer, i)))
    } else if (typeof part === 'object' && part !== null) {
      const variants: readonly TSchema[] = schema['anyOf'] ?? [schema]
      const shape = variants.find(({ type }) => type === 'object')
      for (const [name, child] of Object.entries(part)) {
        const next = shape && childSchema(shape, name)
        if (next) walk(next, child, below(pointer, name))
      }
    }
  }
}

function childSchema(shape: TSchema, name: string): TSchema | undefined {
  const properties: Record<string, TSchema> | undefined = shape['properties']
  if (properties) return Object.hasOwn(properties, name) ? properties[name] : undefined
  const patterns: Record<string, TSchema> | undefined = shape['patternProperties']
  return patterns && Object.values(patterns)[0]
}
