import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

// How long searches take over many rows, as the reader's thread sees it:
//   bun test/logs/bench/search.ts [src] [rows] [dir]
// `src` is the source tree to measure; the file is made in `dir` at the first run and used again afterwards.

const [src = 'src', rowsText = '1000000', dir = 'logs-bench'] = Bun.argv.slice(2)
const rows = Number(rowsText)
mkdirSync(dir, { recursive: true })
const path = resolve(dir, `logs-${rows}.db`)
const load = async (file: string): Promise<any> =>
  await import(pathToFileURL(join(resolve(src), 'store', file)).href)

const startMs = Date.parse('2026-11-01T00:00:00Z')
const stepMs = 1000
const vendors = ['openai', 'anthropic', 'gemini', 'bedrock', 'mistral', 'groq', 'azure', 'cohere']
const models = Array.from({ length: 60 }, (_, i) => `model-${i}`)
const nouns = 'invoice refund password delivery contract schedule holiday budget printer network'
  .split(' ')
  .flatMap((noun) => [noun, `${noun}s`])
let seed = 42
const random = (): number => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
const pick = <T>(all: readonly T[], skew = 2): T => all[Math.floor(random() ** skew * all.length)]!

function rowOf(i: number): object {
  const vendor = pick(vendors)
  const isError = random() < 0.03
  const tokens = Math.floor(random() ** 4 * 20_000)
  const noun = pick(nouns)
  const asked = `please help with the ${noun} and the ${pick(nouns)} number${i % 5000} common words here`
  const team = Math.floor(random() ** 2 * 40)
  return {
    id: `01K${String(i).padStart(23, '0')}`,
    atMs: startMs + i * stepMs + Math.floor(random() * 5000),
    object: random() < 0.9 ? 'chat_completion' : 'embedding',
    stream: random() < 0.4,
    status: isError ? 'error' : 'success',
    statusCode: isError ? 500 : 200,
    provider: vendor,
    model: `${vendor}/${pick(models)}`,
    modelUsed: pick(models),
    keyId: `key-${i % 20}`,
    keyName: `key ${i % 20}`,
    virtualKeyId: `vk-${Math.floor(random() ** 3 * 500)}`,
    virtualKeyName: 'a key',
    teamId: `team-${team}`,
    teamName: `Team ${team}`,
    customerId: `customer-${team % 7}`,
    customerName: `Customer ${team % 7}`,
    ruleId: random() < 0.01 ? 'rule-1' : undefined,
    ruleName: undefined,
    engines: random() < 0.01 ? 'governance,routing-rule' : 'governance',
    sessionId: random() < 0.1 ? `session-${i >> 8}` : undefined,
    userAgent: `client-${i % 9}/1.0`,
    latencyMs: 50 + random() ** 6 * 30_000,
    queuedMs: 0,
    upstreamMs: 40,
    firstTokenMs: undefined,
    promptTokens: tokens,
    completionTokens: 100,
    totalTokens: tokens + 100,
    cachedTokens: 0,
    cost: random() < 0.02 ? undefined : tokens * 1e-6 + random() * 1e-4,
    fallbackIndex: 0,
    retries: 0,
    attempts: 1,
    metadata: `{"env":"${random() < 0.9 ? 'prod' : 'test'}"${i % 100_000 === 7 ? ',"ticket":"T7"' : ''}}`,
    asked,
    request: JSON.stringify({ messages: [{ role: 'user', content: asked }] }),
    answer: undefined,
    secrets: [],
  }
}

if (!existsSync(path)) {
  const { createLogWriter } = await load('logs-writer.ts')
  const limits = { maxAgeMs: 1e13, maxBytes: 1e12, maxBodyChars: 100_000 }
  const writer = createLogWriter({ path, limits, onAside: () => undefined })
  for (let i = 0; i < rows; i += 1000) {
    writer.write(
      Array.from({ length: Math.min(1000, rows - i) }, (_, j) => rowOf(i + j)),
      false,
      true,
    )
  }
  writer.close()
}

const at = (share: number): string => new Date(startMs + share * rows * stepMs).toISOString()
const searches = [
  '',
  'order=asc',
  'providers=openai',
  'providers=cohere&status=error',
  'models=groq/model-59',
  'aliases=model-58',
  'status=error',
  'selected_key_ids=key-7',
  'objects=embedding',
  'objects=chat_completion_stream',
  'virtual_key_ids=vk-490',
  'team_ids=team-39',
  'customer_ids=customer-3',
  'routing_rule_ids=rule-1',
  'routing_engine_used=routing-rule',
  'user_agents=client-8/1.0',
  'roots_only=true',
  'session_id=session-100',
  'request_id=01K00000000000000000000777',
  'missing_cost_only=true',
  'min_cost=0.0195',
  'min_latency=29000&max_latency=29500',
  'min_tokens=19000&providers=mistral',
  `start_time=${at(0.4)}&end_time=${at(0.41)}`,
  'sort_by=cost',
  'sort_by=cost&order=asc',
  'sort_by=latency',
  'sort_by=tokens&status=error',
  'sort_by=cost&team_ids=team-30&models=openai/model-3',
  'content_search=number777',
  'content_search=common',
  'content_search=common&sort_by=latency',
  'content_search=printers&status=error&sort_by=cost',
  'content_search=please number4',
  'content_search=number&sort_by=cost',
  'content_search=invoice budget&sort_by=tokens',
  'content_search=common&providers=cohere&status=error',
  'metadata_env=prod',
  'metadata_env=prod&sort_by=cost',
  'metadata_ticket=T7',
  'offset=5000&limit=50',
  'limit=1000',
]
const { createLogReader } = await load('logs-query.ts')
const reader = createLogReader(path)
reader.ask({ kind: 'list', filters: { limit: '1' } })
for (const kind of ['list', 'stats', 'histogram'] as const) {
  const asked = kind === 'list' ? searches : ['', 'providers=openai', 'content_search=number777']
  for (const search of asked) {
    const filters = Object.fromEntries(new URLSearchParams(search))
    if (kind === 'histogram') Object.assign(filters, { start_time: at(0), end_time: at(1) })
    let best = Infinity
    let said = ''
    try {
      for (let run = 0; run < 5; run++) {
        const start = performance.now()
        const answer = reader.ask({ kind, filters })
        best = Math.min(best, performance.now() - start)
        const { logs, pagination, total_requests: total } = answer
        if (logs)
          said = `${logs.length} of ${pagination.total_count}${pagination.is_count_exact ? '' : '+'}`
        else if (total !== undefined) said = `${total}`
      }
    } catch (thrown) {
      said = (thrown as Error).message
    }
    console.log(`${best.toFixed(1).padStart(8)} ms  ${kind} ${search || '(everything)'}  ${said}`)
  }
}
const bytes = statSync(path).size / rows
const resident = process.memoryUsage.rss() / 2 ** 20
console.log(`${bytes.toFixed(0)} bytes per row; ${resident.toFixed(0)} MB resident`)
reader.close()
