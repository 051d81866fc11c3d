import type { ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { errorEvent, HearthError, toHearthError } from '../errors.ts'
import { classify } from './classify.ts'
import { errorBodyBytesMax, fromEngine, fromErrorEvent } from './engine-error.ts'
import { callerAnswerHeaders, isEventStream, problemOfHead } from './headers.ts'
import type { HeartbeatSettings } from './heartbeat.ts'
import type { Shaper } from './shaper.ts'
import { SseCutter } from './sse.ts'

/** How an answer ended, for the log. */
export interface RelayOutcome {
  readonly status: number
  readonly bytesOut: number
  /** Milliseconds from dispatch to the first byte of the answer's body, where one came. */
  readonly firstByteMs: number | undefined
  /** Why the answer was cut after its head was sent; undefined when it is whole. */
  readonly error: HearthError | undefined
}

export interface RelayOptions {
  readonly response: ServerResponse
  /** Headers of every answer: request id, CORS and the like. */
  readonly headers: Readonly<Record<string, string>>
  /** Ends the attempt; its reason is a HearthError (caller gone, deadline, draining). */
  readonly signal: AbortSignal
  readonly viaMesh: boolean
  /** Headers that are known once the engine's head is here. */
  readonly timing: () => Readonly<Record<string, string>>
  /** What the caller gets of each piece. */
  readonly shaper: Shaper
  readonly heartbeat: HeartbeatSettings
  /** Longest time a caller may leave a full buffer unread. */
  readonly callerStallMs: number
  /** Most bytes of an answer that are passed on. */
  readonly answerBytesMax: number
  readonly now: () => number
}

/** Interim answers (1xx) before the answer: each of them puts the deadline for the head off. */
const interimMax = 8
/** How long an engine may take to end its stream after the last event of it. */
const tailMs = 2_000

type Mode = 'waiting' | 'events' | 'plain' | 'error'
type Controller = Dispatcher.DispatchController

/**
 * Copies one engine answer to the caller with backpressure both ways. `done` resolves when the answer ended, whole or
 * cut after its head (then the caller saw one SSE error event without `[DONE]`, or a broken connection); it rejects
 * with a HearthError while nothing was sent, so that the one writer of errors can answer.
 */
export class Relay implements Dispatcher.DispatchHandler {
  readonly done: Promise<RelayOutcome>
  readonly #options: RelayOptions
  readonly #settle: { resolve(outcome: RelayOutcome): void; reject(error: HearthError): void }
  readonly #cutter = new SseCutter()
  readonly #startedAt: number
  readonly #onAbort: () => void
  readonly #onDrain: () => void
  #controller: Controller | undefined
  #mode: Mode = 'waiting'
  /** Headers of the answer until they are sent. */
  #head: Record<string, string> | undefined
  #ended = false
  #status = 0
  #bytesOut = 0
  #firstByteMs: number | undefined
  #errorChunks: Buffer[] = []
  #errorType = ''
  #stall: NodeJS.Timeout | undefined
  #tail: NodeJS.Timeout | undefined
  #interims = 0

  constructor(options: RelayOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<RelayOutcome>()
    this.done = promise
    this.#settle = { resolve, reject }
    this.#options = options
    this.#startedAt = options.now()
    this.#onAbort = () => this.#fail(options.signal.reason)
    this.#onDrain = () => this.#resume()
    options.signal.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal.aborted) this.#onAbort()
  }

  onRequestStart(controller: Controller): void {
    // Before this moment there is no handle to abort by, so an abort that came earlier is carried out here.
    this.#controller = controller
    if (this.#ended) controller.abort(toHearthError(this.#options.signal.reason))
  }

  onResponseStart(_controller: Controller, status: number, headers: Record<string, string | string[]>): void {
    if (this.#ended) return
    if (status < 200) return this.#countInterim()
    const problem = problemOfHead(status, headers)
    if (problem !== undefined) return this.#fail(badAnswer(problem))
    this.#status = status
    if (status >= 400) {
      this.#mode = 'error'
      this.#errorType = String(headers['content-type'] ?? '')
      return
    }
    if (Number(headers['content-length'] ?? 0) > this.#options.answerBytesMax) return this.#fail(this.#tooLarge())
    this.#mode = isEventStream(headers) ? 'events' : 'plain'
    this.#head = { ...callerAnswerHeaders(headers), ...this.#options.timing(), ...this.#options.headers }
    // A stream may be silent for long after its head. That of a plain answer leaves with its first bytes: until then
    // a failure can still become an error answer.
    if (this.#mode === 'events') this.#sendHead({ 'x-accel-buffering': 'no' })
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#ended) return
    if (this.#mode === 'error') return this.#collectError(chunk)
    this.#firstByteMs ??= this.#options.now() - this.#startedAt
    if (this.#mode === 'events') this.#relayEvents(chunk)
    else this.#write(chunk)
  }

  onResponseEnd(): void {
    clearTimeout(this.#tail)
    if (this.#ended) return
    if (this.#mode === 'error') return this.#endError()
    if (this.#mode === 'plain') return this.#complete()
    this.#fail(new HearthError('engine_died', { detail: 'The stream ended without its terminal event' }))
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    clearTimeout(this.#tail)
    if (this.#ended) return
    const answered = this.#mode !== 'waiting'
    this.#fail(classify(error, { answered, viaMesh: this.#options.viaMesh }))
  }

  #relayEvents(chunk: Buffer): void {
    let piece: ReturnType<SseCutter['feed']>
    try {
      piece = this.#cutter.feed(chunk)
    } catch (cause) {
      return this.#fail(new HearthError('engine_bad_answer', { cause }))
    }
    if (piece.events.length > 0) this.#write(piece.events)
    if (this.#ended) return
    if (piece.end === 'done') this.#completeEvents()
    if (piece.end === 'error') {
      this.#fail(fromErrorEvent(piece.errorEvent ?? Buffer.alloc(0)))
    }
  }

  #sendHead(more: Record<string, string> = {}): void {
    if (this.#head === undefined) return
    this.#options.response.writeHead(this.#status, { ...this.#head, ...more })
    this.#head = undefined
    if (this.#mode === 'events') this.#options.response.flushHeaders()
  }

  #write(bytes: Buffer): void {
    if (this.#bytesOut + bytes.length > this.#options.answerBytesMax) return this.#fail(this.#tooLarge())
    this.#sendHead()
    this.#bytesOut += bytes.length
    if (this.#options.response.write(bytes) || this.#stall !== undefined) return
    this.#controller?.pause()
    this.#options.response.once('drain', this.#onDrain)
    const gone = () => this.#fail(new HearthError('client_gone', { detail: 'The caller stopped reading the answer' }))
    this.#stall = setTimeout(gone, this.#options.callerStallMs)
  }

  #countInterim(): void {
    this.#interims += 1
    if (this.#interims > interimMax) this.#fail(badAnswer(`more than ${interimMax} interim answers`))
  }

  #tooLarge(): HearthError {
    const { answerBytesMax } = this.#options
    return new HearthError('answer_too_large', {
      source: 'engine',
      detail: `The answer has more than ${answerBytesMax} bytes`,
    })
  }

  #resume(): void {
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.#controller?.resume()
  }

  #collectError(chunk: Buffer): void {
    const have = this.#errorChunks.reduce((sum, piece) => sum + piece.length, 0)
    this.#errorChunks.push(chunk.subarray(0, Math.max(0, errorBodyBytesMax - have)))
    if (have + chunk.length >= errorBodyBytesMax) this.#endError()
  }

  #endError(): void {
    const body = Buffer.concat(this.#errorChunks)
    this.#fail(fromEngine({ status: this.#status, contentType: this.#errorType, body }))
  }

  /** The stream is whole with its last event; an engine that goes on for all that loses its connection. */
  #completeEvents(): void {
    const controller = this.#controller
    // It was paused for this caller, who waits for nothing more.
    if (this.#stall !== undefined) controller?.resume()
    this.#complete()
    const late = new HearthError('engine_bad_answer', { detail: 'The stream went on after its last event' })
    this.#tail = setTimeout(() => controller?.abort(late), tailMs).unref()
  }

  #complete(): void {
    this.#sendHead()
    this.#options.response.end()
    this.#finish()
    this.#settle.resolve(this.#outcome(undefined))
  }

  #fail(reason: unknown): void {
    if (this.#ended) return
    const error = reason instanceof HearthError ? reason : new HearthError('internal_error', { cause: reason })
    this.#finish()
    this.#controller?.abort(error)
    const { response } = this.#options
    if (!response.headersSent) return this.#settle.reject(error)
    if (this.#mode === 'events' && error.code !== 'client_gone') response.end(errorEvent(error))
    else response.destroy()
    this.#settle.resolve(this.#outcome(error))
  }

  #finish(): void {
    this.#ended = true
    clearTimeout(this.#stall)
    this.#options.response.off('drain', this.#onDrain)
    this.#options.signal.removeEventListener('abort', this.#onAbort)
  }

  #outcome(error: HearthError | undefined): RelayOutcome {
    return { status: this.#status, bytesOut: this.#bytesOut, firstByteMs: this.#firstByteMs, error }
  }
}

function badAnswer(what: string): HearthError {
  return new HearthError('engine_bad_answer', { detail: `The engine answered with ${what}` })
}
