import { newId } from '#lib/id.ts'

import { type Answer, dataFrame, DONE, events, invalid, json, missing } from './answer.ts'
import type { MockRequest } from './request.ts'
import { countTokens, wording } from './text.ts'
import { takeTurn } from './turn.ts'
import { record, wholeNumber } from './wire.ts'

const maxChoices = 128

/** `POST /completions`: every prompt echoed, as many times as `n` says. */
export function complete(request: MockRequest): Answer {
  const { body, faults } = request
  const prompts = promptsOf(body.prompt)
  const times = body.n ?? 1
  if (typeof times !== 'number' || !(times >= 1 && times * prompts.length <= maxChoices)) {
    throw invalid('n', `so much that there are at most ${maxChoices} choices`)
  }
  const answers = prompts.flatMap((prompt) => {
    const turn = takeTurn({
      behaviour: request.behaviour,
      text: prompt,
      toolResult: undefined,
      tools: [],
      toolChoice: undefined,
      parallel: false,
      schema: true,
      maxTokens: wholeNumber(body.max_tokens),
    })
    const says = wording(turn.text, faults)
    return Array.from({ length: times }, () => ({ says, finish: turn.finish }))
  })
  const asked = prompts.reduce((sum, prompt) => sum + countTokens(prompt), 0)
  const said = answers.reduce((sum, { says }) => sum + countTokens(says.text), 0)
  const usage = { prompt_tokens: asked, completion_tokens: said, total_tokens: asked + said }
  const shared = {
    id: `cmpl-${newId()}`,
    object: 'text_completion',
    created: request.now,
    model: request.model,
  }
  if (!request.stream) {
    const choices = answers.map(({ says, finish }, index) => choice(index, says.text, finish))
    return json({ ...shared, choices, usage })
  }
  const wantsUsage = record(body.stream_options).include_usage === true
  const pending = wantsUsage ? { usage: null } : {}
  const frames: string[] = []
  answers.forEach(({ says, finish }, index) => {
    for (const piece of says.pieces) {
      frames.push(dataFrame({ ...shared, choices: [choice(index, piece, null)], ...pending }))
    }
    frames.push(dataFrame({ ...shared, choices: [choice(index, '', finish)], ...pending }))
  })
  if (wantsUsage) frames.push(dataFrame({ ...shared, choices: [], usage }))
  frames.push(DONE)
  return events(frames)
}

function choice(index: number, text: string, finish: string | null) {
  return { index, text, logprobs: null, finish_reason: finish }
}

/** Strings as they are; token arrays as their numbers. */
function promptsOf(prompt: unknown): string[] {
  if (prompt === undefined || prompt === null) throw missing('prompt')
  if (typeof prompt === 'string') return [prompt]
  if (!Array.isArray(prompt) || prompt.length === 0) throw invalid('prompt', 'a string or an array')
  if (prompt.every((token) => typeof token === 'number')) return [prompt.join(' ')]
  return prompt.map((one) => (Array.isArray(one) ? one.join(' ') : String(one)))
}
