import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { withDeadline } from './deadline.ts'

const entry = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const runMs = 20_000

/** What one run of the command line came to. */
export interface CliRun {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs `hearth ARGS` as a process whose environment is `env` alone, and waits for its end. */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd: string,
): Promise<CliRun> {
  const { promise, resolve, reject } = Promise.withResolvers<CliRun>()
  const child = spawn(process.execPath, [entry, ...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  child.on('error', reject)
  child.on('close', (code) => resolve({ code, out, err }))
  try {
    return await withDeadline(promise, runMs, `hearth ${args.join(' ')} ends`)
  } finally {
    child.kill('SIGKILL')
  }
}
