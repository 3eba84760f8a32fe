// The parts of one benchmark, ready to be measured: upstream and load generator for the whole run, floor and gateway
// started anew for every scenario, so that none inherits another's memory.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type Filled, type FillOrder, isFilled } from './filling.ts'
import type { Fleet, Member } from './fleet.ts'
import { type Held, isHeld, isLoadResult, type Job, type LoadResult } from './job.ts'

/** Something that answers chat requests. */
export interface Contender {
  name: 'direct' | 'floor' | 'gateway'
  /** Its chat completions endpoint. */
  url: string
  /** What the model is prefixed with; `openai` when absent. */
  provider?: string
  /** Undefined for direct: the upstream's own cost is nobody's business. */
  pid: number | undefined
  stop: () => Promise<void>
}

export interface Loader {
  run: (job: Job) => Promise<LoadResult>
  /** Runs a `hold`: `whileHeld` is called when all streams stand, with their number. */
  hold: (job: Job, whileHeld: (held: number) => Promise<void>) => Promise<LoadResult>
}

export interface Parts {
  direct: Contender
  loader: Loader
  /** What upstream and load generator run as. */
  ends: readonly number[]
  startFloor: () => Promise<Contender>
  /** With the usual configuration, or with what it is made into. */
  startGateway: (configure?: Configure, place?: Place) => Promise<Contender>
  /** Writes calls into a new log. */
  fillLog: (order: FillOrder) => Promise<Filled>
  /** A new folder, which `clean` removes. */
  newFolder: () => string
  /** Removes the temporary folder. */
  clean: () => void
}

export interface Place {
  /** Its app dir, which stays as it is; a new one when absent. */
  readonly home?: string
  /** Not held to one core: for work that its threads share. */
  readonly isFree?: boolean
}

/** One provider of each dialect, as the scenarios have it; what it returns is what the gateway starts with. */
export type Configure = (usual: BenchConfig) => object

export interface BenchConfig {
  readonly providers: Readonly<Record<string, ProviderConfig>>
  readonly client: object
}

interface ProviderConfig {
  readonly keys: readonly object[]
  readonly network_config: { readonly base_url: string }
  readonly concurrency_and_buffer_size: object
}

/** How the programs are called; both without their subcommand. */
export interface Programs {
  /** This program, for the roles. */
  self: readonly string[]
  gateway: readonly string[]
}

const startMs = 20_000
const fillMs = 1_200_000
/** Beyond the job's own limit, so that its account of what is missing arrives. */
const graceMs = 5000

/** Starts upstream and load generator. */
export async function assemble(fleet: Fleet, programs: Programs): Promise<Parts> {
  const folder = mkdtempSync(join(tmpdir(), 'asbru-bench-'))
  const role = (
    name: string,
    args: readonly string[],
    side: 'contender' | 'ends' | 'anywhere',
  ): Member =>
    fleet.start({
      name,
      command: [...programs.self, 'bench-role', ...args],
      side,
      env: { BUN_CONFIG_MAX_HTTP_REQUESTS: '65535' },
    })
  const upstream = role('upstream', ['upstream'], 'ends')
  const load = role('load', ['load'], 'ends')
  const upstreamUrl = await urlOf(upstream)
  await load.hear(isReady, startMs)
  const usual = configFor(upstreamUrl)
  let starts = 0
  let folders = 0
  const newFolder = (): string => {
    folders += 1
    const home = join(folder, `home-${folders}`)
    mkdirSync(home)
    return home
  }
  return {
    direct: {
      name: 'direct',
      url: `${upstreamUrl}/v1/chat/completions`,
      pid: undefined,
      stop: () => Promise.resolve(),
    },
    loader: createLoader(load),
    ends: [upstream.pid, load.pid],
    async startFloor() {
      const floor = role('floor', ['floor', upstreamUrl], 'contender')
      return contender('floor', floor, `${await urlOf(floor)}/v1/chat/completions`)
    },
    newFolder,
    async fillLog(order) {
      const filler = role('log', ['log', JSON.stringify(order)], 'anywhere')
      try {
        return await filler.hear(isFilled, fillMs)
      } finally {
        await filler.stop()
      }
    },
    async startGateway(configure = (config) => config, { home = newFolder(), isFree } = {}) {
      starts += 1
      const config = join(folder, `config-${starts}.json`)
      writeFileSync(config, JSON.stringify(configure(usual), null, 2))
      const place = ['--port', '0', '--host', '127.0.0.1', '--config', config, '--app-dir', home]
      const gateway = fleet.start({
        name: 'gateway',
        command: [...programs.gateway, 'serve', ...place, '--log-level', 'warn'],
        side: isFree ? 'anywhere' : 'contender',
        // Nothing else: what it needs for many connections it must see to itself, as it must for its users.
        // Bun's own flag lets it end with this process even when that is killed outright.
        env: { HOME: home, TMPDIR: tmpdir(), BUN_OPTIONS: '--no-orphans' },
      })
      return contender('gateway', gateway, `${await urlOf(gateway)}/openai/v1/chat/completions`)
    },
    clean() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function contender(name: Contender['name'], member: Member, url: string): Contender {
  return { name, url, pid: member.pid, stop: member.stop }
}

async function urlOf(member: Member): Promise<string> {
  const { url } = await member.hear(isListening, startMs)
  return url.replace(/\/$/, '')
}

function createLoader(member: Member): Loader {
  return {
    run(job) {
      member.tell(job)
      return member.hear(isLoadResult, patience(job))
    },
    async hold(job, whileHeld) {
      member.tell(job)
      const said = await member.hear(isHeldOrResult, patience(job))
      if (!isHeld(said)) return said
      await whileHeld(said.held)
      member.tell({ release: true })
      return member.hear(isLoadResult, patience(job))
    },
  }
}

/** How long to wait for the account of a job, in milliseconds. */
function patience(job: Job): number {
  return job.timeoutMs + graceMs
}

function isHeldOrResult(value: object): value is Held | LoadResult {
  return isHeld(value) || isLoadResult(value)
}

function isReady(value: object): value is { ready: true } {
  return 'ready' in value
}

function isListening(value: object): value is { url: string } {
  return 'url' in value && typeof value.url === 'string'
}

/**
 * One provider of each dialect with one key, everything else as it is by default but for the log of calls: the floor
 * keeps none, and what it costs has a row of its own.
 */
function configFor(upstreamUrl: string): BenchConfig {
  const provider = (name: string): ProviderConfig => ({
    keys: [{ name, value: 'sk-bench', models: ['*'], weight: 1 }],
    network_config: { base_url: upstreamUrl },
    concurrency_and_buffer_size: { concurrency: 10_000, buffer_size: 10_000 },
  })
  return {
    providers: { openai: provider('bench'), anthropic: provider('bench-anthropic') },
    client: { enable_logging: false },
  }
}
