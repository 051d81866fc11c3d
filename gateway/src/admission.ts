import { HearthError } from './errors.ts'

/** A held in-flight slot of one engine. */
export interface Lease {
  /** Milliseconds that the request waited for its slot. */
  readonly queuedMs: number
  /** Gives the slot to the next in line; safe to call again. */
  release(): void
}

export interface AdmissionLimits {
  /** Requests that may wait in one line. */
  readonly queueMax: number
  /** Longest wait in a line. */
  readonly queueMs: number
}

interface Waiter {
  grant(): void
}

/** Lets requests in: each engine has its capacity and its line, in order of arrival. Exact for this process. */
export class Admission {
  readonly #lines: ReadonlyMap<string, Line>

  constructor(engines: readonly { readonly name: string; readonly capacity: number }[], limits: AdmissionLimits) {
    this.#lines = new Map(engines.map(({ name, capacity }) => [name, new Line(capacity, limits)]))
  }

  /** Requests in flight on all engines. */
  get inFlight(): number {
    return [...this.#lines.values()].reduce((sum, line) => sum + line.inFlight, 0)
  }

  /** How full each engine and its line are. */
  counts(): readonly { readonly engine: string; readonly inFlight: number; readonly waiting: number }[] {
    return [...this.#lines].map(([engine, { inFlight, waiting }]) => ({ engine, inFlight, waiting }))
  }

  /**
   * Resolves with a lease on an engine at once or when a slot falls free; the caller releases it. Throws `queue_full`,
   * `queue_timeout`, or the reason of `signal` when the caller leaves the line.
   */
  admit(engine: string, signal: AbortSignal, now: () => number): Promise<Lease> {
    const line = this.#lines.get(engine)
    if (line === undefined) throw new HearthError('internal_error', { detail: `No line for the engine "${engine}"` })
    return line.admit(signal, now)
  }
}

/** The line in front of one engine: `capacity` in flight, `queueMax` waiting. */
class Line {
  readonly #capacity: number
  readonly #limits: AdmissionLimits
  readonly #waiting: Waiter[] = []
  #inFlight = 0

  constructor(capacity: number, limits: AdmissionLimits) {
    this.#capacity = capacity
    this.#limits = limits
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    return this.#waiting.length
  }

  async admit(signal: AbortSignal, now: () => number): Promise<Lease> {
    signal.throwIfAborted()
    if (this.#inFlight < this.#capacity) {
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
