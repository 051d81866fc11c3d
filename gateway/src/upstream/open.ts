import { HearthError } from '../errors.ts'
import { classify } from './classify.ts'
import { type Gate, mayPass } from './gate.ts'

export interface OpenOptions {
  readonly gate: Gate
  /** Failed dials, own or those of whoever tried for all, until a caller is given the reason. 1: none is tried again. */
  readonly tries: number
  /** For everything together, waiting included. */
  readonly budgetMs: number
  readonly now: () => number
  /** Told of each dial that ended. */
  readonly onDial: (result: 'ok' | 'abandoned' | HearthError['code']) => void
  /** Told when a caller goes on to its next try. */
  readonly onRetry: () => void
}

/** Opens connections over one road: asks the gate, dials, and tries again what may pass and was never sent. */
export class Opener {
  readonly #options: OpenOptions
  /** Those who wait for the road to change. */
  readonly #waiting = new Set<(verdict: HearthError | undefined) => void>()

  constructor(options: OpenOptions) {
    this.#options = options
  }

  /**
   * Resolves with what `dial` opened; rejects with the HearthError of the last failure, or the reason of `signal`.
   * `tries` counts the failures on the way.
   */
  async open<T>(
    dial: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
    tries = this.#options.tries,
  ): Promise<{ opened: T; tries: number }> {
    const { budgetMs, onRetry } = this.#options
    const end = new AbortController()
    const leave = () => end.abort(signal?.reason)
    let last: HearthError | undefined
    const late = () =>
      end.abort(last ?? new HearthError('mesh_dial_timeout', { detail: `Not open within ${budgetMs} ms` }))
    const timer = setTimeout(late, budgetMs)
    signal?.addEventListener('abort', leave)
    if (signal?.aborted) leave()
    try {
      for (let failed = 0; ; failed += 1) {
        try {
          return { opened: await this.#once(dial, end.signal), tries: failed + 1 }
        } catch (error) {
          last = nameFailure(error)
          if (end.signal.aborted || failed + 1 >= tries || !mayPass(last.code)) throw last
          onRetry()
        }
      }
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
    }
  }

  /** One try: an own dial, or the failure of the one who tried for all. */
  async #once<T>(dial: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { gate, now } = this.#options
    for (;;) {
      signal.throwIfAborted()
      const entry = gate.enter(now())
      if (entry.go === 'refuse') throw entry.reason
      if (entry.go !== 'wait') return await this.#dial(dial, entry.go, signal)
      await this.#wait(entry.forMs, signal)
    }
  }

  async #dial<T>(dial: (signal: AbortSignal) => Promise<T>, entry: 'dial' | 'trial', signal: AbortSignal): Promise<T> {
    const { gate, now, onDial } = this.#options
    const startedAt = now()
    try {
      const opened = await dial(signal)
      gate.succeeded(now())
      onDial('ok')
      this.#tell(undefined)
      return opened
    } catch (thrown) {
      const error = nameFailure(thrown)
      // A caller that left says nothing about the road; running out of time does.
      const left = signal.aborted && error.code !== 'mesh_dial_timeout'
      onDial(left ? 'abandoned' : error.code)
      if (left) gate.abandoned(entry, startedAt, now())
      else gate.failed(error, entry, startedAt, now())
      if (entry === 'trial') this.#tell(left ? undefined : error)
      throw error
    }
  }

  #tell(verdict: HearthError | undefined): void {
    for (const hear of [...this.#waiting]) hear(verdict)
  }

  /** Resolves when it is worth asking again; rejects with the verdict of a failed trial, or the reason of `signal`. */
  #wait(forMs: number | undefined, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const end = (settle: () => void) => {
      clearTimeout(timer)
      this.#waiting.delete(hear)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const hear = (verdict: HearthError | undefined) => end(() => (verdict === undefined ? resolve() : reject(verdict)))
    const onAbort = () => end(() => reject(signal.reason))
    const timer = forMs === undefined ? undefined : setTimeout(() => end(resolve), Math.ceil(forMs))
    this.#waiting.add(hear)
    signal.addEventListener('abort', onAbort)
    return promise
  }
}

function nameFailure(error: unknown): HearthError {
  return classify(error, { answered: false, viaMesh: true })
}
