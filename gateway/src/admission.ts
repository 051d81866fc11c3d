import { HearthError } from './errors.ts'

/** A held in-flight slot of one engine. */
export interface Lease {
  /** Milliseconds that the request waited for its slot. */
  readonly queuedMs: number
  /** Gives the slot to the next in line; safe to call again. */
  release(): void
}

export interface AdmissionLimits {
  /** Requests in flight. */
  readonly capacity: number
  readonly queueMax: number
  readonly queueMs: number
}

interface Waiter {
  grant(): void
}

/**
 * The line in front of one engine: `capacity` in flight, `queueMax` waiting in order of arrival. Exact for this
 * process. Every admitted request holds a lease until it releases it.
 */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #waiting: Waiter[] = []
  #inFlight = 0

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get queued(): number {
    return this.#waiting.length
  }

  /**
   * Resolves with a lease at once or when a slot falls free. Throws `queue_full`, `queue_timeout` after `queueMs`,
   * or the reason of `signal` when the caller leaves the line.
   */
  async admit(signal: AbortSignal, now: () => number): Promise<Lease> {
    signal.throwIfAborted()
    if (this.#inFlight < this.#limits.capacity) {
      this.#inFlight += 1
      return this.#lease(0)
    }
    if (this.#waiting.length >= this.#limits.queueMax) throw new HearthError('queue_full')
    const since = now()
    await this.#wait(signal)
    return this.#lease(now() - since)
  }

  #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { grant: () => settle(resolve) }
    const leave = (error: unknown) => {
      const place = this.#waiting.indexOf(waiter)
      if (place >= 0) this.#waiting.splice(place, 1)
      settle(() => reject(error))
    }
    const timer = setTimeout(() => leave(new HearthError('queue_timeout')), this.#limits.queueMs)
    const onAbort = () => leave(signal.reason)
    const settle = (end: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      end()
    }
    signal.addEventListener('abort', onAbort)
    this.#waiting.push(waiter)
    return promise
  }

  #lease(queuedMs: number): Lease {
    let held = true
    return {
      queuedMs,
      release: () => {
        if (!held) return
        held = false
        const next = this.#waiting.shift()
        // The slot goes over to the next in line: in-flight falls only when nobody waits.
        if (next === undefined) this.#inFlight -= 1
        else next.grant()
      },
    }
  }
}
