/** Of the time after which an engine was seen to close, the share for which a connection is still used. */
const shareUsed = 4 / 5
/** An engine that restarts closes young connections too: what it taught is forgotten, and learned again if it is true. */
const rememberMs = 300_000

/**
 * How long a kept connection may be idle and still carry a request. An engine may close it at the very moment a request
 * goes out on it, and such a request cannot be sent again: nobody knows whether it was read. So connections are used only
 * while they are clearly younger than any that this engine closed by itself. Holds no clock: `now` is an argument.
 */
export class IdleLimit {
  #shortestMs = Number.POSITIVE_INFINITY
  #learnedAt = Number.NEGATIVE_INFINITY

  /** The engine closed a connection that had been idle for so long. */
  sawClosed(idleMs: number, now: number): void {
    if (idleMs > this.#shortest(now)) return
    this.#shortestMs = idleMs
    this.#learnedAt = now
  }

  /** Whether a connection that has been idle for so long may carry a request. */
  allows(idleMs: number, now: number): boolean {
    return idleMs <= this.#shortest(now) * shareUsed
  }

  #shortest(now: number): number {
    return now - this.#learnedAt > rememberMs ? Number.POSITIVE_INFINITY : this.#shortestMs
  }
}
