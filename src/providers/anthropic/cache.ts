import type { Exchange } from '../exchange.ts'
import type { Marker, Told } from './messages.ts'

/** As many as a request may have (docs page "Prompt caching", as read in November 2026). */
const maxMarkers = 4

/**
 * Takes away the cache markers beyond the fourth and declares them. Those of the messages go first, oldest first: the
 * later ones cover what they covered, and tools and system are what requests have in common.
 */
export function limitMarkers(exchange: Exchange, tools: readonly Marker[], told: Told): void {
  const automatic = exchange.conversation.request['cache_control'] ? 1 : 0
  const all = [...told.messageMarkers, ...told.systemMarkers, ...tools]
  for (const { holder, param } of all.slice(0, Math.max(0, all.length + automatic - maxMarkers))) {
    delete holder.cache_control
    exchange.drop(param)
  }
}
