import type { UrlCitation } from '#openai/answer/writer.ts'
import { integer, record, text } from '#openai/conversation/fields.ts'

// Sources of an answer ("Grounding with Google Search", as read in November 2026). Their places count bytes of UTF-8,
// OpenAI's count UTF-16 units.

type Fields = Readonly<Record<string, unknown>>

const maxCitations = 1000

/** One citation per source of each stretch of text; where no stretch is named, one per source without a place. */
export function citations(grounding: Fields, answer: string): UrlCitation[] {
  const sources = list(grounding['groundingChunks']).map(sourceOf)
  const supports = list(grounding['groundingSupports']).map(record).slice(0, maxCitations)
  const places = placesOf(
    supports.map(({ segment }) => record(segment)),
    answer,
  )
  const found = supports.flatMap(({ groundingChunkIndices }, i) =>
    list(groundingChunkIndices).flatMap((index) => {
      const source = typeof index === 'number' ? sources[index] : undefined
      return source ? [citation(source, places[i])] : []
    }),
  )
  const all =
    found.length > 0 ? found : sources.flatMap((source) => (source ? [citation(source)] : []))
  return all.slice(0, maxCitations)
}

interface Source {
  readonly url: string
  readonly title: string | undefined
}

function sourceOf(chunk: unknown): Source | undefined {
  const { web, retrievedContext, maps } = record(chunk)
  const holder = record(web ?? retrievedContext ?? maps)
  const url = text(holder['uri'])
  return url === undefined ? undefined : { url, title: text(holder['title']) }
}

interface Place {
  readonly start: number
  readonly end: number
}

function citation({ url, title }: Source, place?: Place): UrlCitation {
  return {
    type: 'url_citation',
    url_citation: {
      url,
      ...(title !== undefined && { title }),
      ...(place && { start_index: place.start, end_index: place.end }),
    },
  }
}

function placesOf(segments: readonly Fields[], answer: string): (Place | undefined)[] {
  // A first byte of 0 is left out of the JSON.
  const bytes = segments.map(({ startIndex, endIndex }) => ({
    start: integer(startIndex) ?? 0,
    end: integer(endIndex) ?? 0,
  }))
  const units = utf16Offsets(
    answer,
    bytes.flatMap(({ start, end }) => [start, end]),
  )
  return segments.map((segment, i) => {
    const { start, end } = bytes[i]!
    const place = { start: units.get(start) ?? 0, end: units.get(end) ?? 0 }
    const said = text(segment['text'])
    if (said === undefined || said === '') return place.end > place.start ? place : undefined
    if (answer.slice(place.start, place.end) === said) return place
    // Places count from the part they are in, which need not be the first.
    const at = answer.indexOf(said)
    return at === -1 ? undefined : { start: at, end: at + said.length }
  })
}

/** Where each byte of the text's UTF-8 is among its UTF-16 units; beyond the end counts as the end. */
export function utf16Offsets(
  written: string,
  bytes: readonly number[],
): ReadonlyMap<number, number> {
  const wanted = [...new Set(bytes)].toSorted((a, b) => a - b)
  const found = new Map<number, number>()
  let byte = 0
  let unit = 0
  for (const offset of wanted) {
    while (byte < offset && unit < written.length) {
      const code = written.codePointAt(unit)!
      byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
      unit += code < 0x10000 ? 1 : 2
    }
    found.set(offset, unit)
  }
  return found
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
