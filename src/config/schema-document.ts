import { ConfigFile } from './schema/file.ts'

/** The JSON Schema of `config.json`, from the schema that validates it; a fresh object each time. */
export function configJsonSchema(): Record<string, unknown> {
  // Through JSON, because TypeBox marks its schemas with symbols.
  const schema: Record<string, unknown> = JSON.parse(JSON.stringify(ConfigFile))
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of the Asbru gateway',
    ...schema,
  }
}
