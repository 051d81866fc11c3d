import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Leash, openLeash } from '../dev/leash.ts'
import { findFreePort } from '../dev/ports.ts'
import { type ProcessSpec, type RunningProcess, startProcess } from '../dev/process.ts'

/** What a process is on the road; those further from home end first. */
export type Rank = 'gateway' | 'sidecar' | 'home' | 'control'

const stopOrder: readonly Rank[] = ['gateway', 'sidecar', 'home', 'control']

/** Everything that one run of a scenario has open. Its owner calls `stop` once. */
export interface Bench {
  /** A folder of this run alone. */
  readonly dir: string
  /** Aborted when the run is given up. */
  readonly signal: AbortSignal
  /** A port of loopback that nobody else in this run gets. */
  port(): Promise<number>
  /** Starts a process that lives until `stop`, unless it is ended before. */
  start(rank: Rank, spec: ProcessSpec): Promise<RunningProcess>
  /** Names something else that must be closed; closed before the processes, the latest first. */
  defer(close: () => Promise<unknown>): void
  /** Ends every process in order; the folder goes too unless it is to be kept. */
  stop(keepDir?: boolean): Promise<void>
}

/** Nothing runs until `start`. */
export function openBench(signal: AbortSignal): Bench {
  const dir = mkdtempSync(join(tmpdir(), 'hearth-lab-'))
  const leash: Leash = openLeash()
  const ports = new Set<number>()
  const processes = new Map<Rank, RunningProcess[]>(stopOrder.map((rank) => [rank, []]))
  const closers: (() => Promise<unknown>)[] = []
  return {
    dir,
    signal,
    port: () => findFreePort(ports),
    async start(rank, spec) {
      signal.throwIfAborted()
      const process = await startProcess(spec, { logDir: join(dir, 'logs'), leash, signal })
      processes.get(rank)?.push(process)
      return process
    },
    defer: (close) => void closers.push(close),
    async stop(keepDir = false) {
      // What cannot be closed must not keep the rest open; the leash ends it.
      for (const close of closers.reverse()) await close().catch(() => {})
      for (const rank of stopOrder) await Promise.all((processes.get(rank) ?? []).map((process) => process.stop()))
      await leash.close()
      if (!keepDir) rmSync(dir, { recursive: true, force: true })
    },
  }
}
