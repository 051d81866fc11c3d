import { setTimeout as wait } from 'node:timers/promises'
import {
  describeExit,
  type ProcessSpec,
  type ProcessSurroundings,
  type RunningProcess,
  startProcess,
} from './process.ts'

const backOffMinMs = 100
const backOffMaxMs = 5_000
/** A process that lived this long has not failed at its start. */
const settledMs = 10_000

/** What happened to a supervised process; `text` is for people. */
export interface ProcessNews {
  readonly name: string
  readonly kind: 'ended' | 'restarted' | 'restart-failed'
  readonly text: string
}

export interface SuperviseOptions extends ProcessSurroundings {
  /** Asked before every start; `run` counts from 0. */
  readonly spec: (run: number) => ProcessSpec
  /** False: a process that ends stays ended. */
  readonly restart: boolean
  readonly onNews: (news: ProcessNews) => void
}

/** A process that comes back when it dies. Its owner calls `stop` once. */
export interface Supervised {
  readonly name: string
  /** The id of the process that runs now, undefined while none does. */
  pid(): number | undefined
  /** How often it was started anew. */
  restarts(): number
  /** The JSON line of the process that runs now. */
  facts(): Readonly<Record<string, unknown>>
  /** The end of the log of the last process. */
  tail(): string
  /** Names a process that must start anew whenever this one did. */
  takeAlong(dependant: Supervised): void
  /** Kills the process so that it starts anew at once. */
  cycle(): void
  /** Ends it for good, in order. */
  stop(): Promise<void>
}

/** Starts a process and keeps it running. Throws a StartError when the first start fails. */
export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const stopping = new AbortController()
  const dependants: Supervised[] = []
  let runs = 0
  let cycling = false
  let current: RunningProcess | undefined
  const start = async () => {
    const surroundings = { ...options, signal: joinSignals(stopping.signal, options.signal) }
    const began = await startProcess(options.spec(runs++), surroundings)
    current = began
    return began
  }
  let last = await start()
  const { name } = last
  const bringBack = async (): Promise<void> => {
    let backOffMs = backOffMinMs
    while (!stopping.signal.aborted) {
      const startedAt = Date.now()
      const exit = await last.exited
      current = undefined
      if (stopping.signal.aborted) return
      options.onNews({ name, kind: 'ended', text: `${name} ended with ${describeExit(exit)}` })
      if (!options.restart && !cycling) return
      if (Date.now() - startedAt > settledMs) backOffMs = backOffMinMs
      if (!cycling) await wait(backOffMs, undefined, { signal: stopping.signal }).catch(() => {})
      cycling = false
      const again = await startAgain()
      if (again === undefined) return
      last = again
      backOffMs = Math.min(backOffMs * 2, backOffMaxMs)
      options.onNews({ name, kind: 'restarted', text: `${name} runs again` })
      for (const dependant of dependants) dependant.cycle()
    }
  }
  const startAgain = async () => {
    for (let pauseMs = backOffMinMs * 2; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, backOffMaxMs)) {
      try {
        return await start()
      } catch (error) {
        if (stopping.signal.aborted) return undefined
        const reason = error instanceof Error ? error.message : String(error)
        options.onNews({ name, kind: 'restart-failed', text: reason })
        await wait(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
    return undefined
  }
  const kept = bringBack()
  return {
    name,
    pid: () => current?.pid,
    restarts: () => runs - 1,
    facts: () => last.facts,
    tail: () => last.tail(),
    takeAlong: (dependant) => void dependants.push(dependant),
    cycle() {
      if (current === undefined) return
      cycling = true
      void current.kill()
    },
    async stop() {
      stopping.abort()
      await last.stop()
      await kept
      // A restart may have got through just before.
      await current?.stop()
    },
  }
}

function joinSignals(own: AbortSignal, outer: AbortSignal | undefined): AbortSignal {
  return outer === undefined ? own : AbortSignal.any([own, outer])
}
