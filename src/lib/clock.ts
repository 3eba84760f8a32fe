// Two clocks: `performance.now()` never jumps and gives fractions, `Date.now()` is what people read. Times of one
// process that are compared with each other have to come from the first, whatever they are shown as.

/** A step of the system's clock of more than this is followed. */
const stepMs = 50

let offsetMs = performance.timeOrigin

/** A time of `performance.now()` as milliseconds since 1970; later times give greater numbers, steps of the clock aside. */
export function epochMs(atMs: number): number {
  const nowMs = performance.now()
  const systemMs = Date.now()
  if (Math.abs(systemMs - (offsetMs + nowMs)) > stepMs) offsetMs = systemMs - nowMs
  return offsetMs + atMs
}
