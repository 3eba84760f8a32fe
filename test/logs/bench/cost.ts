import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

// What a logged call costs in CPU, all threads together, and how many bytes of the disk it takes:
//   bun test/logs/bench/cost.ts [src] [calls] [chars of the request] [same|varied]
// `src` is the source tree to measure, so that two of them can be run in turns.

const [src = 'src', callsText = '20000', charsText = '8000', kind = 'varied'] = Bun.argv.slice(2)
const calls = Number(callsText)
const chars = Number(charsText)

const load = async (path: string): Promise<any> =>
  await import(pathToFileURL(join(resolve(src), path)).href)
const { createJournal } = await load('pipeline/journal.ts')
const { createLogStore } = await load('store/logs.ts')
const { Trace } = await load('core/trace.ts')

const letters = 'etaoinshrdlucmfwypvbgkjqxz'
const vocabulary = Array.from({ length: 20_000 }, () =>
  Array.from(
    { length: 2 + Math.floor(Math.random() ** 2 * 10) },
    () => letters[Math.floor(Math.random() ** 2 * 26)],
  ).join(''),
)
const text = (length: number): string => {
  let made = ''
  while (made.length < length) made += `${vocabulary[Math.floor(Math.random() ** 3 * 20_000)]} `
  return made
}
const same = 'Tell me, with "quotes" and a new line,\nwhat a rainbow bridge is for. '
const words = (length: number): string =>
  kind === 'same' ? same.repeat(Math.ceil(length / same.length)) : text(length)

const noTokens = Object.fromEntries(
  [
    ...['cacheWriteTokens', 'audioInputTokens', 'imageInputTokens', 'reasoningTokens'],
    ...['audioOutputTokens', 'imageOutputTokens', 'acceptedPredictionTokens'],
    'rejectedPredictionTokens',
  ].map((name) => [name, 0]),
)

function recordOf(i: number): object {
  const body = {
    model: 'openai/gpt-4o-mini',
    messages: [
      { role: 'system', content: 'You are a careful assistant.' },
      { role: 'user', content: words(chars) },
    ],
  }
  const usage = { prompt_tokens: 2000, completion_tokens: 100, total_tokens: 2100 }
  const message = { role: 'assistant', content: words(400) }
  const answer = {
    id: `chatcmpl-${i}`,
    object: 'chat.completion',
    created: 1_790_000_000,
    model: 'gpt-4o-mini',
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage,
  }
  return {
    call: {
      id: `01K${String(i).padStart(23, '0')}`,
      endpoint: 'chat_completion',
      stream: false,
      modelRequested: 'openai/gpt-4o-mini',
      headers: {
        host: 'localhost',
        'user-agent': 'OpenAI/JS 4.0',
        authorization: 'Bearer sk-callers-own-0123456789',
        'content-type': 'application/json',
      },
      caller: {},
      body: { kind: 'json', text: JSON.stringify(body), value: body },
      trace: new Trace(performance.now()),
    },
    requestType: 'chat_completion',
    arrivedAtMs: Date.now(),
    queuedMs: 0,
    upstreamMs: 200 + Math.random() * 500,
    firstTokenMs: undefined,
    totalMs: 201 + Math.random() * 500,
    provider: 'openai',
    keyId: 'key-1',
    keyName: 'main',
    modelUsed: 'gpt-4o-mini',
    fallbackIndex: 0,
    retries: 0,
    attempts: 1,
    failed: [],
    dropped: [],
    outcome: 'success',
    status: 200,
    usage: {
      inputTokens: 2000,
      outputTokens: 100,
      totalTokens: 2100,
      cachedTokens: 0,
      ...noTokens,
    },
    cost: { total: Math.random() / 100 },
    answerLength: 100,
    answer: JSON.stringify(answer),
  }
}

const settings = {
  enabled: true,
  keepsContent: chars > 0,
  allowContentOverride: false,
  maxBodyChars: 1_000_000,
  headers: [],
  maxAgeMs: 1e12,
  maxBytes: 1e11,
}
const dir = mkdtempSync(join(tmpdir(), 'asbru-cost-'))
const quiet = (): undefined => undefined
const log = { level: 'info', info: quiet, warn: quiet, error: quiet, debug: quiet }
const store = createLogStore({ path: join(dir, 'logs.db'), limits: settings, log })
store.setSecrets(Array.from({ length: 10 }, (_, i) => `sk-configured-canary-${i}-0123456789`))
const journal = createJournal(
  store,
  () => settings,
  () => (said: string) => said,
)

/** CPU microseconds per call: on the thread that serves, handing over included where it can be told apart, and in all. */
async function round(count: number): Promise<{ serving: number; all: number }> {
  let serving = 0
  let all = 0
  for (let done = 0; done < count; done += 500) {
    const records = Array.from({ length: 500 }, (_, i) => recordOf(done + i))
    const before = process.cpuUsage()
    const start = performance.now()
    for (const record of records) journal.settled(record)
    serving += performance.now() - start
    await store.ask({ kind: 'one', id: 'nobody' })
    const used = process.cpuUsage(before)
    all += used.user + used.system
  }
  return { serving: (serving * 1000) / count, all: all / count }
}

await round(Math.min(2000, calls))
const { serving, all } = await round(calls)
await store.close()
const bytes = statSync(join(dir, 'logs.db')).size / (calls + Math.min(2000, calls))
console.log(
  `${src}: ${all.toFixed(1)} µs CPU per call in all, ${serving.toFixed(1)} µs on the serving thread (wall), ${bytes.toFixed(0)} bytes per row, ${store.dropped} dropped`,
)
rmSync(dir, { recursive: true })
