import { join } from 'node:path'

import { createLive } from '#config/live.ts'
import type { Live } from '#config/live.ts'
import { loadConfig } from '#config/load.ts'
import type { LoadResult } from '#config/load.ts'
import type { Problem } from '#config/problem.ts'
import type { Environment } from '#config/reference.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { OPERATION_NAMES } from '#core/endpoint.ts'
import { GatewayError } from '#core/errors.ts'
import type { Logger } from '#core/log.ts'
import { composeRoutes } from '#http/compose.ts'
import type { Gateway } from '#http/gateway.ts'
import { performer } from '#http/jobs-run.ts'
import type { Lifecycle } from '#http/ops.ts'
import { listen } from '#http/server.ts'
import type { RunningServer } from '#http/server.ts'
import { createMetrics } from '#metrics/metrics.ts'
import { readingsOf } from '#metrics/more.ts'
import { warmCheckers } from '#openai/check.ts'
import { createAgents } from '#pipeline/agents.ts'
import type { CallSink } from '#pipeline/books.ts'
import { createCleaner } from '#pipeline/cleaner.ts'
import { bookedCost } from '#pipeline/costs.ts'
import { createCredentials } from '#pipeline/credentials.ts'
import { createGates } from '#pipeline/gates.ts'
import { createHealth } from '#pipeline/health.ts'
import { createHedges } from '#pipeline/hedge.ts'
import { createInflight } from '#pipeline/inflight.ts'
import { createJobs } from '#pipeline/jobs.ts'
import { createJournal, limitsOf, secretsOfConfig } from '#pipeline/journal.ts'
import { createRecorder } from '#pipeline/record.ts'
import { createRefusals } from '#pipeline/refusals.ts'
import { renew } from '#pipeline/renewal.ts'
import type { Services } from '#pipeline/services.ts'
import { createSessions } from '#pipeline/sessions.ts'
import type { Underway, UnderwayOptions } from '#pipeline/underway.ts'
import { createWebhooks, recipientsIn } from '#pipeline/webhooks.ts'
import { warmPrices } from '#prices/data.ts'
import { VENDOR_FACTS } from '#providers/registry.ts'
import { createDb } from '#store/db.ts'
import { createDeliveryStore } from '#store/deliveries.ts'
import { createDeliveryHistory } from '#store/delivery-history.ts'
import { createJobStore } from '#store/jobs.ts'
import { createLogStore } from '#store/logs.ts'
import { createResponseStore } from '#store/responses.ts'
import type { ResponseStore } from '#store/responses.ts'
import { createMappingStore } from '#store/user-agents.ts'
import { createPublishing } from '#tracing/publish.ts'
import { createTracing } from '#tracing/tracing.ts'

export interface AppOptions {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Followed for changes; undefined = no file. */
  readonly configPath: string | undefined
  /** The file's text at the start; undefined = there is none. */
  readonly configText: string | undefined
  readonly env: Environment
  readonly log: Logger
  /** Where the databases are; undefined keeps what they would hold in memory. */
  readonly appDir?: string | undefined
  /** False keeps no log of calls, whatever the configuration says. */
  readonly logs?: boolean
}

export type StartResult =
  | { readonly app: App; readonly problems: readonly [] }
  | { readonly app: undefined; readonly problems: readonly Problem[] }

export interface App {
  readonly url: string
  readonly port: number
  snapshot(): Snapshot
  readonly live: Live
  /** Adds keyless local servers that were found running, until the file configures them. */
  detect(names: readonly string[]): void
  /** Takes no new work, lets open work finish inside the drain window, ends the rest well-formed, and closes. */
  drain(): Promise<void>
  /** Closes at once. */
  stop(): Promise<void>
}

const pollMs = 20
/** The price list is not needed before a first call has ended. */
const pricesAfterMs = 100

/**
 * The composition root: configuration → pipeline → surfaces → socket. Returns every problem of a configuration
 * that is not valid; throws what listening throws.
 */
