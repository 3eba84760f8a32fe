// Retries are meant for the odd failure. When everything fails they would multiply the load on a provider that is
// already in trouble, so they may only ever be a share of its traffic.

/** Retries a provider may still be given. */
export interface RetryBudget {
  /** Call for every first attempt. */
  earn(): void
  /** Takes one retry out of the budget; false when there is none. */
  spend(): boolean
  readonly hasLeft: boolean
}

/** One retry for every five calls, and ten to begin with. */
const earnedPerCall = 0.2
const atStart = 10
const most = 100

export function createRetryBudget(): RetryBudget {
  let tokens = atStart
  return {
    earn() {
      tokens = Math.min(most, tokens + earnedPerCall)
    },
    spend() {
      if (tokens < 1) return false
      tokens--
      return true
    },
    get hasLeft() {
      return tokens >= 1
    },
  }
}
