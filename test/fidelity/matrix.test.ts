import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { CHAT_PARAMS } from '#providers/fates.ts'
import type { ChatParam } from '#providers/fates.ts'
import { fatesOf } from '#providers/registry.ts'

import { replaceUnder } from '../../src/build/readme.ts'
import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'
import { CONTENT, type Feature, FORMAT, SETTINGS, TOOLS } from './features.ts'
import { observe } from './observe.ts'
import { FAMILY, NATIVE, type Place, providersAt } from './places.ts'

// Every feature is asked of every provider, and what happens to it is seen from outside. What is seen has to be what
// the provider's own table declares, and the README shows what was seen. `UPDATE_README=1` writes it there.

const path = join(import.meta.dir, '../../README.md')
const features: readonly Feature[] = [...CONTENT, ...TOOLS, ...FORMAT, ...SETTINGS]

type Cell = 'carried' | 'emulated' | 'dropped' | 'refused'
const signs: Record<Cell, string> = { carried: '●', emulated: '◐', dropped: '–', refused: '✕' }

let upstream: Upstream
let gateway: TestGateway
const seen = new Map<string, Cell>()

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway({ config: { providers: providersAt(upstream.url) } })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

const params: readonly string[] = CHAT_PARAMS

/** What is seen, by the name that the provider's table gives it. */
async function cellOf(place: Place, feature: Feature): Promise<Cell> {
  const observed = await observe({ ...place, gatewayUrl: gateway.url, upstream }, feature)
  const fates = fatesOf(place.provider)
  const [param = ''] = feature.params
  const declared = fates && params.includes(param) ? fates[param as ChatParam] : undefined
  // What is done to the answer cannot be seen in the request.
  if (observed === 'unseen') {
    if (declared === 'emulated') return 'emulated'
    throw new Error(`${place.provider}: ${feature.name} is lost without a word`)
  }
  if (!fates || declared === undefined) return observed === 'changed' ? 'emulated' : observed
  const sometimes = fates.sometimes?.[param as ChatParam]
  const where = `${place.provider}: ${feature.name} is ${observed} and declared ${declared}`
  if (observed === 'dropped' || observed === 'refused') {
    // A table speaks of the parameter; one value of it may be worse off than the others.
    const isDeclared = observed === declared || observed === sometimes || feature.name !== param
    if (!isDeclared) throw new Error(where)
    return observed
  }
  if (declared === 'dropped' || declared === 'refused') throw new Error(where)
  return declared === 'emulated' || observed === 'changed' ? 'emulated' : 'carried'
}

test.each([...NATIVE, ...FAMILY])(
  '$provider does what it declares',
  async (place) => {
    const wrong: string[] = []
    for (const feature of features) {
      try {
        seen.set(`${place.provider} ${feature.name}`, await cellOf(place, feature))
      } catch (error) {
        wrong.push(String(error))
      }
    }
    expect(wrong).toEqual([])
  },
  60_000,
)

test('the README shows what was seen', () => {
  const readme = readFileSync(path, 'utf8')
  const written = replaceUnder(readme, 'fidelity', tables())
  if (process.env['UPDATE_README'] === '1') writeFileSync(path, written)
  else expect(sectionOf(readme)).toBe(sectionOf(written))
})

function sectionOf(text: string): string {
  const [, after = ''] = text.split('<!-- fidelity -->')
  return after.split('\nWhat is left out')[0]!
}

function tables(): string {
  return `${table(NATIVE)}\n\n${table(FAMILY)}`
}

function table(places: readonly Place[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    row(['', ...places.map(({ provider }) => provider)]),
    row(['---', ...places.map(() => ':-:')]),
    ...features.map((feature) =>
      row([
        feature.name,
        ...places.map(
          ({ provider }) => signs[seen.get(`${provider} ${feature.name}`) ?? 'carried'],
        ),
      ]),
    ),
  ].join('\n')
}