export function startApp(options: AppOptions): StartResult {
  const { log, env, configPath } = options
  let generation = 0
  let detected: readonly string[] = []
  let text = options.configText
  const load = (next: string | undefined): LoadResult => {
    const result = loadConfig({
      text: next,
      path: next === undefined ? undefined : configPath,
      env,
      vendors: VENDOR_FACTS,
      operations: OPERATION_NAMES,
      generation: generation + 1,
      detected,
    })
    if (result.snapshot) {
      generation++
      text = next
    }
    return result
  }
  const first = load(text)
  if (!first.snapshot) return { app: undefined, problems: first.problems }
  warn(log, first.snapshot)

  const logsPath =
    options.appDir === undefined || options.logs === false
      ? undefined
      : join(options.appDir, 'logs.db')
  const logs =
    logsPath === undefined
      ? undefined
      : createLogStore({ path: logsPath, limits: limitsOf(first.snapshot.logs), log })
  logs?.setSecrets(secretsOfConfig(first.snapshot))

  const live = createLive(first.snapshot, {
    path: configPath,
    initialText: text,
    reload: load,
    onChange(snapshot, previous) {
      log.info('configuration changed', {
        generation: snapshot.generation,
        providers: [...snapshot.providers.keys()],
      })
      warn(log, snapshot)
      logs?.setLimits(limitsOf(snapshot.logs))
      logs?.setSecrets(secretsOfConfig(snapshot))
      agents?.refresh()
      published.refresh()
      renew(snapshot, previous, gateway.services)
    },
    onRejected(problems) {
      log.error('the new configuration is not valid and was not taken', {
        path: configPath,
        problems,
      })
    },
  })

  const { appDir } = options
  const path = appDir === undefined ? undefined : join(appDir, 'asbru.db')
  const db = createDb({ path, log })
  const responses = createResponseStore(db, log)
  const hooks = (): Snapshot['webhooks'] => live.current().webhooks
  const webhooks = createWebhooks({
    deliveries: createDeliveryStore(db),
    history: createDeliveryHistory(db),
    settings: hooks,
    historyMs: () => live.current().async.deliveryHistoryMs,
    log,
  })
  const agents =
    logs &&
    createAgents({
      mappings: createMappingStore(db),
      configured: () => live.current().logs.apps,
      logs,
      log,
    })
  const cleaner = createCleaner(() => live.current())
  const metrics = createMetrics(() => live.current())
  const tracing = createTracing(() => live.current(), log)
  const lifecycle: Lifecycle = { draining: false }
  let server: RunningServer | undefined
  const gateway: Gateway = {
    services: {
      ...createServices(responses, log, () => live.current(), [
        metrics.calls,
        tracing,
        ...(logs ? [createJournal(logs, () => live.current().logs, cleaner)] : []),
      ]),
      outgoing: tracing,
      addressOf: (origin) => (origin instanceof Request ? server?.peer(origin) : undefined),
    },
    jobs: createJobs({
      store: createJobStore(db, Date.now, recipientsIn(hooks)),
      perform: performer(
        () => live.current(),
        () => gateway.services,
      ),
      settings: () => live.current().async,
      log,
      onEnded: () => webhooks.wake(),
    }),
    webhooks,
    logs,
    agents,
    underway:
      logs &&
      agents &&
      laterUnderway({
        recorder: () => gateway.services.recorder,
        snapshot: () => live.current(),
        appOf: agents.appOf,
        logs,
      }),
    refusals: logs && createRefusals(logs, () => live.current().logs, cleaner),
    snapshot: () => live.current(),
    metrics,
    patient: (request) => server?.patient(request),
    peer: (request) => server?.peer(request),
  }
  metrics.more.push(...readingsOf({ ...gateway, tracing }))
  const published = createPublishing(
    { ...metrics, services: gateway.services, snapshot: () => live.current() },
    log,
  )
  const routes = composeRoutes(gateway, lifecycle)
  try {
    server = listen({
      host: options.host,
      port: options.port,
      app: routes,
      gateway: () => gateway,
      lifecycle,
      log,
    })
  } catch (thrown) {
    live.close()
    metrics.stop()
    throw thrown
  }
  const running = server
  responses.keepTidy(() => live.current().responseStore)
  const { jobs } = gateway
  jobs?.start()
  published.refresh()
  warmCheckers()
  // Before the first rows are written.
  if (agents) setTimeout(() => agents.refresh(), 0)
  setTimeout(warmPricesSoon, pricesAfterMs).unref()

  return {
    problems: [],
    app: {
      url: running.url,
      port: running.port,
      snapshot: () => live.current(),
      live,
      detect(names) {
        detected = names
        const result = load(text)
        if (result.snapshot) live.replace(result.snapshot)
      },
      async drain() {
        lifecycle.draining = true
        live.close()
        jobs?.drain()
        webhooks.drain()
        const until = performance.now() + live.current().client.drainMs
        const { gates, inflight } = gateway.services
        // A message that is cut off may have arrived, and would be sent again.
        const ofJobs = (): number => (jobs?.running ?? 0) + webhooks.running
        const busy = (): boolean =>
          gates.inFlight() + inflight.size + running.pending() + ofJobs() > 0
        while (busy() && performance.now() < until) await Bun.sleep(pollMs)
        inflight.endAll(
          new GatewayError('shutting_down', 'The gateway is shutting down; this call ends here.'),
        )
        // What was just written has to leave before the sockets are closed.
        for (let turns = 0; busy() && turns < 50; turns++) await Bun.sleep(pollMs)
        await Bun.sleep(pollMs)
        await running.close()
        metrics.stop()
        await published.close()
        await tracing.close()
        jobs?.close()
        webhooks.close()
        responses.close()
        await logs?.close()
      },
      async stop() {
        live.close()
        await running.close()
        metrics.stop()
        await published.close()
        await tracing.close()
        jobs?.close()
        webhooks.close()
        responses.close()
        await logs?.close()
      },
    },
  }
}

