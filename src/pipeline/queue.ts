// A queue that is fair among callers: they are served in turns, and each of them first come, first served. Whoever
// has a thousand calls waiting delays by one call whoever has a single one. Every step takes the same time.

/** A place in the queue. */
export interface Place<T> {
  readonly item: T
  /** Kept by this file; set exactly while it waits. */
  lane?: Lane<T> | undefined
  previous?: Place<T> | undefined
  next?: Place<T> | undefined
}

/** What one caller has waiting, oldest first; never empty while it is in the ring. */
interface Lane<T> {
  readonly caller: string
  first: Place<T>
  last: Place<T>
  previous: Lane<T>
  next: Lane<T>
}

export class FairQueue<T> {
  readonly #lanes = new Map<string, Lane<T>>()
  /** Whose turn it is; the lanes form a ring from here. */
  #turn: Lane<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Puts something behind what the caller has waiting already; a new caller is the last to have a turn. */
  add(caller: string, item: T): Place<T> {
    const place: Place<T> = { item }
    const lane = this.#lanes.get(caller)
    if (lane) {
      place.previous = lane.last
      lane.last.next = place
      lane.last = place
      place.lane = lane
    } else place.lane = this.#join(caller, place)
    this.#size++
    return place
  }

  /** Whoever is next leaves the queue; undefined when nobody waits. */
  take(): T | undefined {
    const lane = this.#turn
    if (!lane) return undefined
    this.#turn = lane.next
    const { first } = lane
    this.remove(first)
    return first.item
  }

  /** Harmless when it has left already. */
  remove(place: Place<T>): void {
    const { lane, previous, next } = place
    if (!lane) return
    place.lane = undefined
    place.previous = undefined
    place.next = undefined
    this.#size--
    if (previous) previous.next = next
    else if (next) lane.first = next
    if (next) next.previous = previous
    else if (previous) lane.last = previous
    if (!previous && !next) this.#leave(lane)
  }

  #join(caller: string, place: Place<T>): Lane<T> {
    const lane = { caller, first: place, last: place } as Lane<T>
    const turn = this.#turn ?? lane
    lane.next = turn
    lane.previous = this.#turn ? turn.previous : lane
    lane.previous.next = lane
    turn.previous = lane
    this.#turn = turn
    this.#lanes.set(caller, lane)
    return lane
  }

  #leave(lane: Lane<T>): void {
    lane.previous.next = lane.next
    lane.next.previous = lane.previous
    this.#lanes.delete(lane.caller)
    if (this.#turn !== lane) return
    this.#turn = lane.next === lane ? undefined : lane.next
  }
}
