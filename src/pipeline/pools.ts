// Which of Bun's connection pools a request over TLS uses.
//
// Bun 1.4 keeps at most 64 idle connections per pool and closes what comes back beyond that; requests over TLS share
// a pool exactly when the contents of their `tls` options are alike. With 256 requests in flight one pool therefore
// opens connections without end, at 73 µs of processor time per request, where four to sixteen pools reuse
// theirs at 35 to 40 µs. Pools are told apart by a passphrase, which changes nothing: it is for a client key, and
// there is none.

/** As many requests as a pool keeps connections. */
export const POOL_SIZE = 64
/** Pools beside the one that needs no option; what exceeds them all uses the last. */
export const MAX_POOLS = 16

const options = Array.from({ length: MAX_POOLS }, (_, index) =>
  Object.freeze({ passphrase: `pool-${index + 1}` }),
)

/** What a request of this pool (see `Pools.take`) has among its `tls` options: always the same object, or nothing in pool 0. */
export function poolOptions(pool: number): { readonly passphrase: string } | undefined {
  return pool === 0 ? undefined : options[Math.min(pool, MAX_POOLS) - 1]
}

/**
 * How many requests to one provider are in each pool. A request takes the first pool with a free place and gives
 * that place back. The number in flight alone would not do as a pool: under steady load it hardly changes, so that
 * all requests would end up in the same one.
 */
export class Pools {
  readonly #inFlight = new Uint32Array(MAX_POOLS + 1)

  /** Takes a place; returns its pool, from 0. */
  take(): number {
    let pool = 0
    while (pool < MAX_POOLS && this.#inFlight[pool]! >= POOL_SIZE) pool++
    this.#inFlight[pool]!++
    return pool
  }

  /** Gives a place back; exactly once per `take`. */
  give(pool: number): void {
    this.#inFlight[pool]!--
  }
}
