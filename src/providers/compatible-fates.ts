import { CHAT_PARAMS } from './fates.ts'
import type { ChatParam, Fate, Fates } from './fates.ts'
import type { Quirks } from './quirks.ts'

/** What becomes of chat parameters at a vendor of the OpenAI-compatible family, read off its quirks. */
export function compatibleFates(quirks: Quirks | undefined): Fates {
  const base = fatesUnder(quirks ?? {})
  const sometimes: Partial<Record<ChatParam, Fate>> = {}
  for (const { quirks: more } of quirks?.rules ?? []) {
    const own = fatesUnder(more)
    for (const param of CHAT_PARAMS) {
      if (own[param] !== 'carried' && own[param] !== base[param]) sometimes[param] = own[param]
    }
  }
  return { ...base, own: [], ...(Object.keys(sometimes).length > 0 && { sometimes }) }
}

function fatesUnder(quirks: Quirks): Record<ChatParam, Fate> {
  return Object.fromEntries(CHAT_PARAMS.map((param) => [param, fateOf(param, quirks)])) as Record<
    ChatParam,
    Fate
  >
}

function fateOf(param: ChatParam, quirks: Quirks): Fate {
  if (quirks.refuse?.includes(param)) return 'refused'
  if (quirks.drop?.includes(param)) return 'dropped'
  const isEmulated =
    (param === 'response_format' && quirks.schemaInWords === true) ||
    (param === 'reasoning' && quirks.effort !== undefined) ||
    ((param === 'functions' || param === 'function_call') && quirks.functionsAsTools === true)
  return isEmulated ? 'emulated' : 'carried'
}

/** Only what quirks lose or refuse. */
export function losses(quirks: Quirks | undefined): Partial<Record<ChatParam, Fate>> {
  const all = fatesUnder(quirks ?? {})
  const lost = CHAT_PARAMS.filter((param) => all[param] === 'dropped' || all[param] === 'refused')
  return Object.fromEntries(lost.map((param) => [param, all[param]]))
}
