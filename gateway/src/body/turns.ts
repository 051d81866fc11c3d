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

export interface TurnOptions {
  /** Shared by all that work at once. */
  readonly turns?: Turns | undefined
  /** For how long work goes on before other work gets its turn. */
  readonly turnMs?: number
  /** Monotonic; asked once a step. */
  readonly now?: () => number
  readonly signal?: AbortSignal | undefined
}

const turnMsDefault = 2

/** Takes steps to their end, waiting for another turn whenever one is over. Rejects with what a step throws, or the reason of `signal`. */
export async function inTurns<T>(
  steps: Iterator<undefined, T>,
  { turns = new Turns(), turnMs = turnMsDefault, now = () => performance.now(), signal }: TurnOptions = {},
): Promise<T> {
  let turnEndsAt = now() + turnMs
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (now() < turnEndsAt) continue
    await turns.next()
    signal?.throwIfAborted()
    turnEndsAt = now() + turnMs
  }
}
