import { expect, test } from 'bun:test'

import * as fc from 'fast-check'

import { chatMending, textMending } from '#providers/azure/filter.ts'

// Whatever a service sends as an event, mending it neither fails nor makes it worse.

const choice = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record(
      {
        index: fc.nat(3),
        delta: fc.option(fc.record({ content: fc.string() }, { requiredKeys: [] })),
        text: fc.option(fc.string()),
        content_filter_offsets: fc.record({ start_offset: fc.nat() }),
        finish_reason: fc.option(fc.constantFrom('stop', 'content_filter')),
      },
      { requiredKeys: [] },
    ),
  },
  { weight: 1, arbitrary: fc.jsonValue() },
)
const event = fc.record(
  {
    id: fc.constantFrom('', 'chatcmpl-1', 'chatcmpl-2'),
    object: fc.constantFrom('', 'chat.completion.chunk'),
    created: fc.constantFrom(0, 1763700000),
    model: fc.constantFrom('', 'gpt'),
    choices: fc.oneof(
      { weight: 9, arbitrary: fc.array(choice, { maxLength: 3 }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    prompt_filter_results: fc.array(fc.record({ prompt_index: fc.nat() })),
    usage: fc.option(fc.record({ total_tokens: fc.nat() })),
  },
  { requiredKeys: [] },
)

test.each([
  ['chat', chatMending, 'delta'],
  ['text', textMending, 'text'],
] as const)('%s', (_, mending, member) => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 8 }), fc.nat(2), (events, indent) => {
      const mender = mending.open()
      let wasFound = 0
      let isFound = 0
      for (const given of events) {
        const { choices, usage } = given
        const isFilled = Array.isArray(choices) && (choices.length > 0 || Boolean(usage))
        const mended = mender.mend(JSON.stringify(given, null, indent))
        if (mended === undefined) {
          // Only what says nothing but what a filter found is left out, and that comes with the next event.
          expect(isFilled).toBe(false)
          if (given.prompt_filter_results) wasFound = 1
          continue
        }
        const sent = JSON.parse(String(mended))
        if (isFilled && wasFound === 1) {
          expect(sent.prompt_filter_results).toBeDefined()
          isFound = 1
          wasFound = 0
        }
        const kept: readonly string[] = Object.keys(sent as object)
        for (const name of Object.keys(given)) expect(kept).toContain(name)
        if (!Array.isArray(sent.choices)) continue
        sent.choices.forEach((each: any, index: number) => {
          if (typeof each !== 'object' || each === null || Array.isArray(each)) return
          expect(each[member] ?? null).not.toBeNull()
          const { [member]: _own, ...others } = each
          const { [member]: _given, ...before } = (choices as any)[index]
          expect(others).toEqual(JSON.parse(JSON.stringify(before)))
        })
      }
      expect(isFound).toBeLessThanOrEqual(1)
    }),
    { numRuns: 500 },
  )
})

test.each(['', '[DONE]', '[1]', '{"choices"', '{}', 'null', '{"choices":null}'])(
  '%s stays',
  (data) => {
    expect(chatMending.open().mend(data)).toBe(data)
  },
)