function createServices(
  responses: ResponseStore,
  log: Logger,
  snapshot: () => Snapshot,
  sinks: readonly CallSink[] = [],
): Services {
  return {
    credentials: createCredentials(),
    gates: createGates(),
    health: createHealth(() => snapshot().client.breaker),
    hedges: createHedges(),
    rescues: { tried: 0, continued: 0 },
    inflight: createInflight(),
    recorder: createRecorder(
      log,
      sinks,
      (call, books, usage) => bookedCost(call, books, usage, snapshot()),
      warmPricesSoon,
      createCleaner(snapshot),
    ),
    responses,
    sessions: createSessions(),
    tripped: new Map(),
  }
}

let isWarm = false

/** What a call costs is asked when it ends; the list is loaded while the provider works on the first. */
function warmPricesSoon(): void {
  if (isWarm) return
  isWarm = true
  setImmediate(warmPrices)
}

/** A gateway that knows its configuration and nothing else, and neither listens nor keeps anything. */
export function offlineGateway(snapshot: Snapshot, log: Logger): Gateway {
  const responses = createResponseStore(createDb({ path: undefined, log }), log)
  return {
    services: createServices(responses, log, () => snapshot),
    snapshot: () => snapshot,
    patient() {},
  }
}

function warn(log: Logger, snapshot: Snapshot): void {
  for (const warning of snapshot.warnings) log.warn(warning)
}

/** The calls under way, whose rows are put together by what is not loaded before somebody looks: a start has no need of it. */
function laterUnderway(options: UnderwayOptions): Underway {
  let loaded: Underway | undefined
  const underway = (): Underway => {
    if (loaded) return loaded
    // Synchronous, because whoever opens a socket cannot wait.
    const { createUnderway } =
      require('#pipeline/underway.ts') as typeof import('#pipeline/underway.ts')
    loaded = createUnderway(options)
    return loaded
  }
  return {
    calls: () => underway().calls(),
    get following() {
      return underway().following
    },
  }
}
