import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 5

/** Thrown by every wait of the tests that ran out of time; the label says what was awaited. */
export class DeadlineError extends Error {
  override name = 'DeadlineError'
}

/**
 * Settles as the promise does, or rejects with a DeadlineError after `timeoutMs`.
 * The awaited work is not cancelled: its owner releases it.
 */
export async function withDeadline<T>(promise: Promise<T>, timeoutMs: number, label: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new DeadlineError(`not within ${timeoutMs} ms: ${label}`)), timeoutMs)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Asks `probe` until it answers something truthy and returns that; a DeadlineError after `timeoutMs`.
 * For things that report no event (another process, the kernel); where an event exists, await the event.
 */
export function waitUntil<T>(probe: () => T | Promise<T>, timeoutMs: number, label: string): Promise<NonNullable<T>> {
  const over = new AbortController()
  return withDeadline(poll(probe, over.signal), timeoutMs, label).finally(() => over.abort())
}

async function poll<T>(probe: () => T | Promise<T>, over: AbortSignal): Promise<NonNullable<T>> {
  for (;;) {
    const found = await probe()
    if (found) return found
    await sleep(POLL_MS)
    over.throwIfAborted()
  }
}

/** Milliseconds since the epoch with fractions; comparable between the processes of one machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}
