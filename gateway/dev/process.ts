import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import type { Leash } from './leash.ts'

/** How a process says that it is ready. */
export type ReadyCheck =
  | { readonly by: 'line' }
  | { readonly by: 'poll'; readonly what: string; probe(signal: AbortSignal): Promise<boolean> }

/** What to start and how to treat it. */
export interface ProcessSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** The whole environment of the process. */
  readonly env: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly ready: ReadyCheck
  readonly readyTimeoutMs: number
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number
}

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A started process. Its owner calls `stop` once; it is safe to call again. */
export interface RunningProcess {
  readonly name: string
  readonly pid: number
  /** The JSON line it printed when ready; empty for processes that are polled. */
  readonly facts: Readonly<Record<string, unknown>>
  readonly exited: Promise<ProcessExit>
  /** SIGTERM, then SIGKILL for its whole group after the time of its spec; resolves when it is gone. */
  stop(): Promise<ProcessExit>
  /** SIGKILL for the whole group at once; resolves when it is gone. */
  kill(): Promise<ProcessExit>
  /** The end of what it wrote. */
  tail(): string
}

/** A process that did not come up; the message names it, the reason and the end of its log. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

export interface ProcessSurroundings {
  readonly logDir: string
  readonly leash: Leash
  readonly signal?: AbortSignal
}

/**
 * Starts a process in a group of its own with its output in LOGDIR/NAME.log and waits until it is ready. Throws a
 * StartError, after ending it, when it exits first, runs out of time or the signal aborts.
 */
export async function startProcess(spec: ProcessSpec, surroundings: ProcessSurroundings): Promise<RunningProcess> {
  const child = launch(spec, surroundings)
  const label = `${spec.name} was not ready within ${spec.readyTimeoutMs} ms`
  const deadline = AbortSignal.timeout(spec.readyTimeoutMs)
  const over = new AbortController()
  const stop = AbortSignal.any([deadline, over.signal, ...(surroundings.signal ? [surroundings.signal] : [])])
  try {
    const facts = await Promise.race([
      awaitReady(spec, child, stop),
      child.exited.then((exit) => Promise.reject(new Error(`it ended with ${describeExit(exit)}`))),
    ])
    return { ...child, facts }
  } catch (error) {
    await child.kill()
    surroundings.signal?.throwIfAborted()
    const reason = deadline.aborted ? label : `${spec.name} did not start: ${describe(error)}`
    throw new StartError(`${reason}\n${indent(child.tail())}  (log: ${join(surroundings.logDir, `${spec.name}.log`)})`)
  } finally {
    over.abort()
  }
}

/** "status 1" or "SIGKILL". */
export function describeExit(exit: ProcessExit): string {
  return exit.signal ?? `status ${exit.code}`
}

interface Launched extends Omit<RunningProcess, 'facts'> {
  /** The first JSON line with `ready: true`. */
  readonly readyLine: Promise<Readonly<Record<string, unknown>>>
}

function launch(spec: ProcessSpec, { logDir, leash }: ProcessSurroundings): Launched {
  mkdirSync(logDir, { recursive: true })
  const log = createWriteStream(join(logDir, `${spec.name}.log`), { flags: 'a' })
  const options = { cwd: spec.cwd, env: spec.env, detached: true, stdio: 'pipe' } as const
  const child = spawn(spec.command, spec.args, options)
  child.stdin.on('error', () => {})
  const tail = keepTail(child, log)
  const { pid } = child
  if (pid !== undefined) leash.add(pid)
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('exit', () => {
      // What it left behind would hold its output open.
      if (pid !== undefined) endGroup(pid)
    })
    // 'close' and not 'exit': the last words have been read by then.
    child.once('close', (code, signal) => {
      if (pid !== undefined) leash.remove(pid)
      log.end(() => resolve({ code, signal }))
    })
    child.once('error', (error) => tail.add(`${error.message}\n`))
  })
  const kill = () => {
    if (pid !== undefined) endGroup(pid)
    return exited
  }
  const stop = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => void kill(), spec.stopTimeoutMs)
    const exit = await exited
    clearTimeout(timer)
    return exit
  }
  return { name: spec.name, pid: pid ?? 0, readyLine: readReadyLine(child), exited, stop, kill, tail: tail.text }
}

const tailCharsMax = 4_000

function keepTail(child: ChildProcess, log: WriteStream) {
  let kept = ''
  const add = (text: string) => {
    kept = (kept + text).slice(-tailCharsMax)
    log.write(text)
  }
  child.stdout?.setEncoding('utf8').on('data', add)
  child.stderr?.setEncoding('utf8').on('data', add)
  return { add, text: () => kept }
}

function readReadyLine(child: ChildProcess): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve) => {
    if (child.stdout === null) return
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => {
      const facts = parseReadyLine(line)
      if (facts === undefined) return
      resolve(facts)
      lines.removeAllListeners('line')
    })
  })
}

function parseReadyLine(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && 'ready' in value && value.ready === true) return { ...value }
  } catch {
    // A log line that only looks like JSON.
  }
  return undefined
}

const pollEveryMs = 25

async function awaitReady(spec: ProcessSpec, child: Launched, signal: AbortSignal) {
  if (spec.ready.by === 'line') return await Promise.race([child.readyLine, rejectOnAbort(signal)])
  while (!(await spec.ready.probe(signal).catch(() => false))) await wait(pollEveryMs, undefined, { signal })
  return {}
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // Already gone.
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  | ').concat('\n')
}
