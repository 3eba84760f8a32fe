import { scanJson } from '#lib/json.ts'
import type { Scan } from '#lib/json.ts'

import type { JsonBody } from './call.ts'

class Written implements JsonBody {
  readonly kind = 'json'
  readonly text: string
  readonly value: Readonly<Record<string, unknown>>
  #scan: Scan | undefined

  constructor(text: string, value: Readonly<Record<string, unknown>>) {
    this.text = text
    this.value = value
  }

  get scan(): Scan {
    this.#scan ??= scanJson(this.text)
    return this.#scan
  }
}

/** The body of this text, which must be the JSON of `value`; where its members stand is found out when somebody asks. */
export function jsonBody(text: string, value: Readonly<Record<string, unknown>>): JsonBody {
  return new Written(text, value)
}
