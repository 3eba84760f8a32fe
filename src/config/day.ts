/** Whether a text begins with a day that there is. The engine takes the 30th of February for a day in March. */
export function beginsWithDay(text: string): boolean {
  const day = text.slice(0, 10)
  const midnight = Date.parse(`${day}T00:00:00Z`)
  return Number.isFinite(midnight) && new Date(midnight).toISOString().startsWith(day)
}
