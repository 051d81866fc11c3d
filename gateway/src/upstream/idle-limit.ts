/** No engine that keeps connections at all closes them so soon. */
const trustedMs = 250
/** A connection is used while it is clearly younger than one that is still open. */
const shareOfOpen = 4 / 5
/** And only while it is much younger than one that the engine closed: what is late on the way makes it older than it seems. */
const shareOfClosed = 1 / 2
/** An engine that restarts closes young connections too: a time after which nothing is closed any more is forgotten. */
const rememberMs = 60_000

/**
 * How long a kept connection may be idle and still carry a request. An engine may close it at the very moment a request
 * goes out on it, and such a request cannot be sent again: nobody knows whether it was read. How patient an engine is
 * shows by its idle connections alone, without a request at stake. Holds no clock: `now` is an argument.
 */
export class IdleLimit {
  #openMs = 0
  #closedMs = Number.POSITIVE_INFINITY
  #closedAt = Number.NEGATIVE_INFINITY

  /** Whether it says anything new that a connection is open at this age. */
  learnsFrom(idleMs: number): boolean {
    return idleMs > Math.max(this.#openMs, trustedMs)
  }

  /** A connection is open though it has been idle for so long. */
  sawOpen(idleMs: number): void {
    this.#openMs = Math.max(this.#openMs, idleMs)
  }

  /** The engine closed a connection that had been idle for so long. */
  sawClosed(idleMs: number, now: number): void {
    this.#openMs = 0
    const known = this.#closed(now)
    this.#closedMs = Math.min(known, idleMs)
    if (idleMs <= 2 * known) this.#closedAt = now
  }

  /** Whether a connection that has been idle for so long may carry a request. */
  allows(idleMs: number, now: number): boolean {
    const ofOpen = Math.max(trustedMs, this.#openMs * shareOfOpen)
    return idleMs <= Math.min(ofOpen, this.#closed(now) * shareOfClosed)
  }

  #closed(now: number): number {
    return now - this.#closedAt > rememberMs ? Number.POSITIVE_INFINITY : this.#closedMs
  }
}
