import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

// `bun run build` makes dist/asbru for this machine; with --all, one executable per platform and SHA256SUMS.

export interface Target {
  readonly name: string
  readonly bun: string
  /** Bytecode halves the start time; it is made only where its output has been run. */
  readonly bytecode: boolean
}

export const targets: readonly Target[] = [
  { name: 'asbru-linux-x64', bun: 'bun-linux-x64', bytecode: true },
  { name: 'asbru-linux-arm64', bun: 'bun-linux-arm64', bytecode: false },
  { name: 'asbru-linux-x64-musl', bun: 'bun-linux-x64-musl', bytecode: false },
  { name: 'asbru-linux-arm64-musl', bun: 'bun-linux-arm64-musl', bytecode: false },
  { name: 'asbru-darwin-arm64', bun: 'bun-darwin-arm64', bytecode: false },
  { name: 'asbru-darwin-x64', bun: 'bun-darwin-x64', bytecode: false },
  { name: 'asbru-windows-x64.exe', bun: 'bun-windows-x64', bytecode: false },
]

const dist = 'dist'

/** The arguments of `bun` that make `outfile`; without a target for the machine that runs it. */
export function buildCommand(outfile: string, target: Target | undefined): string[] {
  return [
    'build',
    '--compile',
    ...(target ? [`--target=${target.bun}`] : []),
    ...((target?.bytecode ?? true) ? ['--bytecode'] : []),
    '--format=esm',
    // Elysia reads the source of handlers to see what they use, so identifiers must keep their names.
    '--minify-syntax',
    '--minify-whitespace',
    '--no-compile-autoload-dotenv',
    '--no-compile-autoload-bunfig',
    // Headers up to here reach the gateway, whose refusal of large ones is an answer in the envelope.
    '--compile-exec-argv=--max-http-header-size=262144',
    `--outfile=${outfile}`,
    'src/main.ts',
    // A thread's file is no part of the bundle that starts it; it lies beside it in the executable.
    'src/store/logs-worker.ts',
  ]
}

async function compile(outfile: string, target: Target | undefined): Promise<void> {
  const command = [process.execPath, ...buildCommand(outfile, target)]
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: 'inherit', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(`building ${outfile} failed:\n${stderr.toString()}`)
  const { size } = statSync(outfile)
  console.log(`${outfile}  ${(size / 1e6).toFixed(1)} MB`)
}

async function sha256(path: string): Promise<string> {
  const hasher = new Bun.SHA256()
  for await (const chunk of Bun.file(path).stream()) hasher.update(chunk)
  return hasher.digest('hex')
}

async function buildAll(): Promise<void> {
  for (const target of targets) await compile(join(dist, target.name), target)
  const lines: string[] = []
  for (const { name } of targets) lines.push(`${await sha256(join(dist, name))}  ${name}\n`)
  await Bun.write(join(dist, 'SHA256SUMS'), lines.join(''))
  console.log(`${join(dist, 'SHA256SUMS')}  ${lines.length} files`)
}

if (import.meta.main) {
  mkdirSync(dist, { recursive: true })
  try {
    if (process.argv.includes('--all')) await buildAll()
    else await compile(join(dist, process.platform === 'win32' ? 'asbru.exe' : 'asbru'), undefined)
  } finally {
    // Bun leaves its working copy behind when a build is interrupted.
    for (const file of readdirSync('.')) {
      if (/^\..*\.bun-build$/.test(basename(file))) rmSync(file, { force: true })
    }
  }
}
