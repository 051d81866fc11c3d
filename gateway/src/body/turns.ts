/**
 * Gives whoever has long work the loop by turns, one in each round of it: however many bodies are read at once, what
 * else happens waits for one turn and not for one of each.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []

  /** Resolves when it is the caller's turn again, after all those that asked before. */
  next(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(resolve)
    if (this.#waiting.length === 1) setImmediate(() => this.#serve())
    return promise
  }

  #serve(): void {
    const resolve = this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(() => this.#serve())
    resolve?.()
  }
}
