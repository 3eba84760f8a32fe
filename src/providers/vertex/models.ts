/**
 * What is listed where the configuration names no models: those that every project can use without an agreement with
 * their maker ("Google models", as read in November 2026).
 */
export const MODELS: readonly string[] = [
  'gemini-4-argon',
  'gemini-3.5-pro',
  'gemini-3.5-flash',
  'gemini-3-pro',
  'gemini-3-flash',
  'gemini-2.5-pro',
  'gemini-2.5-flash',
  'gemini-2.5-flash-lite',
  'gemini-embedding-2',
  'gemini-embedding-001',
  'text-embedding-005',
  'text-multilingual-embedding-002',
]
