import { join } from 'node:path'
import { type Leash, openLeash } from './leash.ts'
import type { ProcessSpec } from './process.ts'
import { type ProcessNews, type Supervised, supervise } from './supervise.ts'

/** One process of the chain that came up. */
export interface Hop {
  readonly name: HopName
  readonly what: string
  readonly ms: number
}

export type HopName = 'control' | 'home' | 'echo' | 'traefik' | 'engine' | 'meshlink' | 'gateway' | 'page'

export interface LauncherOptions {
  readonly stateDir: string
  readonly supervise: boolean
  readonly signal?: AbortSignal
  readonly onHop?: (hop: Hop) => void
  readonly onNews?: (news: ProcessNews) => void
}

/** Starts the processes of one chain and ends them in order. */
export interface Launcher {
  readonly processes: ReadonlyMap<HopName, Supervised>
  /** Aborted when the chain is being stopped or a start has failed. */
  readonly stopping: AbortSignal
  start(name: HopName, what: string, spec: (run: number) => ProcessSpec): Promise<Supervised>
  /** Waits for all; when one fails the others are given up, and the first failure is thrown. */
  all(starts: readonly Promise<unknown>[]): Promise<void>
  stop(): Promise<void>
}

/** In this order; what stands together ends together. */
const stopOrder: readonly (readonly HopName[])[] = [
  ['page', 'gateway'],
  ['meshlink'],
  ['home', 'traefik', 'engine'],
  ['echo', 'control'],
]

/** Nothing runs until `start`; `released` is called once all of it has ended. */
export function createLauncher(options: LauncherOptions, released: () => void): Launcher {
  const processes = new Map<HopName, Supervised>()
  const giveUp = new AbortController()
  const signal = options.signal === undefined ? giveUp.signal : AbortSignal.any([giveUp.signal, options.signal])
  const leash: Leash = openLeash()
  let stopped: Promise<void> | undefined
  const stopAll = async () => {
    giveUp.abort(new Error('the chain is being stopped'))
    for (const names of stopOrder) await Promise.all(names.map((name) => processes.get(name)?.stop()))
    await leash.close()
    released()
  }
  return {
    processes,
    stopping: signal,
    async start(name, what, spec) {
      signal.throwIfAborted()
      const startedAt = performance.now()
      const surroundings = { logDir: join(options.stateDir, 'logs'), leash, signal }
      const onNews = options.onNews ?? (() => {})
      const process = await supervise({ ...surroundings, spec, restart: options.supervise, onNews })
      processes.set(name, process)
      options.onHop?.({ name, what, ms: Math.round(performance.now() - startedAt) })
      return process
    },
    async all(starts) {
      try {
        await Promise.all(starts)
      } catch (error) {
        giveUp.abort(error)
        await Promise.allSettled(starts)
        throw error
      }
    },
    stop: () => {
      stopped ??= stopAll()
      return stopped
    },
  }
}
