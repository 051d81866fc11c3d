import type { ChildProcess } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { findPlanted, secretsOf } from './canaries.ts'

/**
 * The folder in which every gateway of a run leaves its log, where the runner asks for it. A gateway has three files there:
 * `NAME.json` ({@link Kept}), `NAME.out` and `NAME.err`.
 */
export const keptLogsVariable = 'HEARTH_TEST_LOGS'

/** What is known of a log. */
interface Kept {
  /** Whether each line of its output must be one JSON object. */
  readonly json: boolean
  /** What must stand nowhere in it, beside the canaries. */
  readonly secrets: readonly string[]
}

/** What was found in the logs of a run. */
export interface LogFindings {
  readonly programs: number
  readonly lines: number
  readonly problems: readonly string[]
}

const shownProblems = 20
let count = 0

/** Keeps what a gateway says, with the secrets that it was given, for {@link takeKeptLogs}. */
export function keepLogs(child: ChildProcess, env: Readonly<Record<string, string>>, keys: readonly string[]): void {
  const folder = process.env[keptLogsVariable]
  if (folder === undefined) return
  const { HEARTH_LOG: form = 'json', HEARTH_ENGINE_API_KEY: engineKey } = env
  const secrets = [...keys.flatMap(secretsOf), ...(engineKey === undefined ? [] : [engineKey])]
  const name = nameIn(folder, { json: form !== 'pretty', secrets })
  for (const [stream, ending] of [
    [child.stdout, 'out'],
    [child.stderr, 'err'],
  ] as const) {
    const file = openSync(`${name}.${ending}`, 'w')
    stream?.on('data', (chunk: Buffer | string) => void writeSync(file, chunk.toString()))
    stream?.once('close', () => closeSync(file))
  }
}

/** Keeps the logs of a chain's gateway and sidecar; its processes have ended. */
export function keepChainLogs(stateDir: string, keys: readonly string[]): void {
  const folder = process.env[keptLogsVariable]
  if (folder === undefined) return
  for (const program of ['gateway', 'meshlink']) {
    const log = join(stateDir, 'logs', `${program}.log`)
    if (!existsSync(log)) continue
    copyFileSync(log, `${nameIn(folder, { json: true, secrets: keys.flatMap(secretsOf) })}.out`)
  }
}

function nameIn(folder: string, kept: Kept): string {
  count += 1
  const name = join(folder, `${process.pid}-${count}`)
  writeFileSync(`${name}.json`, JSON.stringify(kept))
  return name
}

/** Checks all logs of the folder and removes them. */
export function takeKeptLogs(folder: string): LogFindings {
  const problems: string[] = []
  let [programs, lines] = [0, 0]
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const name = join(folder, file.slice(0, -'.json'.length))
    const { json, secrets }: Kept = JSON.parse(readFileSync(join(folder, file), 'utf8'))
    const out = readOnce(`${name}.out`)
    // The last line of a program that was killed may be cut.
    const whole = out.split('\n').slice(0, -1)
    programs += 1
    lines += whole.length
    if (json)
      problems.push(...whole.filter((line) => !isRecord(line)).map((line) => `no JSON object: ${line.slice(0, 300)}`))
    for (const text of [out, readOnce(`${name}.err`)]) {
      const found = findPlanted(text, secrets)
      if (found !== undefined) problems.push(`a planted secret: ${found}`)
    }
    rmSync(join(folder, file))
  }
  return { programs, lines, problems: problems.slice(0, shownProblems) }
}

function readOnce(file: string): string {
  if (!existsSync(file)) return ''
  const text = readFileSync(file, 'utf8')
  rmSync(file)
  return text
}

function isRecord(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
