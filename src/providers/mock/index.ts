import { compatible } from '../compatible.ts'
import type { Provider } from '../provider.ts'
import { createMock } from './handler.ts'

/** The built-in provider that answers without a key and without a network. */
export const mockProvider: Provider = {
  ...compatible({
    name: 'mock',
    // Names a place for the request to be written to; `transport` answers before anything is resolved.
    baseUrl: 'http://mock.invalid',
    keyless: true,
    offers: 'everything',
  }),
  transport: createMock(),
}
