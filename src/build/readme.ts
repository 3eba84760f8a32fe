import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Provider } from '#providers/provider.ts'
import { PROVIDERS } from '#providers/registry.ts'

import { describeOffers } from './offers.ts'

// `bun src/build/readme.ts [BENCH]` rewrites the tables of the README that are made from something else: the
// providers, and with a file of `asbru bench --full` (its table, or its `--json`) the figures.

/** The table of built-in providers in markdown, without a line end. */
export function providerTable(providers: Iterable<Provider> = PROVIDERS.values()): string {
  const rows = [...providers].map(
    (provider) =>
      `| \`${provider.name}\` | ${keySource(provider)} | ${describeOffers(provider.offers)} |`,
  )
  return [
    '| id | key from the environment | what is offered |',
    '| --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function keySource({ keyEnv, keyless, baseUrl }: Provider): string {
  const key =
    keyEnv.map((name) => `\`${name}\``).join(', ') || (keyless ? 'none needed' : 'in `config.json`')
  if (baseUrl !== undefined) return key
  return keyless ? `${key}; address in \`config.json\`` : `${key}, with the address`
}

/** What stands under `<!-- bench -->`: the table and the line about the machine, as `asbru bench` writes them. */
export function benchSection(text: string): string {
  if (text.trimStart().startsWith('{')) return fromJson(JSON.parse(text))
  const lines = text.split('\n').map((line) => line.trimEnd())
  const from = lines.findIndex((line) => line.startsWith('|'))
  if (from === -1) throw new Error('there is no table in the bench file')
  const length = lines.slice(from).findIndex((line) => !line.startsWith('|'))
  const to = length === -1 ? lines.length : from + length
  const about = lines.slice(to).find((line) => line !== '')
  return [...lines.slice(from, to), ...(about === undefined ? [] : ['', about])].join('\n')
}

interface BenchReport {
  readonly table: string
  readonly placed: string
  readonly gateway: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly os: string
    readonly bun: string
    readonly date: string
    readonly load: number
  }
}

function fromJson({ table, placed, gateway, machine }: BenchReport): string {
  const { cpu, cores, os, bun, date, load } = machine
  return `${table}\n\n${cpu}, ${cores} cores, ${os}, Bun ${bun}, ${date}; load before ${load.toFixed(1)}; gateway: ${gateway}; ${placed}.`
}

/**
 * `readme` with `content` under `<!-- name -->`, up to the next paragraph that `isOwn` does not claim.
 * Throws when the marker does not stand there exactly once.
 */
export function replaceUnder(
  readme: string,
  name: string,
  content: string,
  isOwn: (paragraph: string) => boolean = isTable,
): string {
  const marker = `<!-- ${name} -->\n`
  const [before = '', after, ...more] = readme.split(marker)
  if (after === undefined || more.length > 0)
    throw new Error(`the README needs one ${marker.trim()}`)
  const paragraphs = after.replace(/^\n+/, '').split(/\n{2,}/)
  const rest = paragraphs.findIndex((paragraph) => !isOwn(paragraph))
  const following = rest === -1 ? '' : paragraphs.slice(rest).join('\n\n')
  return `${before}${marker}\n${content}\n${following === '' ? '' : `\n${following}`}`
}

function isTable(paragraph: string): boolean {
  return paragraph.startsWith('|')
}

/** A table, or the line about the machine that `asbru bench` writes below it. */
function isBench(paragraph: string): boolean {
  return isTable(paragraph) || /, Bun [\d.]+, .*; gateway: /.test(paragraph)
}

if (import.meta.main) {
  const path = join(import.meta.dir, '..', '..', 'README.md')
  const bench = process.argv[2]
  let readme = replaceUnder(readFileSync(path, 'utf8'), 'providers', providerTable())
  if (bench !== undefined) {
    readme = replaceUnder(readme, 'bench', benchSection(readFileSync(bench, 'utf8')), isBench)
  }
  writeFileSync(path, readme)
}
