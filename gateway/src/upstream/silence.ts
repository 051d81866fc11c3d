/**
 * Tells when nothing was heard for a while. A sign of life costs one store: the timer is set once and looks, when it
 * fires, how much of the time is left.
 */
export class Silence {
  readonly #now: () => number
  readonly #onEnd: () => void
  #limitMs = 0
  #heardAt = 0
  #timer: NodeJS.Timeout | undefined

  /** `onEnd` is called once for each start. */
  constructor(now: () => number, onEnd: () => void) {
    this.#now = now
    this.#onEnd = onEnd
  }

  /** Counts from now on; whoever starts it stops it. */
  start(limitMs: number): void {
    this.stop()
    this.#limitMs = limitMs
    this.#heardAt = this.#now()
    this.#wait(limitMs)
  }

  /** Something was heard at `atMs` of the same clock. */
  heard(atMs: number): void {
    this.#heardAt = atMs
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.ceil(ms))
  }

  #look(): void {
    const leftMs = this.#heardAt + this.#limitMs - this.#now()
    if (leftMs > 0) return this.#wait(leftMs)
    this.#timer = undefined
    this.#onEnd()
  }
}
