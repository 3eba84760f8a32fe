import type { Key, ProviderSettings, Snapshot } from '#config/snapshot.ts'
import type { Call } from '#core/call.ts'

import type { Gate } from './gate.ts'
import type { Keyring } from './keyring.ts'
import type { Services } from './services.ts'
import type { Limits } from './waiting.ts'

/** What is held and has to be given back. */
interface Held {
  release: (() => void) | undefined
}

/**
 * Takes what one attempt may be sent with: the key, if it has a limit of its own, and a place among the provider's
 * calls. Undefined means that both were free; otherwise the promise resolves when they are, and `keys.current` is the
 * key. Throws and rejects as `Gate.enter` does. `held.release` gives back what was taken, whatever came of it.
 */
export function takeSeat(
  call: Call,
  settings: ProviderSettings,
  keys: Keyring,
  snapshot: Snapshot,
  services: Services,
  held: Held,
): Promise<void> | undefined {
  const gate = services.gates.of(settings.name)
  const { current } = keys
  if (keys.awaited || current?.concurrency !== undefined) {
    return withLimitedKey(call, settings, keys, snapshot, services, held)
  }
  if (gate.tryEnter(settings.concurrency)) {
    held.release = gate.leave
    return undefined
  }
  return waitForPlace(call, settings, snapshot, services, held)
}

async function waitForPlace(
  call: Call,
  settings: ProviderSettings,
  snapshot: Snapshot,
  services: Services,
  held: Held,
): Promise<void> {
  const gate = services.gates.of(settings.name)
  await gate.enter(limitsOf(settings, snapshot), call.signal, callerOf(call, services))
  held.release = gate.leave
}

async function withLimitedKey(
  call: Call,
  settings: ProviderSettings,
  keys: Keyring,
  snapshot: Snapshot,
  services: Services,
  held: Held,
): Promise<void> {
  const gate = services.gates.of(settings.name)
  const limits = limitsOf(settings, snapshot)
  const { current } = keys
  let key: Key
  if (current && !gate.keys.isFull(current)) {
    key = current
    gate.keys.take(key)
  } else {
    // When a call goes on with a key, it is that key that it waits for.
    const wanted = keys.awaited ?? [current!]
    key = await gate.keys.wait(wanted, limits, call.signal, callerOf(call, services))
    keys.use(key)
    call.trace.add('queue', `waited for key ${key.name}`)
  }
  holdOnce(held, () => gate.keys.give(key))
  await gate.enter(limits, call.signal, callerOf(call, services))
  holdOnce(held, () => {
    gate.leave()
    gate.keys.give(key)
  })
}

/** What is held may pass into other hands; then it is not for us to say that nothing is held any more. */
function holdOnce(held: Held, give: () => void): void {
  const release = (): void => {
    if (held.release === release) held.release = undefined
    give()
  }
  held.release = release
}

/** For `KeyFacts`: undefined when no key of the provider has a limit. */
export function fullness(
  settings: ProviderSettings,
  gate: Gate,
): ((key: Key) => boolean) | undefined {
  return settings.hasLimitedKeys === true ? (key) => gate.keys.isFull(key) : undefined
}

function limitsOf(settings: ProviderSettings, { client }: Snapshot): Limits {
  const { name, concurrency, bufferSize, maxWaitMs } = settings
  return {
    provider: name,
    concurrency,
    bufferSize,
    maxWaitMs,
    dropExcess: client.dropExcessRequests,
  }
}

/** Who waits: the owner of a virtual key, of a key, else a session, else an address. Only asked of calls that have to wait. */
export function callerOf(call: Call, { addressOf }: Services): string {
  const { directKey, owner } = call.caller
  if (owner) return `virtual key ${owner.virtualKeyId}`
  if (directKey) return `key ${Bun.hash(directKey.reveal())}`
  const session = call.headers['x-bf-session-id']
  if (session !== undefined && session !== '' && session.length <= 255) return `session ${session}`
  const address = call.origin && addressOf?.(call.origin)
  return address === undefined ? '' : `address ${address}`
}
