import { setTimeout as wait } from 'node:timers/promises'
import type { CallerSees } from './front.ts'

/** One request of a load, by `performance.now()`. */
export interface Sent extends CallerSees {
  readonly startedAtMs: number
  readonly endedAtMs: number
}

/** Requests at a steady rate, whatever becomes of them. Its owner calls `stop` once. */
export interface Load {
  /** Those that have ended. */
  readonly sent: readonly Sent[]
  /** Resolves with the first request that began at `sinceMs` or later and passed; undefined after `timeoutMs`. */
  firstGood(sinceMs: number, timeoutMs: number): Promise<Sent | undefined>
  /** Sends no more; resolves when the last one has ended. */
  stop(): Promise<void>
}

/** Sends one request every `everyMs`, without waiting for those before. */
export function startLoad(everyMs: number, send: () => Promise<CallerSees>): Load {
  const sent: Sent[] = []
  const running = new Set<Promise<void>>()
  const waiters = new Set<() => void>()
  const sendOne = async () => {
    const startedAtMs = performance.now()
    const seen = await send()
    sent.push({ ...seen, startedAtMs, endedAtMs: performance.now() })
    for (const look of [...waiters]) look()
  }
  const timer = setInterval(() => {
    const one: Promise<void> = sendOne().finally(() => running.delete(one))
    running.add(one)
  }, everyMs)
  return {
    sent,
    async firstGood(sinceMs, timeoutMs) {
      const { promise, resolve } = Promise.withResolvers<Sent | undefined>()
      const over = new AbortController()
      const look = () => {
        const good = sent.find(({ startedAtMs, code }) => startedAtMs >= sinceMs && code === 'ok')
        if (good !== undefined) resolve(good)
      }
      waiters.add(look)
      look()
      wait(timeoutMs, undefined, { signal: over.signal }).then(
        () => resolve(undefined),
        () => {},
      )
      return promise.finally(() => {
        over.abort()
        waiters.delete(look)
      })
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(running)
    },
  }
}

/** How often each code came that is no success. */
export function countFailures(sent: readonly CallerSees[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { code } of sent) if (code !== 'ok') counts[code] = (counts[code] ?? 0) + 1
  return counts
}
