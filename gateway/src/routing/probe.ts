import { type ErrorCode, HearthError } from '../errors.ts'
import { classify } from '../upstream/classify.ts'
import { fromEngine } from '../upstream/engine-error.ts'
import type { Engine } from './engines.ts'

/** What the last question to an engine, through its whole road, came to. */
export interface ProbeResult {
  readonly ready: boolean
  /** Why not, as a code of the table of errors. */
  readonly code?: ErrorCode
  /** For the operator's log. */
  readonly detail?: string
  readonly at: number
}

export interface ProbeOptions {
  /** A constant of the table of routes. */
  readonly path: string
  readonly timeoutMs: number
  /** An answer younger than this is given again. */
  readonly freshMs: number
  /** An engine that gave a whole answer to a request this lately is ready without a question. */
  readonly answeredMs: number
  readonly now: () => number
}

/** Asks an engine for its models through the whole road; callers that ask at the same time share one question. */
export class Probe {
  readonly #engine: Engine
  readonly #options: ProbeOptions
  #last: ProbeResult | undefined
  /** The newest of all that was heard, of questions and of requests. */
  #word: ProbeResult | undefined
  #answeredAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  #running: Promise<ProbeResult> | undefined

  constructor(engine: Engine, options: ProbeOptions) {
    this.#engine = engine
    this.#options = options
  }

  /** A request that was dispatched at `startedAt` got its whole answer. One from before a failure proves nothing after it. */
  answered(startedAt: number): void {
    if (startedAt < this.#failedAt) return
    this.#answeredAt = this.#options.now()
    this.#word = { ready: true, at: this.#answeredAt }
  }

  /** A request failed on its way or at the engine, by this code: what was known is no longer. */
  failed(code: ErrorCode): void {
    this.#failedAt = this.#options.now()
    this.#word = { ready: false, code, at: this.#failedAt }
    this.#answeredAt = Number.NEGATIVE_INFINITY
    this.#last = undefined
  }

  /** What was heard last about the engine, however long ago; undefined: nothing yet. Asks nobody. */
  lastWord(): ProbeResult | undefined {
    return this.#word
  }

  /** Never throws. Takes at most `timeoutMs`. */
  async check(): Promise<ProbeResult> {
    const { now, freshMs, answeredMs } = this.#options
    if (now() - this.#answeredAt <= answeredMs) return { ready: true, at: this.#answeredAt }
    if (this.#last !== undefined && now() - this.#last.at < freshMs) return this.#last
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined
    })
    const askedAt = now()
    const result = await this.#running
    // A failure in the meantime is newer than what was asked.
    if (askedAt > this.#failedAt || !result.ready) {
      this.#last = result
      this.#word = result
    }
    return result
  }

  async #ask(): Promise<ProbeResult> {
    const { path, timeoutMs, now } = this.#options
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      const status = await abandonOn(signal, this.#engine.upstream.probe(path, signal))
      if (status === 200) return { ready: true, at: now() }
      return notReady(fromEngine({ status, contentType: '', body: Buffer.alloc(0) }), now())
    } catch (error) {
      const { viaMesh } = this.#engine.upstream
      if (!signal.aborted) return notReady(classify(error, { answered: false, viaMesh }), now())
      return notReady(new HearthError(viaMesh ? 'mesh_dial_timeout' : 'engine_timeout', { cause: error }), now())
    }
  }
}

function notReady(error: HearthError, at: number): ProbeResult {
  return { ready: false, code: error.code, at, ...(error.detail === undefined ? {} : { detail: error.detail }) }
}

/** A dial that is under way cannot be aborted; whoever asked need not wait for it. */
function abandonOn<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return Promise.race([work, promise])
}
